"""The messages: the standard ones are as their registries say, and our own registry is a Redfish MessageRegistry."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT7

from hawkfish.domain.messages import MANAGER_EVENT, OWN_MESSAGES, RESOURCE_EVENT, STANDARD_MESSAGES, TASK_EVENT
from hawkfish.events.registry import message_registry
from hawkfish.events.texts import sentence

REDFISH = Path(os.environ.get("HF_REDFISH_DATA") or Path(__file__).parents[3] / "shared" / "redfish")
needs_redfish = pytest.mark.skipif(not REDFISH.is_dir(), reason="DMTF's registries are missing; set HF_REDFISH_DATA")
PROMISED = {
    "SystemMigrating",
    "SystemMigrated",
    "HostMaintenanceEntered",
    "HostMaintenanceExited",
    "VolumeAttached",
    "VolumeDetached",
    "VolumeResized",
}


@needs_redfish
@pytest.mark.parametrize("message", STANDARD_MESSAGES, ids=lambda message: message.id)
def test_standard_messages_are_as_their_registry_says(message):
    registry, _, name = message.id.rpartition(".")
    (file,) = (REDFISH / "registries").glob(f"{registry}.*.json")
    known = json.loads(file.read_text())["Messages"][name]
    assert (known["NumberOfArgs"], known["MessageSeverity"]) == (message.arguments, message.severity)
    assert sentence(message.id, [f"%{number}" for number in range(1, message.arguments + 1)]) == known["Message"]


@needs_redfish
@pytest.mark.parametrize("prefix", [RESOURCE_EVENT, TASK_EVENT, MANAGER_EVENT])
def test_the_registries_are_the_newest(prefix):
    name = prefix.partition(".")[0]
    versions = {file.name.rsplit(".", 2)[0] for file in (REDFISH / "registries").glob(f"{name}.*.json")}
    assert versions == {prefix}


def test_our_registry_has_what_was_promised():
    assert set(message_registry()["Messages"]) >= PROMISED
    assert len({message.id for message in (*OWN_MESSAGES, *STANDARD_MESSAGES)}) == len(OWN_MESSAGES) + len(
        STANDARD_MESSAGES
    )


@pytest.mark.parametrize("message", OWN_MESSAGES, ids=lambda message: message.name)
def test_texts_have_a_place_for_each_argument(message):
    places = sorted(set(re.findall(r"%\d+", message.text)))
    assert places == [f"%{number}" for number in range(1, message.arguments + 1)]
    assert len(message.parameters) == message.arguments


@needs_redfish
def test_our_registry_fits_the_standard_schema():
    def schema(uri):
        return DRAFT7.create_resource(json.loads((REDFISH / "json-schema" / uri.rsplit("/", 1)[-1]).read_text()))

    validator = jsonschema.Draft7Validator(
        {"$ref": "http://redfish.dmtf.org/schemas/v1/MessageRegistry.v1_7_0.json#/definitions/MessageRegistry"},
        registry=Registry(retrieve=schema),
    )
    assert [error.message for error in validator.iter_errors(message_registry())] == []


def test_the_page_shows_every_message():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "events.md").read_text()
    rows = {cells[1].strip(" `"): cells[2].strip() for line in page.splitlines() if len(cells := line.split("|")) == 6}
    shown = {name: severity for name, severity in rows.items() if severity in {"OK", "Warning", "Critical"}}
    expected = {message.id: message.severity.value for message in STANDARD_MESSAGES}
    expected |= {message.name: message.severity.value for message in OWN_MESSAGES}
    assert shown == expected
    assert all(f"| {message.text} | {message.description} |" in page for message in OWN_MESSAGES)
