"""The table of errors: nothing is missing from it, and its words are the registry's."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path

import pytest

from hawkfish import errors
from hawkfish.api.errors import TABLE, ProtocolError, answer_of, entries
from hawkfish.api.messages import BASE_MESSAGES, render
from hawkfish.events.texts import MANAGER_MESSAGES, RESOURCE_MESSAGES, TASK_MESSAGES

CLASSES = [item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, errors.HawkFishError)]
REDFISH = Path(os.environ.get("HF_REDFISH_DATA") or Path(__file__).parents[3] / "shared" / "redfish")


def example(kind: type[errors.HawkFishError]) -> errors.HawkFishError:
    if kind is errors.SeveralErrors:
        return errors.SeveralErrors([errors.PropertyUnknown("Foo is not known.", property="Foo")])
    more = {"property": "Disks/0/Bus"} if issubclass(kind, errors.PropertyError) else {}
    return kind("What was tried, on what, and what to do next.", **more)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_has_an_entry_and_a_whole_answer(kind: type[errors.HawkFishError]) -> None:
    assert kind in TABLE
    answer = answer_of(example(kind))
    assert 400 <= answer.status < 600
    body = answer.body["error"]
    assert body["code"].startswith("Base.1.22.")
    assert body["message"]
    for info in body["@Message.ExtendedInfo"]:
        name = info["MessageId"].removeprefix("Base.1.22.")
        assert len(info["MessageArgs"]) == BASE_MESSAGES[name].arguments
        assert info["Message"]
        assert info["Severity"] == info["MessageSeverity"]
        assert info["Resolution"]


def test_an_error_of_a_plugin_takes_its_parents_entry() -> None:
    class Stranger(errors.HostUnavailable):
        pass

    assert answer_of(Stranger("The host is gone.")).status == 503


def test_several_errors_are_told_one_by_one() -> None:
    found = errors.SeveralErrors(
        [
            errors.PropertyUnknown("Foo is not known.", property="Foo"),
            errors.PropertyOutOfRange("CPU is too large.", property="CPU", value=1000),
        ]
    )
    answer = answer_of(found)
    assert answer.status == 400
    assert answer.body["error"]["code"] == "Base.1.22.GeneralError"
    assert [info["MessageId"] for info in answer.body["error"]["@Message.ExtendedInfo"]] == [
        "Base.1.22.PropertyUnknown",
        "Base.1.22.PropertyValueOutOfRange",
    ]
    assert answer.body["error"]["@Message.ExtendedInfo"][1]["RelatedProperties"] == ["#/CPU"]


def test_what_is_not_ours_tells_nothing_of_the_inside() -> None:
    answer = answer_of(RuntimeError("secret path /root/key"))
    assert answer.status == 500
    assert "secret" not in json.dumps(answer.body)


def test_a_message_of_our_own_never_replaces_the_id() -> None:
    info = entries(errors.HostUnavailable("The host rack1 does not answer; see `hawkfish hosts show rack1`."))[0]
    assert info["MessageId"] == "Base.1.22.ServiceTemporarilyUnavailable"
    assert info["Message"].startswith("The host rack1")


def test_arguments_are_filled_in_once() -> None:
    info = render("PropertyValueTypeError", ("%2", "Name"))
    assert info["Message"] == "The value '%2' for the property Name is not a type that the property can accept."
    with pytest.raises(ValueError, match="takes 2 arguments"):
        render("PropertyValueTypeError", ("one",))


def test_a_protocol_error_carries_its_headers() -> None:
    answer = answer_of(ProtocolError(405, "OperationNotAllowed", text="No.", headers={"Allow": "GET"}))
    assert (answer.status, answer.headers) == (405, {"Allow": "GET"})


@pytest.mark.skipif(not REDFISH.is_dir(), reason="DMTF's registries are missing; set HF_REDFISH_DATA")
@pytest.mark.parametrize(
    ("file", "ours"),
    [
        ("Base.1.22.1.json", BASE_MESSAGES),
        ("TaskEvent.1.0.5.json", TASK_MESSAGES),
        ("ResourceEvent.1.4.3.json", RESOURCE_MESSAGES),
        ("ManagerEvent.1.0.0.json", MANAGER_MESSAGES),
    ],
)
def test_the_messages_are_those_of_the_registry(file: str, ours: dict[str, object]) -> None:
    registry = json.loads((REDFISH / "registries" / file).read_text("utf-8"))["Messages"]
    for name, message in ours.items():
        theirs = registry[name]
        found = (message.text, message.severity, message.resolution, message.arguments)  # type: ignore[attr-defined]
        assert found == (theirs["Message"], theirs["MessageSeverity"], theirs["Resolution"], theirs["NumberOfArgs"])
