"""Bad plugins, one a module."""
