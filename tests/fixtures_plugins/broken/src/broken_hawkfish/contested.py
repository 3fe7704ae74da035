from hawkfish.plugins import hookimpl
from hawkfish.plugins.records import StoragePoolPlugin

HAWKFISH_PLUGIN_API = 1


@hookimpl
def hawkfish_storage_pools():
    yield StoragePoolPlugin(name="contested", factory=print)
    yield StoragePoolPlugin(name="uncontested", factory=print)
