"""The Redfish service on Falcon."""
