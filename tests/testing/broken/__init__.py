"""Drivers, storage, pools and checkers with one fault each, and the test of a kit that is there to find it."""
