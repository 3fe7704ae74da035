"""Contract kits and fakes for plugin authors."""
