"""A small service that answers as Redfish says, for what a real one cannot be brought to do on demand."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from hawkfish.cli.main import HawkFishApp

URL = "https://hawkfish.test:8443"
TOKEN = "5ec2e7" * 8
SYSTEM_ID = "1b9f5b2e-2f57-4b0a-9d5e-7c1f0a2b3c4d"
SYSTEM_PATH = f"/redfish/v1/Systems/{SYSTEM_ID}"
TASK_ID = "7a1e6a8e-0000-4000-8000-000000000001"
MONITOR = f"/redfish/v1/TaskService/TaskMonitors/{TASK_ID}"

Answer = httpx.Response | Callable[[httpx.Request], httpx.Response]


def system(**changes: Any) -> dict[str, Any]:
    return {
        "@odata.id": SYSTEM_PATH,
        "@odata.etag": '"1-aa"',
        "Id": SYSTEM_ID,
        "UUID": SYSTEM_ID,
        "Name": "web1",
        "PowerState": "On",
        "Status": {"State": "Enabled", "Health": "OK"},
        "Boot": {
            "BootSourceOverrideEnabled": "Once",
            "BootSourceOverrideTarget": "Pxe",
            "BootSourceOverrideMode": "UEFI",
        },
        "Actions": {
            "#ComputerSystem.Reset": {
                "target": f"{SYSTEM_PATH}/Actions/ComputerSystem.Reset",
                "ResetType@Redfish.AllowableValues": ["On", "ForceOff"],
            }
        },
        "Oem": {
            "HawkFish": {
                "HostName": "kvm1",
                "State": "ready",
                "CPU": 2,
                "MemoryMiB": 2048,
                "Firmware": "UEFI",
                "Labels": {"team": "a"},
                "Disks": [
                    {
                        "Id": "disk1",
                        "CapacityBytes": 10 << 30,
                        "Pool": {"@odata.id": "/redfish/v1/Oem/HawkFish/Storage/Pools/p1"},
                    }
                ],
                "NetworkInterfaces": [],
            }
        },
        **changes,
    }


def task(state: str = "Running", percent: int = 40, **changes: Any) -> dict[str, Any]:
    return {
        "@odata.id": f"/redfish/v1/TaskService/Tasks/{TASK_ID}",
        "Id": TASK_ID,
        "Name": "Create system web1",
        "TaskState": state,
        "PercentComplete": percent,
        "StartTime": "2026-01-01T00:00:00Z",
        "Messages": [],
        "Oem": {"HawkFish": {"Subject": f"system:{SYSTEM_ID}"}},
        **changes,
    }


def ok(body: dict[str, Any], status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def accepted() -> httpx.Response:
    return ok(task(), 202, Location=MONITOR)


def error(status: int, *messages: tuple[str, str]) -> httpx.Response:
    infos = [{"Message": text, "Resolution": resolution} for text, resolution in messages]
    return ok({"error": {"code": "Base.1.22.GeneralError", "message": "m", "@Message.ExtendedInfo": infos}}, status)


@dataclass
class Fake:
    """Answers by method and path; a list gives one answer after another, and stays at its last."""

    routes: dict[str, Any] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        session = {"Id": "s1", "UserName": "admin"}
        self.routes.setdefault(
            "POST /redfish/v1/SessionService/Sessions",
            ok(session, 201, **{"X-Auth-Token": TOKEN, "Location": "/redfish/v1/SessionService/Sessions/s1"}),
        )
        self.routes.setdefault("DELETE /redfish/v1/SessionService/Sessions/s1", httpx.Response(204))
        self.routes.setdefault("GET /redfish/v1/", ok({"RedfishVersion": "1.22.0"}))
        self.routes.setdefault("GET /redfish/v1/Systems/web1", httpx.Response(307, headers={"Location": SYSTEM_PATH}))
        self.routes.setdefault(f"GET {SYSTEM_PATH}", ok(system()))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        name = f"{request.method} {request.url.path}"
        found = self.routes.get(name)
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(found, Exception):
            raise found
        if callable(found):
            found = found(request)
        if found is None:
            return error(404, (f"There is no {request.url.path}.", "Look for another."))
        # A response is used up by being read, so each caller gets its own.
        return httpx.Response(found.status_code, headers=found.headers, content=found.content)

    def sent(self, method: str, path: str) -> list[httpx.Request]:
        return [item for item in self.requests if item.method == method and item.url.path == path]

    def bodies(self, method: str, path: str) -> list[Any]:
        return [json.loads(item.content) for item in self.sent(method, path)]


class Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass
class Done:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line on stderr."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("hawkfish: ")
        return lines[0].removeprefix("hawkfish: ")


def run(fake: Fake | None, *argv: str, stdin: str = "", terminal: bool = False) -> Done:
    """Runs a command line in this process."""
    made = Terminal if terminal else io.StringIO
    stdin_stream, stdout, stderr = made(stdin), io.StringIO(), made()
    transport = httpx.MockTransport(fake) if fake else None
    app = HawkFishApp(stdin=stdin_stream, stdout=stdout, stderr=stderr, transport=transport)
    try:
        code = app.run(list(argv))
    except SystemExit as end:  # argparse
        code = int(end.code or 0)
    return Done(int(code), stdout.getvalue(), stderr.getvalue())
