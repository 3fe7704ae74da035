"""The published plugin API.

A plugin distribution has a light module `plugin.py`, named by an entry point of the group `hawkfish`, that declares
`HAWKFISH_PLUGIN_API = 1` (as a literal: the number it was written for) and implements hooks of
`hawkfish.plugins.hookspecs`.
"""

from hawkfish.plugins.hookspecs import hookimpl

HAWKFISH_PLUGIN_API = 1
"""Number of the plugin API that this version of HawkFish speaks."""

HAWKFISH_PLUGIN_API_OLDEST = 1
"""Oldest number that plugins may declare and still be loaded, without a word."""

ENTRY_POINT_GROUP = "hawkfish"

__all__ = ["ENTRY_POINT_GROUP", "HAWKFISH_PLUGIN_API", "HAWKFISH_PLUGIN_API_OLDEST", "hookimpl"]
