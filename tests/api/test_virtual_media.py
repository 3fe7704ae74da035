"""Virtual media over Redfish, as clients use them."""

from __future__ import annotations

import hashlib
import threading
from uuid import uuid4

import pytest

from tests.api.installation import PASSWORD, Api
from tests.support.file_server import FileServer, Plan
from tests.support.iso import iso


@pytest.fixture(scope="module")
def server():
    with FileServer() as running:
        yield running


@pytest.fixture(scope="module")
def system(api: Api) -> dict:
    return api.system("media1")


@pytest.fixture(params=["Systems", "Managers"])
def drive(api: Api, system: dict, request) -> str:
    """The address of an empty drive, in both trees."""
    address = f"/redfish/v1/{request.param}/{system['Id']}/VirtualMedia/Cd"
    yield address
    api.finish(api.post(f"{address}/Actions/VirtualMedia.EjectMedia", {}))


def act(api: Api, drive: str, action: str, body: dict | None = None, **options):
    return api.post(f"{drive}/Actions/VirtualMedia.{action}", body or {}, **options)


def test_the_drive_is_found_from_the_system_and_from_its_manager(api: Api, system: dict) -> None:
    manager = api.get(f"/redfish/v1/Managers/{system['Id']}").json
    for tree in (system, manager):
        collection = api.get(tree["VirtualMedia"]["@odata.id"]).json
        drives = [f"{tree['@odata.id']}/VirtualMedia/{drive}" for drive in ("Cd", "Usb")]
        assert collection["Members"] == [{"@odata.id": drive} for drive in drives]
        cd, usb = (api.get(drive).json for drive in drives)
        assert (cd["MediaTypes"], usb["MediaTypes"]) == (["CD", "DVD"], ["USBStick"])
        shown = usb
        assert (shown["Image"], shown["Inserted"], shown["ConnectedVia"]) == (None, False, "NotConnected")


@pytest.mark.parametrize("body", [{"Password": None}, {"VerifyCertificate": False}, {"Image": None}])
def test_who_only_reads_is_refused_even_what_would_change_nothing(api: Api, drive: str, body: dict) -> None:
    name = f"r{uuid4().hex[:8]}"
    api.post("/redfish/v1/AccountService/Accounts", {"UserName": name, "Password": PASSWORD, "RoleId": "ReadOnly"})
    reader = api.login(name, PASSWORD)
    assert reader.get(drive).status_code == 200
    assert reader.patch(drive, body).status_code == 403


def test_an_image_goes_in_and_comes_out(api: Api, server: FileServer, drive: str) -> None:
    server.plans["/a.iso"] = Plan(iso("a"))
    url, oem = server.url("/a.iso?token=1"), {"HawkFish": {"SHA256": hashlib.sha256(iso("a")).hexdigest().upper()}}
    body = {"Image": url, "UserName": "ann", "Password": "Sesame-Street-17", "Oem": oem}
    answer = act(api, drive, "InsertMedia", body)
    assert answer.status_code == 204, answer.text
    shown = api.get(drive)
    assert shown.json["@odata.id"] == drive
    assert (shown.json["Image"], shown.json["ImageName"], shown.json["Inserted"]) == (url, "a.iso", True)
    assert (shown.json["ConnectedVia"], shown.json["TransferProtocolType"]) == ("URI", "HTTP")
    assert shown.json["Oem"]["HawkFish"]["SHA256"] == hashlib.sha256(iso("a")).hexdigest()
    assert (shown.json["UserName"], shown.json["Password"], shown.json["WriteProtected"]) == ("ann", None, True)
    other = act(api, drive, "InsertMedia", {"Image": server.url("/b.iso")})
    assert other.status_code == 409
    assert "eject" in other.text
    assert act(api, drive, "EjectMedia").status_code == 204
    assert api.post(f"{drive}/Actions/VirtualMedia.EjectMedia").status_code == 204, "as often as one likes"
    assert (api.get(drive).json["Image"], api.get(drive).json["Inserted"]) == (None, False)
    assert api.get(drive).headers["ETag"] != shown.headers["ETag"]


def test_a_slow_image_is_accepted_at_once_and_reads_back(api: Api, server: FileServer, drive: str) -> None:
    gate = threading.Event()
    server.plans["/slow.iso"] = Plan(iso("slow"), gate=gate)
    body = {"Image": server.url("/slow.iso"), "Inserted": True, "WriteProtected": True}
    answer = act(api, drive, "InsertMedia", body, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    shown = api.get(drive).json
    assert (shown["Image"], shown["Inserted"], shown["Status"]["State"]) == (body["Image"], False, "Updating")
    again = act(api, drive, "InsertMedia", body, headers={"Prefer": "respond-async"})
    assert again.headers["Location"] == answer.headers["Location"]
    gate.set()
    assert api.finish(answer).status_code == 204
    assert api.get(drive).json["Inserted"] is True


def test_older_clients_write_the_image(api: Api, server: FileServer, drive: str) -> None:
    server.plans["/p.iso"] = Plan(iso("p"))
    before = api.get(drive).headers["ETag"]
    answer = api.patch(drive, {"Image": server.url("/p.iso"), "Inserted": True}, headers={"If-Match": before})
    assert (answer.status_code, answer.json["Inserted"]) == (200, True), answer.text
    assert api.patch(drive, {"Image": None}, headers={"If-Match": before}).status_code == 412
    answer = api.patch(drive, {"Inserted": False})
    assert (answer.status_code, answer.json["Image"]) == (200, None)
    assert api.patch(drive, {"VerifyCertificate": False}).json["VerifyCertificate"] is False
    assert api.patch(drive, {"VerifyCertificate": True}).json["VerifyCertificate"] is True


def test_a_server_has_to_prove_who_it_is_unless_the_drive_says_otherwise(api: Api, drive: str) -> None:
    with FileServer(tls=True) as server:
        server.plans["/s.iso"] = Plan(iso("s"))
        refused = api.finish(act(api, drive, "InsertMedia", {"Image": server.url("/s.iso")}))
        assert refused.status_code == 502
        assert "certificate" in refused.text
        assert api.get(drive).json["Image"] is None
        assert api.patch(drive, {"VerifyCertificate": False}).status_code == 200
        taken = act(api, drive, "InsertMedia", {"Image": server.url("/s.iso"), "TransferProtocolType": "HTTPS"})
        assert taken.status_code == 204, taken.text
        api.patch(drive, {"VerifyCertificate": True})


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "Image"),
        ({"Image": "file:///etc/passwd"}, "http"),
        ({"Image": "nfs://server/x.iso"}, "http"),
        ({"Image": "//server/x.iso"}, "http"),
        ({"Image": "http://ann:secret@server/x.iso"}, "password"),
        ({"Image": "http://server/x.iso", "TransferProtocolType": "NFS"}, "HTTP"),
        ({"Image": "http://server/x.iso", "TransferProtocolType": "HTTPS"}, "http://"),
        ({"Image": "http://server/x.iso", "TransferMethod": "Beam"}, "Stream"),
        ({"Image": "http://server/x.iso", "Inserted": False}, "true"),
        ({"Image": "http://server/x.iso", "WriteProtected": False}, "shared"),
        ({"Image": "http://server/x.iso", "Password": 7}, "string"),
        ({"Image": "http://server/x.iso", "Colour": "red"}, "Colour"),
        ({"Image": "http://server/x.iso", "Oem": {"HawkFish": {"SHA256": "abc"}}}, "64 hexadecimal"),
        ({"Image": "http://server/x.iso", "Oem": {"Other": {}}}, "Other"),
    ],
)
def test_what_is_not_taken_is_refused_by_name(api: Api, drive: str, body: dict, named: str) -> None:
    answer = act(api, drive, "InsertMedia", body)
    assert answer.status_code == 400
    assert named in answer.text
    assert "secret" not in answer.text
    assert api.get(drive).json["Image"] is None


def test_there_are_no_other_drives(api: Api, system: dict) -> None:
    floppy = f"/redfish/v1/Systems/{system['Id']}/VirtualMedia/Floppy"
    assert api.get(floppy).status_code == 404
    assert act(api, floppy, "InsertMedia", {"Image": "http://server/x.iso"}).status_code == 404
    assert act(api, floppy, "EjectMedia").status_code == 404
