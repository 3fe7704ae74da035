from hawkfish.plugins import hookimpl
from hawkfish.plugins.records import StoragePoolPlugin

HAWKFISH_PLUGIN_API = 1


def _lookup_error(pool, context):
    raise LookupError("the array has gone")


def _exit(pool, context):
    raise SystemExit(7)


def _import(pool, context):
    import a_module_that_nobody_has  # noqa: F401


def _wrong_thing(pool, context):
    return "a text"


@hookimpl
def hawkfish_storage_pools():
    yield StoragePoolPlugin(name="raising-factory", factory=_lookup_error)
    yield StoragePoolPlugin(name="exiting-factory", factory=_exit)
    yield StoragePoolPlugin(name="importing-factory", factory=_import)
    yield StoragePoolPlugin(name="wrong-thing", factory=_wrong_thing)
