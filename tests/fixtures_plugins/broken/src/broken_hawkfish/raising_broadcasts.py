import sys

from hawkfish.plugins import hookimpl

HAWKFISH_PLUGIN_API = 1


@hookimpl(tryfirst=True)
def hawkfish_event(event):
    raise ValueError("bad event")


@hookimpl(tryfirst=True)
def hawkfish_startup():
    sys.exit("no")


@hookimpl(tryfirst=True)
def hawkfish_shutdown():
    raise OSError("no shutdown")
