"""Systems over the API: made, read, changed, switched, deleted; and what is refused."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from tests.api.installation import GIB, Api

SYSTEMS = "/redfish/v1/Systems"
HOSTS = "/redfish/v1/Oem/HawkFish/Hosts"


def fresh() -> str:
    return f"vm-{uuid4().hex[:8]}"


def messages(answer: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer.json["error"]["@Message.ExtendedInfo"]
    return found


def power(api: Api, system: dict[str, Any], reset_type: str) -> Any:
    answer = api.post(f"{system['@odata.id']}/Actions/ComputerSystem.Reset", {"ResetType": reset_type})
    return api.finish(answer)


def test_a_system_is_made_read_and_deleted(api: Api) -> None:
    name, identity = fresh(), str(uuid4())
    body = {
        "Name": name,
        "UUID": identity.upper(),
        "CPU": 2,
        "MemoryMiB": 1536,
        "DiskGiB": 3,
        "Firmware": "BIOS",
        "Disks": [{"CapacityBytes": GIB, "Format": "raw", "Bus": "sata"}],
        "NetworkInterfaces": [{"UserMode": True, "MACAddress": "52:54:00:AA:BB:01", "Model": "e1000e"}],
        "HostId": "rack1",
        "Labels": {"team": "blue"},
        "Description": "A test",
        "AssetTag": "T-1",
    }
    made = api.finish(api.post(SYSTEMS, body))
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == f"{SYSTEMS}/{identity}"
    assert made.headers["ETag"] == made.json["@odata.etag"]
    shown = api.get(made.headers["Location"]).json
    assert shown == made.json
    assert (shown["Id"], shown["UUID"], shown["Name"]) == (identity, identity, name)
    assert (shown["Description"], shown["AssetTag"], shown["SystemType"]) == ("A test", "T-1", "Virtual")
    assert shown["MemorySummary"]["TotalSystemMemoryGiB"] == 1.5
    assert shown["ProcessorSummary"]["LogicalProcessorCount"] == 2
    assert (shown["PowerState"], shown["Status"]) == ("Off", {"State": "Enabled", "Health": "OK"})
    assert shown["Boot"]["BootSourceOverrideMode"] == "Legacy"
    oem = shown["Oem"]["HawkFish"]
    assert (oem["HostName"], oem["Labels"], oem["CPU"], oem["MemoryMiB"]) == ("rack1", {"team": "blue"}, 2, 1536)
    assert [disk["CapacityBytes"] for disk in oem["Disks"]] == [3 * GIB, GIB]
    assert oem["NetworkInterfaces"] == [
        {"Id": "NIC1", "MACAddress": "52:54:00:aa:bb:01", "Model": "e1000e", "UserMode": True}
    ]
    for kind in ("Managers", "Chassis"):
        other = api.get(f"/redfish/v1/{kind}/{identity}").json
        assert other["Id"] == identity
    deleted = api.finish(api.delete(made.headers["Location"]))
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert api.get(made.headers["Location"]).status_code == 404
    assert api.get(f"/redfish/v1/Managers/{identity}").status_code == 404


def test_a_name_redirects_to_the_id_with_everything_behind_it(api: Api) -> None:
    system = api.system(fresh())
    name, identity = system["Name"], system["Id"]
    for method, path in (
        ("GET", f"{SYSTEMS}/{name}"),
        ("PATCH", f"{SYSTEMS}/{name}"),
        ("GET", f"/redfish/v1/Managers/{name}"),
        ("GET", f"/redfish/v1/Chassis/{name}"),
        ("POST", f"{SYSTEMS}/{name}/Actions/ComputerSystem.Reset"),
    ):
        body = {"ResetType": "On"} if method == "POST" else {"AssetTag": "x"} if method == "PATCH" else None
        answer = api.call(method, path, body)
        assert answer.status_code == 307
        assert answer.headers["Location"] == path.replace(name, identity)
    assert api.get(f"{SYSTEMS}/{name}", query_string="x=1").headers["Location"] == f"{SYSTEMS}/{identity}?x=1"
    assert api.get(f"{SYSTEMS}/{identity.upper()}").headers["Location"] == f"{SYSTEMS}/{identity}"
    assert api.anonymous().get(f"{SYSTEMS}/{name}").status_code == 401


@pytest.mark.parametrize(
    ("change", "message", "place"),
    [
        ({"Name": None}, "PropertyValueTypeError", "Name"),
        ({"Name": ""}, "PropertyValueOutOfRange", "Name"),
        ({"Name": "a/b"}, "PropertyValueFormatError", "Name"),
        ({"Name": "-a"}, "PropertyValueFormatError", "Name"),
        ({"Name": "a\n"}, "PropertyValueFormatError", "Name"),
        ({"Name": "x" * 10_000}, "PropertyValueOutOfRange", "Name"),
        ({"Name": 5}, "PropertyValueTypeError", "Name"),
        ({"CPU": 0}, "PropertyValueOutOfRange", "CPU"),
        ({"CPU": 513}, "PropertyValueOutOfRange", "CPU"),
        ({"CPU": True}, "PropertyValueTypeError", "CPU"),
        ({"CPU": "1"}, "PropertyValueTypeError", "CPU"),
        ({"CPU": 1.0}, "PropertyValueTypeError", "CPU"),
        ({"CPU": 10**40}, "PropertyValueOutOfRange", "CPU"),
        ({"MemoryMiB": 15}, "PropertyValueOutOfRange", "MemoryMiB"),
        ({"DiskGiB": 10 * 1024 * 1024}, "PropertyValueOutOfRange", "DiskGiB"),
        ({"UUID": "x"}, "PropertyValueFormatError", "UUID"),
        ({"UUID": "00000000-0000-0000-0000-000000000000"}, "PropertyValueFormatError", "UUID"),
        ({"Firmware": "uefi"}, "PropertyValueNotInList", "Firmware"),
        ({"Disks": {}}, "PropertyValueTypeError", "Disks"),
        ({"Disks": [{}]}, "PropertyMissing", "Disks/0/CapacityGiB"),
        ({"Disks": [{"CapacityGiB": 1, "CapacityBytes": GIB}]}, "PropertyValueIncorrect", "Disks/0/CapacityGiB"),
        ({"Disks": [{"CapacityGiB": 1}, {"CapacityGiB": 1, "X": 1}]}, "PropertyUnknown", "Disks/1/X"),
        ({"Disks": [{"CapacityGiB": 1}] * 27}, "PropertyValueOutOfRange", "Disks"),
        ({"Disks": [{"CapacityGiB": 1, "Pool": "nowhere"}]}, "PropertyValueIncorrect", "Disks/0/Pool"),
        ({"Disks": [{"Image": "/etc/shadow"}]}, None, "Disks/0/Image"),
        ({"Disks": [{"Image": "../../etc/shadow"}]}, None, "Disks/0/Image"),
        ({"NetworkInterfaces": [{"MACAddress": "x"}]}, "PropertyValueFormatError", "NetworkInterfaces/0/MACAddress"),
        ({"NetworkInterfaces": [{"MACAddress": "01:00:5e:00:00:01"}]}, "PropertyValueFormatError", "NetworkInterfaces/0/MACAddress"),
        ({"NetworkInterfaces": [{"Network": "a", "UserMode": True}]}, "PropertyValueIncorrect", "NetworkInterfaces/0/Network"),
        ({"NetworkInterfaces": [{"Network": "nowhere"}]}, "PropertyValueIncorrect", "NetworkInterfaces/0/Network"),
        ({"HostId": "nowhere"}, "PropertyValueIncorrect", "HostId"),
        ({"Labels": {"a": 1}}, "PropertyValueTypeError", "Labels"),
        ({"PowerOn": 1}, "PropertyValueTypeError", "PowerOn"),
        ({"PowerState": "On"}, "PropertyUnknown", "PowerState"),
        ({"Id": "1"}, "PropertyNotWritable", "Id"),
    ],
    ids=range(35),
)  # fmt: skip
def test_what_a_new_system_may_not_be(api: Api, change: dict[str, Any], message: str | None, place: str) -> None:
    before = api.get(SYSTEMS).json["Members@odata.count"]
    answer = api.post(SYSTEMS, {"Name": fresh(), "CPU": 1, "MemoryMiB": 512, **change})
    assert answer.status_code == 400, answer.text
    found = messages(answer)
    assert len(found) == 1
    if message:
        assert found[0]["MessageId"] == f"Base.1.22.{message}"
    assert found[0]["RelatedProperties"] == [f"#/{place}"]
    assert place in found[0]["MessageArgs"]
    assert "Location" not in answer.headers
    assert api.get(SYSTEMS).json["Members@odata.count"] == before


def test_what_is_missing_is_named_all_at_once(api: Api) -> None:
    answer = api.post(SYSTEMS, {})
    assert answer.status_code == 400
    assert [item["MessageArgs"] for item in messages(answer)] == [["Name"], ["CPU"], ["MemoryMiB"]]


def test_a_taken_name_or_uuid_is_a_conflict(api: Api) -> None:
    system = api.system(fresh())
    body = {"Name": system["Name"].upper(), "CPU": 1, "MemoryMiB": 512}
    for change in ({}, {"Name": fresh(), "UUID": system["Id"]}):
        answer = api.post(SYSTEMS, {**body, **change})
        assert answer.status_code == 409, answer.text
        assert messages(answer)[0]["MessageId"] == "Base.1.22.ResourceAlreadyExists"


def test_more_than_any_host_has_is_a_conflict(api: Api) -> None:
    answer = api.post(SYSTEMS, {"Name": fresh(), "CPU": 1, "MemoryMiB": 16_000_000})
    assert answer.status_code == 409, answer.text
    assert "rack1" in answer.text


def test_an_idempotency_key_names_the_request(api: Api) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    body = {"Name": fresh(), "CPU": 1, "MemoryMiB": 512}
    first = api.finish(api.post(SYSTEMS, body, headers=key))
    again = api.finish(api.post(SYSTEMS, body, headers=key))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json["Id"] == again.json["Id"]
    other = api.post(SYSTEMS, {**body, "CPU": 2}, headers=key)
    assert other.status_code == 409
    for bad in ("", "x" * 201, "a\tb"):
        assert api.post(SYSTEMS, body, headers={"Idempotency-Key": bad}).status_code == 400


def test_prefer_asks_for_202_at_once(api: Api) -> None:
    body = {"Name": fresh(), "CPU": 1, "MemoryMiB": 512}
    answer = api.post(SYSTEMS, body, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert "Retry-After" not in answer.headers
    assert answer.json["@odata.type"] == "#Task.v1_7_4.Task"
    assert answer.headers["Location"] == f"/redfish/v1/TaskService/TaskMonitors/{answer.json['Id']}"
    final = api.finish(answer)
    assert final.status_code == 201
    assert final.json["Name"] == body["Name"]
    assert final.headers["Location"] == final.json["@odata.id"]
    task = api.get(f"/redfish/v1/TaskService/Tasks/{answer.json['Id']}").json
    assert (task["TaskState"], task["TaskStatus"], task["PercentComplete"]) == ("Completed", "OK", 100)
    assert task["Messages"][0]["MessageId"] == "TaskEvent.1.0.TaskCompletedOK"
    assert "TaskMonitor" not in task
    assert api.delete(answer.headers["Location"]).status_code == 409


def test_a_patch_changes_what_it_names_and_nothing_else(api: Api) -> None:
    system = api.system(fresh(), Description="before", Labels={"a": "1"})
    answer = api.patch(system["@odata.id"], {"AssetTag": "T-9", "Oem": {"HawkFish": {"Labels": {"b": "2"}}}})
    assert answer.status_code == 200
    assert answer.json["AssetTag"] == "T-9"
    assert answer.json["Description"] == "before"
    assert answer.json["Oem"]["HawkFish"]["Labels"] == {"b": "2"}
    assert answer.json == api.get(system["@odata.id"]).json
    assert answer.headers["ETag"] != system["@odata.etag"]
    assert api.patch(system["@odata.id"], {"AssetTag": None}).json["AssetTag"] == ""
    sized = api.finish(api.patch(system["@odata.id"], {"Oem": {"HawkFish": {"CPU": 3, "MemoryMiB": 768}}}))
    assert sized.status_code == 200
    assert sized.json["ProcessorSummary"]["LogicalProcessorCount"] == 3
    assert sized.json["MemorySummary"]["TotalSystemMemoryGiB"] == 0.75


def test_boot_overrides_read_back_at_once(api: Api) -> None:
    system = api.system(fresh())
    path = system["@odata.id"]
    assert system["Boot"]["BootSourceOverrideEnabled"] == "Disabled"
    nothing = api.patch(path, {"Boot": {"BootSourceOverrideEnabled": "Once"}})
    assert nothing.status_code == 400
    assert messages(nothing)[0]["Message"].endswith(
        "send BootSourceOverrideTarget too, one of Pxe, Hdd, Cd, Usb, BiosSetup."
    )
    once = {"Boot": {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}}
    boot = api.patch(path, once).json["Boot"]
    assert (boot["BootSourceOverrideTarget"], boot["BootSourceOverrideEnabled"]) == ("Pxe", "Once")
    mode = system["Boot"]["BootSourceOverrideMode"]
    kept = api.patch(path, {"Boot": {"BootSourceOverrideTarget": "Cd", "BootSourceOverrideMode": mode}}).json["Boot"]
    assert (kept["BootSourceOverrideTarget"], kept["BootSourceOverrideEnabled"]) == ("Cd", "Once")
    power(api, system, "On")
    used = api.get(path).json["Boot"]
    assert used["BootSourceOverrideEnabled"] == "Disabled"


def test_a_boot_mode_reads_back_at_once_and_starts_the_system_at_the_next_power_on(api: Api) -> None:
    system = api.system(fresh())
    path = system["@odata.id"]
    power(api, system, "On")
    before = api.get(path)
    mode = system["Boot"]["BootSourceOverrideMode"]
    assert sorted(system["Boot"]["BootSourceOverrideMode@Redfish.AllowableValues"]) == ["Legacy", "UEFI"]
    other = "Legacy" if mode == "UEFI" else "UEFI"
    changed = api.patch(path, {"Boot": {"BootSourceOverrideMode": other}})
    assert changed.json["Boot"]["BootSourceOverrideMode"] == other
    assert changed.headers["ETag"] != before.headers["ETag"]
    for reset_type in ("ForceOff", "On"):
        power(api, system, reset_type)
    log = api.finish(api.get(f"{path}/Oem/HawkFish/SerialLog")).json["Text"]
    firmwares = {"UEFI": "UEFI", "Legacy": "BIOS"}
    started = [line.split()[2] for line in log.splitlines() if line.startswith("HawkFish simulated")]
    assert started == [firmwares[mode], firmwares[other]]


def test_the_boot_order_is_that_of_the_boot_options_and_settable(api: Api) -> None:
    system = api.system(fresh(), DiskGiB=1, NetworkInterfaces=[{"UserMode": True}, {"UserMode": True}])
    path = system["@odata.id"]
    options = [api.get(item["@odata.id"]).json for item in api.get(f"{path}/BootOptions").json["Members"]]
    order = system["Boot"]["BootOrder"]
    assert [option["BootOptionReference"] for option in options] == order
    assert [option["Alias"] for option in options] == ["Hdd", "Cd", "Usb", "Pxe", "Pxe"]
    for option in options:
        assert option["@odata.id"] == f"{path}/BootOptions/{option['Id']}"
        for related in option.get("RelatedItem", []):
            assert api.get(related["@odata.id"]).status_code == 200
    asked = [order[3], order[1], order[0], order[4], order[2]]
    changed = api.patch(path, {"Boot": {"BootOrder": asked}})
    assert changed.json["Boot"]["BootOrder"] == asked
    assert changed.headers["ETag"] != system["@odata.etag"]
    members = api.get(f"{path}/BootOptions").json["Members"]
    assert [item["@odata.id"].rpartition("/")[2] for item in members] == asked
    again = api.patch(path, {"Boot": {"BootOrder": asked}})
    assert (again.status_code, again.headers["ETag"]) == (200, changed.headers["ETag"])
    for wrong, message in (
        (asked[1:], "PropertyValueIncorrect"),
        ([*asked, asked[0]], "PropertyValueIncorrect"),
        ([*asked[1:], "disk9"], "PropertyValueNotInList"),
    ):
        refused = api.patch(path, {"Boot": {"BootOrder": wrong}})
        assert refused.status_code == 400
        assert messages(refused)[0]["MessageId"] == f"Base.1.22.{message}"
    assert api.get(path).json["Boot"]["BootOrder"] == asked
    missing = api.get(f"{path}/BootOptions/disk9")
    assert missing.status_code == 404


def test_the_default_boot_order_is_that_of_a_new_system(api: Api) -> None:
    system = api.system(fresh(), DiskGiB=1, NetworkInterfaces=[{"UserMode": True}, {"UserMode": True}])
    path, usual = system["@odata.id"], system["Boot"]["BootOrder"]
    target = system["Actions"]["#ComputerSystem.SetDefaultBootOrder"]["target"]
    asked = {"BootOrder": usual[::-1], "BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Cd"}
    changed = api.patch(path, {"Boot": asked})
    assert changed.json["Boot"]["BootOrder"] == usual[::-1]
    for body in (None, {}):
        assert api.post(target, body).status_code == 204
    shown = api.get(path)
    assert shown.json["Boot"]["BootOrder"] == usual
    assert shown.json["Boot"]["BootSourceOverrideTarget"] == "Cd", "an override is another matter"
    assert shown.headers["ETag"] != changed.headers["ETag"]
    trail = api.get(f"/redfish/v1/Managers/{system['Id']}/LogServices/Audit/Entries").json["Members"]
    assert [entry["MessageArgs"][1] for entry in trail].count("systems.default_boot_order") == 1, "once was a change"
    refused = api.post(target, {"Order": []})
    assert (refused.status_code, messages(refused)[0]["MessageArgs"]) == (
        400,
        ["ComputerSystem.SetDefaultBootOrder", "Order"],
    )
    assert api.post("/redfish/v1/Systems/nobody/Actions/ComputerSystem.SetDefaultBootOrder").status_code == 404


def test_a_target_that_the_system_lacks_is_refused_with_what_it_has(api: Api) -> None:
    system = api.system(fresh(), NetworkInterfaces=[])
    boot = system["Boot"]
    assert boot["BootSourceOverrideTarget@Redfish.AllowableValues"] == ["None", "Hdd", "Cd", "Usb", "BiosSetup"]
    for target in ("Pxe", "Floppy"):
        refused = api.patch(
            system["@odata.id"], {"Boot": {"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": "Once"}}
        )
        assert refused.status_code == 400
        (message,) = messages(refused)
        assert message["MessageId"] == "Base.1.22.PropertyValueNotInList"
        assert "None, Hdd, Cd" in refused.text
    assert api.get(system["@odata.id"]).json["Boot"] == boot


def test_the_set_up_menu_is_a_target_where_the_firmware_has_one(api: Api) -> None:
    system = api.system(fresh(), Firmware="BIOS")
    path, once = system["@odata.id"], {"BootSourceOverrideTarget": "BiosSetup", "BootSourceOverrideEnabled": "Once"}
    assert "BiosSetup" not in system["Boot"]["BootSourceOverrideTarget@Redfish.AllowableValues"]
    refused = api.patch(path, {"Boot": once})
    assert (refused.status_code, messages(refused)[0]["MessageId"]) == (400, "Base.1.22.PropertyValueNotInList")
    assert "set BootSourceOverrideMode to UEFI" in refused.text
    taken = api.patch(path, {"Boot": once | {"BootSourceOverrideMode": "UEFI"}}).json["Boot"]
    assert (taken["BootSourceOverrideTarget"], taken["BootSourceOverrideEnabled"]) == ("BiosSetup", "Once")
    assert "BiosSetup" in taken["BootSourceOverrideTarget@Redfish.AllowableValues"]
    assert api.patch(path, {"Boot": {"BootSourceOverrideMode": "Legacy"}}).status_code == 400
    assert api.get(path).json["Boot"] == taken


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"Foo": 1}, ["PropertyUnknown"]),
        ({"PowerState": "On"}, ["PropertyNotWritable"]),
        ({"Name": "other"}, ["PropertyNotWritable"]),
        ({"Boot": {"BootOptions": []}}, ["PropertyNotWritable"]),
        ({"Boot": {"BootSourceOverrideTarget": "Floppy2"}}, ["PropertyValueNotInList"]),
        ({"Boot": {"BootSourceOverrideEnabled": 1}}, ["PropertyValueTypeError"]),
        ({"Boot": []}, ["PropertyValueTypeError"]),
        ({"Oem": {"Contoso": {}}}, ["PropertyUnknown"]),
        ({"Oem": {"HawkFish": {"Host": "x", "CPU": -1}}}, ["PropertyNotWritable", "PropertyValueOutOfRange"]),
        ({"AssetTag": "good", "Foo": 1, "Bar": 2}, ["PropertyUnknown", "PropertyUnknown"]),
        ({}, ["NoOperation"]),
        ({"@odata.id": "x", "@odata.etag": "y"}, ["NoOperation"]),
    ],
    ids=range(12),
)
def test_a_patch_that_is_partly_wrong_changes_nothing(api: Api, body: dict[str, Any], found: list[str]) -> None:
    system = api.system(fresh())
    answer = api.patch(system["@odata.id"], body)
    assert answer.status_code == 400
    assert sorted(item["MessageId"] for item in messages(answer)) == sorted(f"Base.1.22.{name}" for name in found)
    assert api.get(system["@odata.id"]).headers["ETag"] == system["@odata.etag"]


def test_a_write_that_knows_an_old_state_is_refused(api: Api) -> None:
    system = api.system(fresh())
    path, old = system["@odata.id"], system["@odata.etag"]
    assert api.patch(path, {"AssetTag": "1"}, headers={"If-Match": old}).status_code == 200
    for method, body in (("PATCH", {"AssetTag": "2"}), ("DELETE", None)):
        answer = api.call(method, path, body, headers={"If-Match": old})
        assert answer.status_code == 412
        assert messages(answer)[0]["MessageId"] == "Base.1.22.PreconditionFailed"
    assert api.get(path).json["AssetTag"] == "1"
    assert api.patch(path, {"AssetTag": "3"}, headers={"If-Match": "*"}).status_code == 200
    new = api.get(path).headers["ETag"]
    assert api.finish(api.delete(path, headers={"If-Match": new})).status_code == 204


def test_power_follows_the_reset_types_that_are_offered(api: Api) -> None:
    system = api.system(fresh())
    path = system["@odata.id"]
    action = system["Actions"]["#ComputerSystem.Reset"]
    assert action["target"] == f"{path}/Actions/ComputerSystem.Reset"
    offered = action["ResetType@Redfish.AllowableValues"]
    for reset_type, state in (
        ("On", "On"),
        ("On", "On"),
        ("ForceRestart", "On"),
        ("GracefulRestart", "On"),
        ("Pause", "Paused"),
        ("Resume", "On"),
        ("GracefulShutdown", "Off"),
        ("ForceOff", "Off"),
        ("ForceOn", "On"),
        ("ForceOff", "Off"),
    ):
        assert reset_type in offered
        answer = power(api, system, reset_type)
        assert answer.status_code == 204, (reset_type, answer.text)
        assert api.get(path).json["PowerState"] == state
        assert api.get(f"/redfish/v1/Chassis/{system['Id']}").json["PowerState"] == state


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "ActionParameterMissing"),
        ({"ResetType": "on"}, "ActionParameterValueNotInList"),
        ({"ResetType": None}, "ActionParameterValueError"),
        ({"ResetType": "On", "Force": True}, "ActionParameterUnknown"),
    ],
)
def test_a_reset_that_cannot_be(api: Api, body: dict[str, Any], message: str) -> None:
    system = api.system(fresh())
    answer = api.post(f"{system['@odata.id']}/Actions/ComputerSystem.Reset", body)
    assert answer.status_code == 400
    assert messages(answer)[0]["MessageId"] == f"Base.1.22.{message}"


def test_a_running_system_is_not_deleted(api: Api) -> None:
    system = api.system(fresh(), PowerOn=True)
    assert system["PowerState"] == "On"
    answer = api.delete(system["@odata.id"])
    assert answer.status_code == 409
    assert "switch it off" in messages(answer)[0]["Message"]


def test_screen_and_serial_log_can_be_seen(api: Api) -> None:
    system = api.system(fresh(), PowerOn=True)
    target = system["Actions"]["Oem"]["#HawkFishSystem.Screenshot"]["target"]
    taken = api.finish(api.post(target))
    assert taken.status_code == 200, taken.text
    image = api.get(taken.json["ImageURI"])
    assert image.headers["Content-Type"] == "image/png"
    assert image.content.startswith(b"\x89PNG")
    assert api.anonymous().get(taken.json["ImageURI"]).status_code == 401
    assert api.post(target, {"x": 1}).status_code == 400
    log_uri = system["Oem"]["HawkFish"]["SerialLogURI"]
    first = api.get(log_uri).json
    assert "SIMULATED" in first["Text"]
    rest = api.get(log_uri, query_string=f"offset={first['NextOffset']}").json
    assert rest["Offset"] == first["NextOffset"]
    # The guest may have written on meanwhile: the pieces together are the log, with nothing twice and nothing left out.
    assert api.get(log_uri).json["Text"].startswith(first["Text"] + rest["Text"])
    assert api.get(log_uri, query_string="offset=x").status_code == 400
    power(api, system, "ForceOff")
    off = api.post(target)
    assert off.status_code == 409


def test_a_host_is_taken_in_and_let_go(api: Api) -> None:
    name = fresh()
    body = {"Name": name, "Driver": "simulated", "URI": f"simulated:///{name}", "Labels": {"zone": "b"}}
    made = api.finish(api.post(HOSTS, body))
    assert made.status_code == 201, made.text
    host = api.get(made.headers["Location"]).json
    assert (host["State"], host["Status"]["Health"], host["Labels"]) == ("Up", "OK", {"zone": "b"})
    assert host["Facts"]["Virtualisation"] == "simulated"
    assert api.get(f"{HOSTS}/{name}").headers["Location"] == made.headers["Location"]
    again = api.post(HOSTS, body)
    assert (again.status_code, messages(again)[0]["MessageId"]) == (409, "Base.1.22.ResourceAlreadyExists")
    assert api.delete(made.headers["Location"], headers={"If-Match": '"old"'}).status_code == 412
    assert api.finish(api.delete(made.headers["Location"])).status_code == 204
    assert api.get(made.headers["Location"]).status_code == 404


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"Driver": "none"}, "Driver"),
        ({"Settings": {"wheels": 4}}, "Settings/wheels"),
        ({"Settings": []}, "Settings"),
        ({"Name": "a b"}, "Name"),
        ({"PoolPath": "relative"}, "PoolPath"),
        ({"State": "Up"}, "State"),
    ],
)
def test_a_host_that_cannot_be(api: Api, change: dict[str, Any], place: str) -> None:
    body = {"Name": fresh(), "Driver": "simulated", "URI": "simulated:///x", **change}
    answer = api.post(HOSTS, body)
    assert answer.status_code == 400, answer.text
    assert messages(answer)[0]["RelatedProperties"] == [f"#/{place}"]


def test_a_host_that_does_not_answer_says_so(api: Api) -> None:
    body = {"Name": fresh(), "Driver": "simulated", "URI": "simulated:///bad?cpus=none"}
    answer = api.finish(api.post(HOSTS, body))
    assert 400 <= answer.status_code < 600
    assert answer.status_code != 500
    assert messages(answer)[0]["Message"]


def test_a_host_with_systems_is_kept(api: Api) -> None:
    api.system(fresh())
    host = next(item for item in api.application.hosts.list(SYSTEM_ACTOR) if item.name == "rack1")
    answer = api.delete(f"{HOSTS}/{host.id}")
    assert answer.status_code == 409
    assert json.dumps(answer.json)


def test_what_is_kept_ready_is_never_old_news(api: Api) -> None:
    system = api.system(fresh())
    path = system["@odata.id"]
    for number in range(5):
        assert api.get(path).json["AssetTag"] == ("" if number == 0 else str(number - 1))
        assert api.get(path).content == api.get(path).content
        api.patch(path, {"AssetTag": str(number)})
    host = next(item for item in api.application.hosts.list(SYSTEM_ACTOR) if item.name == "rack1")
    before = api.get(path).json["@odata.etag"]
    with api.application.database.write() as uow:
        uow.systems.mark_stale(host.id)
    stale = api.get(path)
    assert stale.headers["ETag"] != before
    assert api.anonymous().get(path).status_code == 401
    reset = api.post(f"{path}/Actions/ComputerSystem.Reset", {"ResetType": "On"})
    assert api.finish(reset).status_code == 204
    assert api.get(path).json["PowerState"] == "On"
    api.finish(api.post(f"{path}/Actions/ComputerSystem.Reset", {"ResetType": "ForceOff"}))
    assert api.finish(api.delete(path)).status_code == 204
    assert api.get(path).status_code == 404
