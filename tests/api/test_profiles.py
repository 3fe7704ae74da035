"""Node profiles over Redfish: revisions, systems made after them."""

from __future__ import annotations

import pytest

from tests.api.installation import Api

PROFILES = "/redfish/v1/Oem/HawkFish/Profiles"
SYSTEMS = "/redfish/v1/Systems"


def new_profile(api: Api, name: str, **more) -> dict:
    answer = api.post(PROFILES, {"Name": name, "CPU": 2, "MemoryMiB": 256, "DiskGiB": 1, **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == answer.json["@odata.id"]
    return answer.json


def from_profile(api: Api, name: str, **more):
    return api.finish(api.post(SYSTEMS, {"Name": name, **more}))


def oem(answer) -> dict:
    assert answer.status_code == 201, answer.text
    return answer.json["Oem"]["HawkFish"]


def test_a_system_takes_from_its_profile_what_its_request_leaves_open(api: Api) -> None:
    profile = new_profile(
        api, "node", Labels={"kind": "node", "room": "east"}, NetworkInterfaces=[{"UserMode": True}] * 2
    )
    made = oem(from_profile(api, "after-node", ProfileId="NODE", MemoryMiB=512, Labels={"room": "west"}))
    assert (made["CPU"], made["MemoryMiB"], made["Labels"]) == (2, 512, {"kind": "node", "room": "west"})
    assert [disk["CapacityBytes"] for disk in made["Disks"]] == [2**30]
    assert len(made["NetworkInterfaces"]) == 2
    assert (made["Profile"]["@odata.id"], made["ProfileRevision"]) == (profile["@odata.id"], 1)


def test_a_change_makes_a_revision_and_leaves_what_was_made_after_the_earlier_one(api: Api) -> None:
    profile = new_profile(api, "grows")
    first = oem(from_profile(api, "grows-1", ProfileId=profile["Id"]))
    before = api.get(profile["@odata.id"])
    changed = api.patch(profile["@odata.id"], {"CPU": 3}, headers={"If-Match": before.headers["ETag"]})
    assert (changed.json["Revision"], changed.json["CPU"], changed.json["MemoryMiB"]) == (2, 3, 256)
    stale = api.patch(profile["@odata.id"], {"CPU": 4}, headers={"If-Match": before.headers["ETag"]})
    assert stale.status_code == 412
    second = oem(from_profile(api, "grows-2", ProfileId="grows"))
    third = oem(from_profile(api, "grows-3", ProfileId="grows", ProfileRevision=1))
    assert [item["CPU"] for item in (first, second, third)] == [2, 3, 2]
    assert [item["ProfileRevision"] for item in (first, second, third)] == [1, 2, 1]


def test_a_profile_that_is_used_is_not_deleted_and_another_is(api: Api) -> None:
    used, unused = new_profile(api, "used"), new_profile(api, "unused")
    system = from_profile(api, "uses-it", ProfileId="used").json
    answer = api.delete(used["@odata.id"])
    assert answer.status_code == 409
    assert "1 systems" in answer.text
    assert api.finish(api.delete(system["@odata.id"])).status_code == 204
    for profile in (used, unused):
        assert api.delete(profile["@odata.id"]).status_code == 204
        assert api.get(profile["@odata.id"]).status_code == 404


def test_the_image_of_a_profile_stays_while_the_profile_is_there(api: Api) -> None:
    image = api.post("/redfish/v1/Oem/HawkFish/Images", {"Name": "of-profile"}).json
    refused = api.post(PROFILES, {"Name": "too-early", "CPU": 1, "MemoryMiB": 64, "ImageId": "of-profile"})
    assert refused.status_code == 400
    assert "AwaitingContent" in refused.text
    filled = api.client.simulate_request("PUT", image["ContentURI"], body=b"x" * 2**20, headers=api.headers)
    assert filled.status_code == 200
    profile = new_profile(api, "imaged", ImageId="of-profile")
    assert profile["Image"]["@odata.id"] == image["@odata.id"]
    made = oem(from_profile(api, "imaged-1", ProfileId="imaged"))
    assert made["Disks"][0]["ImageSHA256"] == filled.json["SHA256"]
    assert api.delete(image["@odata.id"]).status_code == 409


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"Name": "p1"}, "CPU"),
        ({"Name": "p1", "CPU": 0, "MemoryMiB": 64}, "CPU"),
        ({"Name": "p1", "CPU": 1, "MemoryMiB": 64, "ImageId": "nothing"}, "ImageId"),
        ({"Name": "p1", "CPU": 1, "MemoryMiB": 64, "Revision": 7}, "Revision"),
        ({"Name": "p1", "CPU": 1, "MemoryMiB": 64, "NetworkInterfaces": [{"MACAddress": "52:54:00:00:00:01"}]}, "MAC"),
    ],
)
def test_what_cannot_be_a_profile_is_refused_by_its_property(api: Api, body, told) -> None:
    answer = api.post(PROFILES, body)
    assert answer.status_code == 400, answer.text
    assert told in answer.text
    assert api.get(f"{PROFILES}/p1").status_code == 404


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"ProfileId": "nothing"}, "ProfileId"),
        ({"ProfileRevision": 1, "CPU": 1, "MemoryMiB": 64}, "ProfileId"),
        ({}, "CPU"),
        ({"CPU": 1}, "MemoryMiB"),
    ],
)
def test_a_system_needs_a_profile_or_its_sizes(api: Api, body, told) -> None:
    answer = from_profile(api, "sizeless", **body)
    assert answer.status_code == 400
    assert told in answer.text
