"""The page of the API: every address is there, and what it says of roles is what the API does."""

import importlib
import re
import sys

import pytest

from hawkfish.api.app import ROUTES
from tests.api.installation import installation
from tests.docs.blocks import ROOT

BODIES = {
    ("PATCH", "/SecureBoot"): {"SecureBootEnable": True},
    ("POST", "/SecureBoot.ResetKeys"): {"ResetKeysType": "DeleteAllKeys"},
    ("POST", "InsertMedia"): {"Image": "http://127.0.0.1:9/x.iso"},
    ("PATCH", "VirtualMedia/{drive_id}"): {"VerifyCertificate": True},
    ("PATCH", "/Bios/Settings"): {"Attributes": {"NetworkBoot": "Enabled"}},
    ("POST", "/Systems"): {"Name": "another", "CPU": 1, "MemoryMiB": 64},
    ("PATCH", "/Systems/{system_id}"): {"AssetTag": "1"},
    ("PATCH", "/Managers/{system_id}"): {"ServiceIdentification": "lab 1"},
    ("POST", "/ComputerSystem.Reset"): {"ResetType": "ForceOff"},
    ("POST", "/Hosts"): {"Name": "rack2", "Driver": "simulated", "URI": "simulated:///rack2"},
    ("PATCH", "/Hosts/{host_id}"): {"Labels": {}},
    ("POST", "/HawkFishHost.Forget"): {"Name": "rack1"},
    ("PATCH", "/Pools/{pool_id}"): {"Overcommit": 2},
    ("POST", "/Images"): {"Name": "another"},
    ("POST", "/Profiles"): {"Name": "another", "CPU": 1, "MemoryMiB": 64},
    ("PATCH", "/Profiles/{profile_id}"): {"CPU": 2},
    ("POST", "/Subscriptions"): {"Destination": "https://8.8.8.8/", "Protocol": "Redfish"},
    ("POST", "/Subscriptions/Members"): {"Destination": "https://8.8.8.8/", "Protocol": "Redfish"},
    ("PATCH", "/Subscriptions/{subscription_id}"): {"Context": "mine"},
    ("POST", "/HawkFishEventDestination.Redeliver"): {"DeliveryId": "1"},
    ("POST", "/Accounts"): {"UserName": "third", "Password": "Of-the-third-1", "RoleId": "ReadOnly"},
    ("POST", "/Accounts/Members"): {"UserName": "fourth", "Password": "Of-the-fourth-1", "RoleId": "ReadOnly"},
    ("PATCH", "/Accounts/{account_id}"): {"Enabled": True},
}
PASSWORD = "Of-a-visitor-1"


@pytest.fixture(scope="module")
def reference():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        yield importlib.import_module("_reference.api")
    finally:
        sys.path.remove(str(ROOT / "docs"))


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with installation(tmp_path_factory.mktemp("reference")) as admin:
        yield admin


@pytest.fixture(scope="module")
def places(api):
    """Something that is there for each part of an address."""
    system = api.system("subject")
    for kind, more in (("Images", {}), ("Profiles", {"CPU": 1, "MemoryMiB": 64})):
        assert api.post(f"/redfish/v1/Oem/HawkFish/{kind}", {"Name": "subject", **more}).status_code == 201
    wanted = {"Destination": "https://8.8.8.8/", "Protocol": "Redfish"}
    assert api.post("/redfish/v1/EventService/Subscriptions", wanted).status_code == 201
    collections = {
        "host_id": "/redfish/v1/Oem/HawkFish/Hosts",
        "pool_id": "/redfish/v1/Oem/HawkFish/Storage/Pools",
        "image_id": "/redfish/v1/Oem/HawkFish/Images",
        "profile_id": "/redfish/v1/Oem/HawkFish/Profiles",
        "subscription_id": "/redfish/v1/EventService/Subscriptions",
        "task_id": "/redfish/v1/TaskService/Tasks",
        "account_id": "/redfish/v1/AccountService/Accounts",
        "session_id": "/redfish/v1/SessionService/Sessions",
    }
    found = {
        name: api.get(path).json["Members"][0]["@odata.id"].rpartition("/")[2] for name, path in collections.items()
    }
    return {**found, "system_id": system["Id"], "log_id": "Events", "role_id": "Operator"}


def test_every_address_is_on_the_page(reference):
    page = "\n".join(reference.api_page())
    assert re.findall(r"^### `(.+)`$", page, re.MULTILINE) != []
    assert sorted(re.findall(r"^### `(.+)`$", page, re.MULTILINE)) == sorted(ROUTES)


def test_an_address_that_nobody_has_described_stops_the_build(reference):
    with pytest.raises(LookupError, match="VERBS"):
        reference.verb_of("/redfish/v1/Oem/HawkFish/Ponies", "GET")
    with pytest.raises(LookupError, match="no description"):
        reference.description_of("Disks/Colour")


@pytest.mark.parametrize("role", ["ReadOnly", "Operator"])
def test_the_roles_are_those_that_the_api_takes(reference, api, places, role):
    account = {"UserName": role, "Password": PASSWORD, "RoleId": role}
    assert api.post("/redfish/v1/AccountService/Accounts", account).status_code == 201
    visitor = api.login(role, PASSWORD)
    wrong = []
    for path, resource in ROUTES.items():
        for method in sorted(set(resource.allow) - {"HEAD"}, key=["GET", "POST", "PATCH", "PUT", "DELETE"].index):
            verb = reference.verb_of(path, method)
            body = next((body for (of, end), body in BODIES.items() if of == method and path.endswith(end)), None)
            address = re.sub(r"\{(\w+)\}", lambda part: places.get(part[1], "1"), path)
            status = visitor.call(method, address, body).status_code
            allowed = verb is None or role in {item.value for item in reference.roles_of(verb)}
            if (status in {401, 403}) == allowed and not (status == 404 and not allowed):
                wrong.append((method, address, verb, status))
    assert wrong == []


def test_what_takes_no_login_is_what_the_page_says(reference, api, places):
    visitor = api.anonymous()
    for path in ROUTES:
        address = re.sub(r"\{(\w+)\}", lambda part: places.get(part[1], "1"), path)
        assert (visitor.get(address).status_code == 401) is not reference.is_public(path, "GET"), path
