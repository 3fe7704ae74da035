"""libvirt hosts for HawkFish: a compute driver with host storage. `plugin.py` is what the core loads."""
