"""iSCSI storage pools for HawkFish."""
