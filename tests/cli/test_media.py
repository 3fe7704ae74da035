"""Media from the command line, against a real service."""

from __future__ import annotations

import hashlib
import json

import httpx
import pytest

from tests.support.file_server import FileServer, Plan
from tests.support.iso import iso

from .fake import MONITOR, SYSTEM_PATH, Fake, ok, run, system, task

DRIVE = f"{SYSTEM_PATH}/VirtualMedia/Cd"


@pytest.mark.slow
def test_an_image_is_inserted_listed_and_ejected(hawkfish):
    made = hawkfish("systems", "create", "mediated", "--memory", "64M", "--cpus", "1")
    assert made.returncode == 0, made.stderr
    with FileServer() as server:
        server.plans["/a.iso"] = Plan(iso("a"))
        url = server.url("/a.iso")
        done = hawkfish(
            *("media", "insert", "mediated", url, "--user", "ann", "--password-stdin", "-f", "json"),
            *("--sha256", hashlib.sha256(iso("a")).hexdigest()),
            stdin="Sesame-17\n",
        )
        assert (done.returncode, done.stderr) == (0, "")
        shown = json.loads(done.stdout)
        assert (shown["Drive"], shown["Image"], shown["Inserted"], shown["User Name"]) == ("Cd", url, True, "ann")
        assert "Authorization" in server.requests[-1]
    rows = json.loads(hawkfish("media", "ls", "mediated", "-f", "json").stdout)
    shown = [(row["System"], row["Drive"], row["Inserted"]) for row in rows]
    assert shown == [("mediated", "Cd", True), ("mediated", "Usb", False)]
    other = hawkfish("media", "insert", "mediated", "http://127.0.0.1:9/other.iso")
    assert (other.returncode, len(other.stderr.splitlines())) == (5, 1)
    assert "eject" in other.stderr
    for _ in range(2):
        done = hawkfish("media", "eject", "mediated", "-f", "value", "-c", "Inserted", "-c", "Image")
        assert done.returncode == 0, done.stderr
    assert hawkfish("media", "eject", "mediated", "--drive", "Floppy").returncode == 3
    assert hawkfish("systems", "rm", "mediated", "--yes").returncode == 0


@pytest.mark.usefixtures("logged_in")
def test_a_terminal_shows_how_far_the_download_is(monkeypatch):
    monkeypatch.setattr("hawkfish.cli.following.FIRST_PAUSE", 0.001)
    fetch, collection = "/redfish/v1/TaskService/Tasks/fetch", f"{SYSTEM_PATH}/VirtualMedia"
    waiting = task("Pending", 0, Oem={"HawkFish": {"WaitsFor": {"@odata.id": fetch}}})
    drive = {
        "@odata.id": DRIVE,
        "Id": "Cd",
        "Inserted": True,
        "Actions": {"#VirtualMedia.InsertMedia": {"target": f"{DRIVE}/insert"}},
    }
    fake = Fake(
        {
            f"GET {SYSTEM_PATH}": ok(system(VirtualMedia={"@odata.id": collection})),
            f"GET {collection}": ok({"Members": [drive], "Members@odata.count": 1}),
            f"GET {DRIVE}": ok(drive),
            f"POST {DRIVE}/insert": ok(waiting, 202, Location=MONITOR),
            f"GET {MONITOR}": [ok(waiting, 202, Location=MONITOR), ok(waiting, 202), httpx.Response(204)],
            f"GET {fetch}": ok(task("Running", 62, Name="Fetch debian.iso")),
        }
    )
    done = run(fake, "media", "insert", "web1", "http://server/debian.iso", "-f", "json", terminal=True)
    assert "Fetch debian.iso" in done.err
    assert "62%" in done.err
    assert done.json["Inserted"] is True
    assert fake.bodies("POST", f"{DRIVE}/insert") == [{"Image": "http://server/debian.iso"}]
