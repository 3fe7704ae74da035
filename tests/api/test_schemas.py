"""Every body that the service shows, against DMTF's JSON schemas."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource
from referencing.jsonschema import DRAFT7

from tests.api.installation import Api

REDFISH = Path(os.environ.get("HF_REDFISH_DATA") or Path(__file__).parents[3] / "shared" / "redfish")
SCHEMAS = REDFISH / "json-schema"
ID = re.compile(r"(?<=/)[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/)\d+(?=/|$)")
OF_EACH = 4

pytestmark = pytest.mark.skipif(not SCHEMAS.is_dir(), reason="DMTF's JSON schemas are missing; set HF_REDFISH_DATA")


@cache
def _retrieve(uri: str) -> Resource[Any]:
    name = uri.rpartition("/")[2]
    # Only the newest version of each file is at hand; the older ones that a general file offers beside it are taken for it.
    found = (
        [SCHEMAS / name] if (SCHEMAS / name).is_file() else sorted(SCHEMAS.glob(f"{name.partition('.')[0]}.v*.json"))
    )
    if not found:
        raise NoSuchResource(ref=uri)
    path = found[-1]
    return Resource(contents=json.loads(path.read_text("utf-8")), specification=DRAFT7)


@cache
def validator(odata_type: str) -> Draft7Validator:
    name, _, definition = odata_type.removeprefix("#").rpartition(".")
    uri = f"http://redfish.dmtf.org/schemas/v1/{name}.json#/definitions/{definition}"
    # In a collection's file the definition is a choice between a reference and the collection.
    return Draft7Validator({"$ref": uri}, registry=Registry(retrieve=_retrieve))  # type: ignore[call-arg]


def problems(body: dict[str, Any]) -> list[str]:
    # The files describe the annotations that DMTF uses; what `anyOf` hides is of no help in a message.
    return [
        f"{'/'.join(map(str, item.path))}: {item.message[:300]}"
        for item in validator(body["@odata.type"]).iter_errors(body)
    ]


def crawl(api: Api) -> Iterator[dict[str, Any]]:
    """What can be reached from the root: of the tasks, systems and so on that other tests have made, a few of each."""
    waiting, seen, alike = ["/redfish/v1/"], set(), Counter[str]()
    while waiting:
        path = waiting.pop()
        kind = ID.sub("{id}", path)
        if path in seen or alike[kind] == OF_EACH:
            continue
        seen.add(path)
        alike[kind] += 1
        answer = api.get(path)
        assert answer.status_code == 200, (path, answer.text)
        yield answer.json
        waiting += re.findall(r'"@odata\.id":\s*"([^"]+)"', answer.text)


def test_every_resource_satisfies_its_schema(api: Api) -> None:
    api.system(f"vm-{uuid4().hex[:8]}", PowerOn=True, Labels={"a": "b"}, AssetTag="x")
    kinds = set()
    for body in crawl(api):
        assert body["@odata.type"].startswith("#")
        assert body["Name"]
        if "Members" not in body:
            assert body["Id"] == body["@odata.id"].rstrip("/").rpartition("/")[2] or body["@odata.id"] == "/redfish/v1/"
        if not body["@odata.type"].startswith("#HawkFish"):
            assert problems(body) == [], body["@odata.id"]
        kinds.add(body["@odata.type"].rpartition(".")[2])
    assert {
        *("ServiceRoot", "ComputerSystem", "Manager", "Chassis", "SessionService", "Session", "AccountService"),
        *("ManagerAccount", "Role", "TaskService", "Task", "ComputerSystemCollection", "HawkFishHost", "HawkFishPool"),
    } <= kinds


def test_errors_satisfy_their_schema(api: Api) -> None:
    schema = Draft7Validator(
        {"$ref": "http://redfish.dmtf.org/schemas/v1/redfish-error.v1_0_2.json"},
        registry=Registry(retrieve=_retrieve),  # type: ignore[call-arg]
    )
    for answer in (
        api.post("/redfish/v1/Systems", {}),
        api.get("/redfish/v1/Systems/none"),
        api.anonymous().get("/redfish/v1/Systems"),
        api.get("/redfish/v1/Systems", query_string="$unknown=1"),
    ):
        assert answer.status_code >= 400
        assert [item.message for item in schema.iter_errors(answer.json)] == []


def test_a_wrong_body_would_be_found(api: Api) -> None:
    body = api.get("/redfish/v1/SessionService").json
    assert problems({**body, "SessionTimeout": "1800"})
    assert problems({**body, "Unheard": 1})
