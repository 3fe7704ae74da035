from hawkfish.plugins import hookimpl
from hawkfish.plugins.records import StoragePoolPlugin

HAWKFISH_PLUGIN_API = 1


@hookimpl
def hawkfish_storage_pools():
    yield StoragePoolPlugin(name="missing-module", factory=print, requires_modules=("a_module_that_nobody_has",))
