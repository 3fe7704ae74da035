import sys

from hawkfish.plugins import hookimpl

HAWKFISH_PLUGIN_API = 1


@hookimpl
def hawkfish_storage_pools():
    sys.exit(3)
