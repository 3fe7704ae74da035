"""Plugins inside core, registered through the same hooks as everyone's."""
