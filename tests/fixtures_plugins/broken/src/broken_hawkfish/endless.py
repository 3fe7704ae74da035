from itertools import count

from hawkfish.plugins import hookimpl
from hawkfish.plugins.records import StoragePoolPlugin

HAWKFISH_PLUGIN_API = 1


@hookimpl
def hawkfish_storage_pools():
    for number in count():
        yield StoragePoolPlugin(name=f"pool-{number}", factory=print)
