"""What a plugin for a later HawkFish mostly looks like: it imports what this one does not have."""

from hawkfish.plugins.of_the_future import HoverPlugin  # noqa: F401

HAWKFISH_PLUGIN_API = 99
