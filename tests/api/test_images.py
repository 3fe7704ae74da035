"""The catalogue of images over Redfish: uploads, downloads, disks, pruning."""

from __future__ import annotations

import hashlib

import pytest
from sqlalchemy import event

from tests.api.installation import Api
from tests.support.file_server import FileServer, Plan

IMAGES = "/redfish/v1/Oem/HawkFish/Images"


def content(stem: str) -> bytes:
    return stem.encode() * 50_000 + bytes(2**20)


def new_image(api: Api, name: str, **more) -> dict:
    answer = api.finish(api.post(IMAGES, {"Name": name, **more}))
    assert answer.status_code == 201, answer.text
    return answer.json


def put(api: Api, image: dict, body: bytes, headers: dict[str, str] | None = None):
    given = {**api.headers, **(headers or {})}
    return api.client.simulate_request("PUT", image["ContentURI"], body=body, headers=given)


def files(api: Api) -> list[str]:
    folder = api.application.settings.image_store
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_an_image_is_made_filled_and_shown(api: Api) -> None:
    body = content("shown")
    image = new_image(api, "shown", Description="a disk", SHA256=hashlib.sha256(body).hexdigest().upper())
    assert (image["State"], image["Status"]["State"]) == ("AwaitingContent", "StandbyOffline")
    answer = put(api, image, body)
    assert answer.status_code == 200, answer.text
    shown = api.get(image["@odata.id"])
    assert shown.json == answer.json
    assert (shown.json["State"], shown.json["Format"], shown.json["FileBytes"]) == ("Available", "raw", len(body))
    assert shown.json["SHA256"] == hashlib.sha256(body).hexdigest()
    assert "ContentURI" not in shown.json
    assert shown.headers["ETag"] != api.get(IMAGES).headers.get("ETag")
    assert {"@odata.id": image["@odata.id"]} in api.get(IMAGES).json["Members"]
    assert api.get(f"{IMAGES}/shown").headers["Location"] == image["@odata.id"]
    assert api.get("/redfish/v1/").json["Oem"]["HawkFish"]["Images"]["@odata.id"] == IMAGES


def test_an_image_is_downloaded_and_its_system_has_its_bytes(api: Api) -> None:
    with FileServer() as server:
        server.plans["/disk.img"] = Plan(content("loaded"))
        image = new_image(api, "loaded", URL=server.url("/disk.img?token=secret"))
    assert image["State"] == "Available"
    assert "secret" not in api.get(image["@odata.id"]).text
    system = api.system("from-image", ImageId="loaded", Disks=[{"ImageId": image["Id"], "CapacityGiB": 1}])
    disks = system["Oem"]["HawkFish"]["Disks"]
    assert [disk["ImageSHA256"] for disk in disks] == [image["SHA256"]] * 2
    assert disks[0]["CapacityBytes"] == 2**30


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\x1f\x8b\x08 not an image", {}, 400),
        (b"QFI\xfb cut off", {}, 400),
        (b"", {}, 400),
        (b"x" * 600, {"Content-Length": "1000"}, 400),
        (b"x" * 600, {"Content-Length": str(2**60)}, 413),
    ],
    ids=["gzip", "truncated", "empty", "short", "huge"],
)
def test_an_upload_that_is_no_image_is_refused_and_leaves_nothing(api: Api, body, headers, status) -> None:
    image = new_image(api, f"bad-{status}-{len(body)}-{len(headers)}")
    before = files(api)
    answer = put(api, image, body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json["error"]["@Message.ExtendedInfo"]
    assert files(api) == before
    assert api.get(image["@odata.id"]).json["State"] == "AwaitingContent"
    assert api.delete(image["@odata.id"]).status_code == 204


def test_a_download_that_fails_says_why_and_leaves_nothing(api: Api) -> None:
    before = files(api)
    with FileServer() as server:
        answer = api.finish(api.post(IMAGES, {"Name": "absent", "URL": server.url("/absent.img")}))
    assert answer.status_code == 502
    assert "404" in answer.json["error"]["message"]
    assert api.get(f"{IMAGES}/absent").status_code == 404
    assert files(api) == before


@pytest.mark.parametrize(
    ("body", "property_"),
    [
        ({}, "Name"),
        ({"Name": "a", "URL": "ftp://x/y"}, "URL"),
        ({"Name": "a", "URL": "http://me:secret@x/y"}, "URL"),
        ({"Name": "a", "SHA256": "abc"}, "SHA256"),
        ({"Name": "a", "LocalPath": "/etc/passwd"}, "LocalPath"),
        ({"Name": "a", "State": "Available"}, "State"),
        ({"Name": "a", "Colour": "red"}, "Colour"),
        ({"Name": "../a"}, "Name"),
    ],
)
def test_what_cannot_be_an_image_is_refused_by_its_property(api: Api, body, property_) -> None:
    answer = api.post(IMAGES, body)
    assert answer.status_code == 400, answer.text
    assert property_ in answer.text
    assert "secret" not in answer.text


def test_only_contents_go_in_and_nothing_comes_out(api: Api) -> None:
    image = new_image(api, "no-way-out")
    answer = api.get(f"{image['@odata.id']}/Content")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "PUT")
    assert put(api, {"ContentURI": f"{IMAGES}/nothing/Content"}, b"x").status_code == 404
    assert put(api.anonymous(), image, b"x" * 512).status_code == 401


def test_a_system_of_an_image_that_is_not_there_is_refused(api: Api) -> None:
    answer = api.post("/redfish/v1/Systems", {"Name": "none", "CPU": 1, "MemoryMiB": 64, "ImageId": "nothing"})
    assert answer.status_code == 400
    assert "nothing" in answer.text
    assert api.get("/redfish/v1/Systems/none").status_code == 404


def test_pruning_is_an_action(api: Api) -> None:
    stray = api.application.settings.image_store / "sha256" / "ab" / ("ab" * 32)
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"nobody's")
    action = api.get(IMAGES).json["Actions"]["#HawkFishImageCollection.Prune"]["target"]
    assert action == f"{IMAGES}/Actions/HawkFishImageCollection.Prune"
    assert api.finish(api.post(action, {"Copies": True})).status_code == 204
    assert not stray.exists()
    assert api.post(action, {"Copies": "all"}).status_code == 400


@pytest.mark.parametrize("kind", ["Images", "Profiles"])
def test_a_page_takes_as_many_statements_whatever_its_length(api: Api, kind: str) -> None:
    path = f"/redfish/v1/Oem/HawkFish/{kind}"
    shape = {} if kind == "Images" else {"CPU": 1, "MemoryMiB": 64}
    statements: list[str] = []
    engine = api.application.database.engine

    def count(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    def needed() -> int:
        statements.clear()
        assert api.get(path, query_string="$expand=.").status_code == 200
        return sum("hf_images" in item or "hf_profile" in item for item in statements)

    assert api.post(path, {"Name": "counted", **shape}).status_code == 201
    event.listen(engine, "before_cursor_execute", count)
    try:
        before = needed()
        for number in range(3):
            assert api.post(path, {"Name": f"counted-{number}", **shape}).status_code == 201
        assert needed() == before > 0
    finally:
        event.remove(engine, "before_cursor_execute", count)
