from hawkfish.plugins import hookimpl
from hawkfish.plugins.records import StoragePoolPlugin

HAWKFISH_PLUGIN_API = 1


@hookimpl
def hawkfish_compute_drivers():
    yield StoragePoolPlugin(name="in-the-wrong-hook", factory=print)
