"""The NFS plugin. It registers nothing yet: a pool type is announced only once it works."""

HAWKFISH_PLUGIN_API = 1
