"""NFS storage pools for HawkFish."""
