"""`hawkfish boot`: what is written and what is shown."""

import httpx
import pytest

from tests.cli.fake import SYSTEM_PATH, Fake, ok, run, system

pytestmark = pytest.mark.usefixtures("logged_in")

BOOT = {
    **system()["Boot"],
    "BootOrder": ["disk1", "Cd", "NIC1", "NIC2"],
    "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd", "Cd"],
    "BootSourceOverrideMode@Redfish.AllowableValues": ["UEFI", "Legacy"],
}


def fake():
    """A service with a system that has an order."""
    found = {**system(), "Boot": BOOT}
    return Fake({f"GET {SYSTEM_PATH}": ok(found), f"PATCH {SYSTEM_PATH}": ok(found)})


@pytest.mark.parametrize(
    ("words", "boot"),
    [
        ("network", {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}),
        ("cd --once", {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Cd"}),
        ("cd --continuous", {"BootSourceOverrideEnabled": "Continuous", "BootSourceOverrideTarget": "Cd"}),
        ("none", {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"}),
        ("setup", {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "BiosSetup"}),
        ("Pxe", {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}),
        ("--mode UEFI", {"BootSourceOverrideMode": "UEFI"}),
        ("--mode uefi", {"BootSourceOverrideMode": "UEFI"}),
        (
            "--mode bios --order nic2,Cd",
            {"BootSourceOverrideMode": "Legacy", "BootOrder": ["NIC2", "Cd", "disk1", "NIC1"]},
        ),
        ("--order disk9", {"BootOrder": ["disk9", "disk1", "Cd", "NIC1", "NIC2"]}),
    ],
)
def test_what_is_given_is_written(words, boot):
    service = fake()
    assert run(service, "boot", "set", "web1", *words.split()).code == 0
    assert service.bodies("PATCH", SYSTEM_PATH) == [{"Boot": boot}]


@pytest.mark.parametrize(
    ("words", "patched"),
    [
        ("--default-order", []),
        ("--default-order --mode bios", [{"Boot": {"BootSourceOverrideMode": "Legacy"}}]),
    ],
)
def test_the_default_order_is_asked_for_by_its_action(words, patched):
    service, action = fake(), f"{SYSTEM_PATH}/Actions/ComputerSystem.SetDefaultBootOrder"
    service.routes[f"POST {action}"] = httpx.Response(204)
    done = run(service, "boot", "set", "web1", *words.split(), "-f", "json")
    assert (done.code, done.json["Order"]) == (0, BOOT["BootOrder"])
    assert service.bodies("PATCH", SYSTEM_PATH) == patched
    assert service.bodies("POST", action) == [{}]


@pytest.mark.parametrize(
    "words",
    [
        "--default-order --order Cd",
        "",
        "--once",
        "none --once",
        "none --continuous",
        "cd --once --continuous",
        "--order ,",
    ],
)
def test_what_says_nothing_or_contradicts_itself_is_refused(words):
    service = fake()
    assert run(service, "boot", "set", "web1", *words.split()).code == 2
    assert not service.sent("PATCH", SYSTEM_PATH)


def test_what_a_system_starts_from_is_shown():
    shown = run(fake(), "boot", "show", "web1", "-f", "json").json
    assert (shown["Boot"], shown["Mode"]) == ("network once", "UEFI")
    assert shown["Order"] == ["disk1", "Cd", "NIC1", "NIC2"]
    assert (shown["Targets"], shown["Modes"]) == (["network", "disk", "cd"], ["UEFI", "Legacy"])
