from hawkfish.plugins import hookimpl
from hawkfish.plugins.records import StoragePoolPlugin
from hawkfish.plugins.storage import PoolCapability

HAWKFISH_PLUGIN_API = 1


def _pool(pool, context):
    from acme_hawkfish.pool import ArrayPool

    return ArrayPool("address", "password")


@hookimpl
def hawkfish_storage_pools():
    yield StoragePoolPlugin(
        name="false-claim", factory=_pool, provides=frozenset({PoolCapability.THIN, PoolCapability.CLONE})
    )
