"""The schema files of our own types: served, referred to, and true of what live resources show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from hawkfish.api import schema_files
from hawkfish.api.resources.hosts import host_document
from hawkfish.api.resources.systems_body import system_document
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.hosts import HostState
from hawkfish.domain.machines import MachineFacts
from hawkfish.testing.waiting import wait_until
from tests.api.installation import Api
from tests.api.validators import REDFISH

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
EDMX = "{http://docs.oasis-open.org/odata/ns/edmx}"
ROOT = "/redfish/v1/"
SYSTEMS = "/redfish/v1/Systems/"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def links(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if set(value) == {"@odata.id"}:
            yield value["@odata.id"]
        for inner in value.values():
            yield from links(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from links(inner)


def own_objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects within a body whose type is one of ours."""
    if isinstance(value, dict):
        if value.get("@odata.type", "").startswith("#HawkFish"):
            yield value
        for inner in value.values():
            yield from own_objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from own_objects(inner)


@pytest.fixture(scope="module")
def bodies(api: Api) -> Iterator[dict[str, Any]]:
    """Everything that links from the root lead to, with a system among it."""
    image = api.post(f"{ROOT}Oem/HawkFish/Images", {"Name": "described"}).json
    awaited = api.post(f"{ROOT}Oem/HawkFish/Images", {"Name": "awaited", "SHA256": "ab" * 32}).json
    filled = api.client.simulate_put(image["ContentURI"], body=b"x" * 2**20, headers=api.headers)
    assert filled.status_code == 200, filled.text
    interfaces = [{"UserMode": True, "Model": "virtio"}]
    shape = {"CPU": 1, "MemoryMiB": 64, "DiskGiB": 1, "ImageId": "described", "NetworkInterfaces": interfaces}
    profile = api.post(f"{ROOT}Oem/HawkFish/Profiles", {"Name": "described", **shape})
    assert profile.status_code == 201, profile.text
    system = api.system("described", ProfileId="described", ImageId="described", Labels={"site": "berlin"})
    assert "ImageSHA256" in system["Oem"]["HawkFish"]["Disks"][0]
    # Nobody listens there, so that a delivery is tried soon.
    wanted = {"Destination": "http://127.0.0.1:9/", "Protocol": "Redfish", "DeliveryRetryPolicy": "RetryForever"}
    subscription = api.post(f"{ROOT}EventService/Subscriptions", wanted).json
    deliveries = subscription["Oem"]["HawkFish"]["Deliveries"]["@odata.id"]
    api.post(f"{ROOT}EventService/Actions/EventService.SubmitTestEvent")
    wait_until(lambda: api.get(deliveries).json["Members"], "a delivery is tried")
    found: dict[str, Any] = {}
    waiting = [ROOT, f"{system['@odata.id']}/Oem/HawkFish/SerialLog"]
    while waiting:
        address = waiting.pop()
        if address in found:
            continue
        answer = api.get(address)
        assert answer.status_code == 200, address
        found[address] = answer.json
        waiting += links(answer.json)
    yield found
    for made in (subscription, system, profile.json, image, awaited):
        assert api.finish(api.delete(made["@odata.id"])).status_code == 204


def schema_of(api: Api, odata_type: str) -> dict[str, Any]:
    name = odata_type.removeprefix("#").partition(".")[0]
    answer = api.get(schema_files.json_address(name))
    assert answer.status_code == 200, odata_type
    found: dict[str, Any] = answer.json
    assert found["title"] == odata_type
    return found


def hold(api: Api, shown: dict[str, Any]) -> None:
    """Holds an object to the schema of its type."""
    schema = schema_of(api, shown["@odata.type"])
    schema.pop("$schema")
    jsonschema.validate(shown, schema, cls=jsonschema.Draft7Validator)


def test_what_is_shown_is_as_its_schema_says(api: Api, bodies: dict[str, Any]) -> None:
    seen = set()
    for body in bodies.values():
        for shown in own_objects(body):
            hold(api, shown)
            seen.add(shown["@odata.type"].removeprefix("#").partition(".")[0])
    assert set(schema_files.names()) == seen


def test_what_is_shown_of_a_silent_host_and_a_changed_machine_is_described_too(
    api: Api, bodies: dict[str, Any]
) -> None:
    (address,) = (path for path, body in bodies.items() if body.get("Name") == "described" and path.startswith(SYSTEMS))
    system = api.application.systems.get(SYSTEM_ACTOR, address.rpartition("/")[2])
    machine = MachineFacts(name="other", vcpus=7, memory_mib=96, disk_ids=("disk9",), mac_addresses=())
    changed = system_document(replace(system, observed=machine, stale=True, observed_at=NOW)).body
    own = changed["Oem"]["HawkFish"]
    assert own["Observed"]["CPU"] == 7
    assert len(own["Differences"]) == 5
    hold(api, own)
    room = api.application.hosts.room(SYSTEM_ACTOR, system.host_id)
    silent = replace(room.host, state=HostState.DOWN, state_reason="It is silent.", state_changed_at=NOW, seen_at=NOW)
    shown = host_document(replace(room, host=silent)).body
    assert {"LastContact", "StateReason", "StateChangedAt"} <= shown.keys()
    hold(api, shown)
    # Actions are held to the schema, as all else: one that is not described would be seen.
    for name, named in (("HawkFishHost", shown["Actions"]), ("HawkFishSystem", changed["Actions"]["Oem"])):
        definitions = schema_files.json_schema(name)["definitions"]
        described = definitions.get("Actions") or definitions["OemActions"]
        assert set(described["properties"]) == set(named)
        jsonschema.validate(named, described, cls=jsonschema.Draft7Validator)
        tree = ET.fromstring(schema_files.csdl(name))
        assert {f"#{name}.{item.get('Name')}" for item in tree.iter(f"{EDM}Action")} == set(named)
    with pytest.raises(jsonschema.ValidationError):
        hold(api, {**shown, "Actions": {"#HawkFishHost.Explode": {"target": "x"}}})


def test_a_property_that_no_schema_knows_would_be_seen(api: Api) -> None:
    schema = schema_of(api, "#HawkFishSystem.v1_0_0.System")
    schema.pop("$schema")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"Unknown": 1}, schema, cls=jsonschema.Draft7Validator)


def test_each_property_is_described(api: Api) -> None:
    for name in schema_files.names():
        for definition in schema_files.json_schema(name)["definitions"].values():
            for key, declared in definition.get("properties", {}).items():
                assert key in {"Id", "Name", "@odata.id"} or declared["description"].endswith("."), (name, key)


def test_metadata_refers_to_each_file_and_the_file_is_there(api: Api) -> None:
    tree = ET.fromstring(api.get("/redfish/v1/$metadata").text)
    own = {
        item.get("Uri"): [inner.get("Namespace") for inner in item]
        for item in tree.iter(f"{EDMX}Reference")
        if str(item.get("Uri")).startswith("/")
    }
    assert set(own) == {schema_files.csdl_address(name) for name in schema_files.names()}
    for address, namespaces in own.items():
        answer = api.get(address)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("application/xml")
        held = [item.get("Namespace") for item in ET.fromstring(answer.text).iter(f"{EDM}Schema")]
        assert held == namespaces
    assert api.get("/redfish/v1/Schemas/none_v1.xml").status_code == 404
    assert api.get("/redfish/v1/JsonSchemas/HawkFishSystem/other.json").status_code == 404


def test_our_resources_are_described_by_our_files(api: Api, bodies: dict[str, Any]) -> None:
    for address, body in bodies.items():
        if body["@odata.type"].startswith("#HawkFish"):
            described = api.get(address).headers["Link"]
            assert api.get(described.partition(">")[0].removeprefix("<")).status_code == 200


def test_the_collections_of_files_tell_where_each_is(api: Api) -> None:
    for collection in ("JsonSchemas", "Registries"):
        page = api.get(f"{ROOT}{collection}", query_string="$expand=.").json
        assert page["Members@odata.count"] == len(page["Members"]) > 3
        for member in page["Members"]:
            (location,) = member["Location"]
            if "HawkFish" in member["Id"]:
                assert api.get(location["Uri"]).status_code == 200
            else:
                assert location["PublicationUri"].split("//")[1].startswith("redfish.dmtf.org/")
    assert api.get(f"{ROOT}Registries/None").status_code == 404
    assert api.get(f"{ROOT}JsonSchemas/None").status_code == 404


@pytest.mark.skipif(not REDFISH.is_dir(), reason="DMTF's schema files are missing; set HF_REDFISH_DATA")
def test_files_of_dmtf_that_are_referred_to_are_published(api: Api) -> None:
    for member in api.get(f"{ROOT}Registries", query_string="$expand=.").json["Members"]:
        uri = member["Location"][0].get("PublicationUri")
        if uri is not None:
            assert (REDFISH / "registries" / uri.rpartition("/")[2]).is_file(), uri
    for member in api.get(f"{ROOT}JsonSchemas", query_string="$expand=.").json["Members"]:
        uri = member["Location"][0].get("PublicationUri")
        if uri is not None:
            name = uri.rpartition("/")[2]
            # Only the newest version of a type is there; older ones are named, too.
            assert (REDFISH / "json-schema" / name).is_file() or (
                REDFISH / "json-schema" / f"{name.partition('.')[0]}.json"
            ).is_file(), uri


def test_our_registry_is_one(api: Api) -> None:
    registry = api.get("/redfish/v1/Registries/HawkFish.1.0/HawkFish.1.0.0.json").json
    assert registry["RegistryPrefix"] == "HawkFish"
    assert {"SystemMigrating", "SystemMigrated", "VolumeResized"} <= set(registry["Messages"])
    for message in registry["Messages"].values():
        assert message["NumberOfArgs"] == len(message.get("ParamTypes", []))
    json.dumps(registry)
