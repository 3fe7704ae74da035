"""Resources, a file per Redfish type: each reads the request, calls one service, and writes the answer."""
