"""A Redfish client in plain HTTP: it needs httpx and nothing of HawkFish.

python examples/http_client.py READY_FILE

READY_FILE is what `hawkfish serve --ready-file` writes: {url, username, password, ca_file, pid}.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import httpx

WAIT_SECONDS = 60


def main(ready_file: str) -> None:
    """Makes a system, switches it on and off, and deletes it."""
    ready = json.loads(Path(ready_file).read_text("utf-8"))
    trust = ssl.create_default_context(cafile=ready["ca_file"]) if ready["ca_file"] else True
    with httpx.Client(base_url=ready["url"], verify=trust, timeout=30) as client:
        login = client.post(
            "/redfish/v1/SessionService/Sessions", json={"UserName": ready["username"], "Password": ready["password"]}
        ).raise_for_status()
        client.headers["X-Auth-Token"] = login.headers["X-Auth-Token"]
        body = {"Name": "from-http", "CPU": 1, "MemoryMiB": 256, "DiskGiB": 1}
        finish(client, client.post("/redfish/v1/Systems", json=body))
        # A name is redirected to the address with the UUID.
        found = client.get("/redfish/v1/Systems/from-http", follow_redirects=True).raise_for_status().json()
        path = found["@odata.id"]
        for reset_type in ("On", "ForceOff"):
            action = found["Actions"]["#ComputerSystem.Reset"]["target"]
            finish(client, client.post(action, json={"ResetType": reset_type}))
            print(f"{found['Name']}: {client.get(path).raise_for_status().json()['PowerState']}")
        finish(client, client.delete(path))
        print("deleted" if client.get(path).status_code == httpx.codes.NOT_FOUND else "still there")
        client.delete(login.headers["Location"]).raise_for_status()


def finish(client: httpx.Client, answer: httpx.Response) -> Any:
    """Quick work is answered at once; slow work with 202 and the address of its task monitor."""
    deadline = time.monotonic() + WAIT_SECONDS
    while answer.status_code == httpx.codes.ACCEPTED:
        if time.monotonic() > deadline:
            raise TimeoutError(f"The work at {answer.headers['Location']} goes on after {WAIT_SECONDS} s.")
        time.sleep(float(answer.headers.get("Retry-After", 1)))
        answer = client.get(answer.headers["Location"])
    if answer.is_error:
        raise RuntimeError(answer.json()["error"]["@Message.ExtendedInfo"][0]["Message"])
    return answer


if __name__ == "__main__":
    main(sys.argv[1])
