from hawkfish.plugins import hookimpl

HAWKFISH_PLUGIN_API = 1


@hookimpl(wrapper=True)
def hawkfish_storage_pools():
    return (yield)
