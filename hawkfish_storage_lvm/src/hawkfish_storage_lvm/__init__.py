"""LVM storage pools for HawkFish."""
