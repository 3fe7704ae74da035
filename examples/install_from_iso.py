"""Installs a system from an ISO in plain Redfish: media, boot override and power, without waiting between them.

python examples/install_from_iso.py READY_FILE SYSTEM ISO_URL      (READY_FILE: see http_client.py; SYSTEM is off)
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from pathlib import Path

import httpx


def main(ready_file: str, name: str, iso_url: str) -> None:
    """Starts a system from an image of a web server, once; the service fetches it and keeps the order."""
    ready = json.loads(Path(ready_file).read_text("utf-8"))
    trust = ssl.create_default_context(cafile=ready["ca_file"]) if ready["ca_file"] else True
    login = (ready["username"], ready["password"])
    with httpx.Client(base_url=ready["url"], auth=login, verify=trust, timeout=60) as client:
        path = f"/redfish/v1/Systems/{name}"
        system = client.get(path, follow_redirects=True).raise_for_status().json()  # a name leads to the UUID
        path, reset = system["@odata.id"], system["Actions"]["#ComputerSystem.Reset"]["target"]
        insert = f"{path}/VirtualMedia/Cd/Actions/VirtualMedia.InsertMedia"
        client.post(insert, json={"Image": iso_url}).raise_for_status()
        boot = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Cd"}
        client.patch(path, json={"Boot": boot}).raise_for_status()
        started = client.post(reset, json={"ResetType": "On"}).raise_for_status()
        while started.status_code == httpx.codes.ACCEPTED:  # the monitor of its task; 202 until that ends
            time.sleep(1)
            started = client.get(started.headers["Location"]).raise_for_status()
        system = client.get(path).raise_for_status().json()
        print(f"{name}: {system['PowerState']}, boot override {system['Boot']['BootSourceOverrideEnabled']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
