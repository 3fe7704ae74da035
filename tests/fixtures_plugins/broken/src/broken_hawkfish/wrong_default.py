from hawkfish.plugins import hookimpl
from hawkfish.plugins.config_fields import ConfigField
from hawkfish.plugins.records import StoragePoolPlugin

HAWKFISH_PLUGIN_API = 1


@hookimpl
def hawkfish_storage_pools():
    yield StoragePoolPlugin(
        name="wrong-default", factory=print, config_fields=(ConfigField(name="port", type=int, default="80"),)
    )
