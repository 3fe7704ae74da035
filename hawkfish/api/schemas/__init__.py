"""Request bodies in Redfish's spelling, loaded into domain values; one file per Redfish type."""
