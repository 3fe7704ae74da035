"""HawkFish: virtual machines that behave like real servers with a Redfish BMC."""
