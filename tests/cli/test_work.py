"""Commands that start and follow work, against a fake that can be made to fail in any way."""

import json
import os
import signal
import threading

import httpx
import pytest

from hawkfish.cli import following

from .fake import MONITOR, SYSTEM_ID, SYSTEM_PATH, TASK_ID, TOKEN, Fake, accepted, error, ok, run, system, task

pytestmark = pytest.mark.usefixtures("logged_in")
SYSTEMS = "/redfish/v1/Systems"
RESET = f"{SYSTEM_PATH}/Actions/ComputerSystem.Reset"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(following, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(following, "LONGEST_PAUSE", 0.02)


def creating(*answers):
    return Fake({f"POST {SYSTEMS}": accepted(), f"GET {MONITOR}": list(answers)})


def test_what_is_made_is_followed_to_its_end_and_shown():
    fake = creating(accepted(), accepted(), ok(system(), 201, Location=SYSTEM_PATH))
    done = run(fake, "systems", "create", "web1", "--memory", "2G", "--disk", "10G", "-f", "json")
    assert done.code == 0, done.err
    assert done.err == ""  # no terminal, no progress
    assert {key: done.json[key] for key in ("Name", "ID", "Power", "Memory", "Boot", "Labels")} == {
        "Name": "web1",
        "ID": SYSTEM_ID,
        "Power": "On",
        "Memory": 2 << 30,
        "Boot": "network once",
        "Labels": {"team": "a"},
    }
    assert done.json["Disks"] == [{"Id": "disk1", "CapacityBytes": 10 << 30, "Pool": "p1"}]
    assert fake.bodies("POST", SYSTEMS) == [
        {"Name": "web1", "CPU": 1, "MemoryMiB": 2048, "Disks": [{"CapacityBytes": 10 << 30}]}
    ]


def test_tables_show_sizes_for_people():
    out = run(Fake(), "systems", "show", "web1").out
    assert "2 GiB" in out
    assert "10 GiB" in out


def test_all_options_of_a_new_system(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fake = Fake({f"POST {SYSTEMS}": ok(system(), 201, Location=SYSTEM_PATH)})
    words = [
        "--cpus",
        "2",
        "--memory",
        "256",
        "--disk-image",
        "a.qcow2:20G",
        "--disk",
        "512M",
        "--disk-image",
        "/b:c.img",
        "--firmware",
        "bios",
    ]
    words += [
        "--network",
        "default",
        "--mac",
        "52:54:00:00:00:01",
        "--user-network",
        "--bridge",
        "br0",
        "--host",
        "kvm1",
        "--host-label",
        "rack=a",
        "--strategy",
        "pack",
        "--label",
        "a=b",
        "--on",
    ]
    assert run(fake, "systems", "create", "web1", *words).code == 0
    assert fake.bodies("POST", SYSTEMS) == [
        {
            "Name": "web1",
            "CPU": 2,
            "MemoryMiB": 256,
            "Disks": [
                {"Image": f"{tmp_path}/a.qcow2", "CapacityBytes": 20 << 30},
                {"CapacityBytes": 512 << 20},
                {"Image": "/b:c.img"},
            ],
            "NetworkInterfaces": [
                {"Network": "default", "MACAddress": "52:54:00:00:00:01"},
                {"UserMode": True},
                {"Bridge": "br0"},
            ],
            "Placement": {"Labels": {"rack": "a"}, "Strategy": "Pack"},
            "Firmware": "BIOS",
            "HostId": "kvm1",
            "Labels": {"a": "b"},
            "PowerOn": True,
        }
    ]


def test_no_wait_asks_for_the_task_and_shows_it():
    fake = creating(accepted())
    done = run(fake, "systems", "create", "web1", "--no-wait", "-f", "json")
    assert done.code == 0
    assert done.json["ID"] == TASK_ID
    assert fake.sent("POST", SYSTEMS)[0].headers["Prefer"] == "respond-async"
    assert not fake.sent("GET", MONITOR)


def test_a_task_that_fails_is_one_line_with_what_to_do():
    fake = creating(accepted(), error(502, ("Cannot define web1 on kvm1: no memory.", "Choose another host.")))
    done = run(fake, "systems", "create", "web1")
    assert done.code == 1
    assert done.error == "Cannot define web1 on kvm1: no memory. Choose another host."
    assert done.out == ""


@pytest.mark.parametrize(("status", "code"), [(400, 2), (403, 4), (404, 3), (409, 5), (412, 5), (500, 1), (503, 1)])
def test_each_refusal_has_its_exit_code(status, code):
    fake = Fake({f"POST {SYSTEMS}": error(status, ("No\nwith\x1b[31m breaks.", "None."), ("Twice.", "Do this"))})
    done = run(fake, "systems", "create", "web1")
    assert done.code == code
    assert done.error == "No with[31m breaks. Twice. Do this."


def test_an_answer_without_an_explanation_is_told_by_its_status():
    fake = Fake({f"POST {SYSTEMS}": httpx.Response(502, text="<html>proxy</html>")})
    assert "HTTP 502" in run(fake, "systems", "create", "web1").error


def test_time_is_over_and_the_work_goes_on():
    done = run(creating(accepted()), "systems", "create", "web1", "--timeout", "0.1")
    assert done.code == 7
    assert f"hawkfish tasks wait {TASK_ID}" in done.error


def test_ctrl_c_says_that_the_task_goes_on():
    def interrupt(_request):
        os.kill(os.getpid(), signal.SIGINT)
        return accepted()

    assert threading.current_thread() is threading.main_thread()
    # What a shell starts in the background ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = run(creating(interrupt), "systems", "create", "web1")
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.code == 130
    assert f"Task {TASK_ID} goes on" in done.error
    assert f"hawkfish tasks cancel {TASK_ID}" in done.error


def test_a_terminal_shows_progress_and_nothing_else_does():
    answers = [accepted(), accepted(), ok(system(), 201, Location=SYSTEM_PATH)]
    shown = run(creating(*answers), "systems", "create", "web1", "-f", "json", terminal=True)
    assert "Create system web1" in shown.err
    assert "40%" in shown.err
    assert shown.json["Name"] == "web1"
    assert run(creating(*answers), "-q", "systems", "create", "web1", terminal=True).err == ""


def test_the_service_may_be_away_while_work_is_followed():
    away = httpx.ConnectError("Connection refused")
    fake = creating(away, away, away, away, away, ok(system(), 201, Location=SYSTEM_PATH))
    assert run(fake, "systems", "create", "web1", "-f", "value", "-c", "Name").out == "web1\n"


def test_a_lost_answer_to_post_is_asked_for_again_with_the_same_key():
    fake = Fake({f"POST {SYSTEMS}": [httpx.ReadTimeout("lost"), ok(system(), 201, Location=SYSTEM_PATH)]})
    assert run(fake, "systems", "create", "web1").code == 0
    keys = [request.headers["Idempotency-Key"] for request in fake.sent("POST", SYSTEMS)]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    fake = Fake({f"POST {SYSTEMS}": ok(system(), 201, Location=SYSTEM_PATH)})
    run(fake, "systems", "create", "web1")
    assert fake.sent("POST", SYSTEMS)[0].headers["Idempotency-Key"] not in keys


def test_a_lost_answer_to_delete_counts_as_done_when_the_thing_is_gone():
    fake = Fake({f"DELETE {SYSTEM_PATH}": [httpx.ReadError("lost"), error(404, ("Gone.", "None."))]})
    done = run(fake, "systems", "rm", "web1", "--yes", "-f", "json")
    assert done.json == [{"Name": "web1", "ID": SYSTEM_ID, "Result": "removed"}]


def test_removing_asks_on_a_terminal_and_takes_yes_elsewhere():
    fake = Fake({f"DELETE {SYSTEM_PATH}": httpx.Response(204)})
    refused = run(fake, "systems", "rm", "web1")
    assert refused.code == 2
    assert "--yes" in refused.error
    said_no = run(fake, "systems", "rm", "web1", stdin="n\n", terminal=True)
    assert "Remove the system web1 with all disks? [y/N]" in said_no.err
    assert said_no.code == 1
    assert not fake.sent("DELETE", SYSTEM_PATH)
    assert run(fake, "systems", "rm", "web1", stdin="y\n", terminal=True).code == 0
    assert fake.sent("DELETE", SYSTEM_PATH)


def test_what_subscription_is_removed_is_said_by_where_it_sends_to():
    address = "/redfish/v1/EventService/Subscriptions/s7"
    subscription = {"@odata.id": address, "Id": "s7", "Name": "Subscription of admin", "Destination": "http://a.test/"}
    fake = Fake({f"GET {address}": ok(subscription)})
    said_no = run(fake, "subscriptions", "rm", "s7", stdin="n\n", terminal=True)
    assert "Remove the subscription s7 (http://a.test/)? [y/N]" in said_no.err
    assert not fake.sent("DELETE", address)


def test_of_several_names_each_is_tried_and_each_failure_is_a_line():
    fake = Fake({f"POST {RESET}": httpx.Response(204)})
    done = run(fake, "systems", "on", "nope", "web1", "-f", "json")
    assert done.json == [{"Name": "web1", "ID": SYSTEM_ID, "Power": "On"}]
    assert done.code == 3
    assert done.error == "There is no /redfish/v1/Systems/nope. Look for another."


@pytest.mark.parametrize(
    ("words", "reset_type"),
    [("on", "On"), ("off --force", "ForceOff"), ("reset", "ForceRestart"), ("reset --type Nmi", "Nmi")],
)
def test_power_commands_send_their_reset_type(words, reset_type):
    fake = Fake({f"POST {RESET}": httpx.Response(204)})
    verb, *options = words.split()
    assert run(fake, "systems", verb, "web1", *options).code == 0
    assert fake.bodies("POST", RESET) == [{"ResetType": reset_type}]


def test_off_never_cuts_the_power_unasked():
    fake = Fake()
    done = run(fake, "systems", "off", "web1")
    assert done.code == 5
    assert "--force" in done.error
    assert not fake.sent("POST", RESET)


def test_labels_are_merged_and_written_only_over_what_was_read():
    fake = Fake({f"PATCH {SYSTEM_PATH}": ok(system())})
    assert run(fake, "systems", "set", "web1", "--label", "a=b", "--remove-label", "team").code == 0
    [request] = fake.sent("PATCH", SYSTEM_PATH)
    assert request.headers["If-Match"] == '"1-aa"'
    assert json.loads(request.content) == {"Oem": {"HawkFish": {"Labels": {"a": "b"}}}}
    assert run(fake, "systems", "set", "web1").code == 2


def test_tasks_wait_tells_why_a_task_failed():
    path = f"/redfish/v1/TaskService/Tasks/{TASK_ID}"
    failed = task("Exception", Messages=[{"Message": "kvm1 is away.", "Resolution": "Repair it."}])
    done = run(Fake({f"GET {path}": [ok(task()), ok(task()), ok(failed)]}), "tasks", "wait", TASK_ID)
    assert done.code == 1
    assert done.error == f"Task {TASK_ID} (Create system web1) failed: kvm1 is away. Repair it."
    good = run(Fake({f"GET {path}": [ok(task()), ok(task("Completed", 100))]}), "tasks", "wait", TASK_ID, "-f", "json")
    assert (good.code, good.json["State"], good.json["Percent"]) == (0, "Completed", 100)


def test_a_task_that_has_ended_is_not_cancelled():
    path = f"/redfish/v1/TaskService/Tasks/{TASK_ID}"
    assert run(Fake({f"GET {path}": ok(task("Completed"))}), "tasks", "cancel", TASK_ID).code == 5


def test_a_redirection_to_another_service_does_not_get_the_token():
    fake = Fake({"GET /redfish/v1/Systems/web1": httpx.Response(307, headers={"Location": "https://evil.test/x"})})
    done = run(fake, "systems", "show", "web1")
    assert done.code == 1
    assert "evil.test" in done.error
    assert all(request.url.host == "hawkfish.test" for request in fake.requests)


def test_the_serial_log_cannot_steer_a_terminal(monkeypatch):
    log = f"{SYSTEM_PATH}/Oem/HawkFish/SerialLog"
    own = system()["Oem"]["HawkFish"] | {"SerialLogURI": log}
    pieces = [ok({"Text": "a\x1b[2J\x1b]0;t\x07b GUEST-", "NextOffset": 20}), ok({"Text": "READY\n", "NextOffset": 26})]
    fake = Fake({f"GET {SYSTEM_PATH}": ok(system(Oem={"HawkFish": own})), f"GET {log}": pieces})
    done = run(fake, "systems", "log", "web1", "--until", "GUEST-READY", "--timeout", "20")
    assert done.code == 0
    assert done.out == "a\x1b[2J\x1b]0;t\x07b GUEST-READY\n"  # a file gets what the guest wrote
    from hawkfish.cli.systems_screen import _ESCAPES

    assert _ESCAPES.sub("", done.out) == "ab GUEST-READY\n"
    assert [request.url.params["offset"] for request in fake.sent("GET", log)] == ["0", "20"]


def test_no_secret_is_shown():
    done = run(Fake(), "-v", "systems", "show", "web1")
    assert TOKEN not in done.out + done.err
    assert "Wq7-plum" not in done.out + done.err


@pytest.mark.parametrize("form", ["table", "json", "yaml", "csv", "value"])
def test_every_form_of_output_for_lists_and_single_things(form):
    fake = Fake({f"GET {SYSTEMS}": ok({"Members": [{"@odata.id": SYSTEM_PATH}]})})
    listed = run(fake, "systems", "ls", "-f", form)
    assert (listed.code, listed.err) == (0, "")
    assert "web1" in listed.out
    assert ("2 GiB" if form == "table" else str(2 << 30)) in listed.out
    shown = run(fake, "systems", "show", "web1", "-f", form)
    assert "web1" in shown.out
    assert ("2 GiB" if form == "table" else str(2 << 30)) in shown.out


@pytest.mark.parametrize(
    ("noun", "path", "columns"),
    [
        ("systems", SYSTEMS, ["Name", "ID", "Power", "State", "Host", "CPUs", "Memory"]),
        (
            "hosts",
            "/redfish/v1/Oem/HawkFish/Hosts",
            ["Name", "ID", "State", "Since", "Driver", "URI", "Hypervisor", "Virtualisation", "CPUs", "Memory"],
        ),
        ("tasks", "/redfish/v1/TaskService/Tasks", ["ID", "Name", "State", "Percent", "Subject", "Started"]),
    ],
)
def test_shapes_of_lists_pages_and_what_vanishes(noun, path, columns):
    first = ok(
        {"Members": [{"@odata.id": f"{path}/1"}, {"@odata.id": f"{path}/gone"}], "Members@odata.nextLink": f"{path}-2"}
    )
    fake = Fake(
        {
            f"GET {path}": first,
            f"GET {path}-2": ok({"Members": [{"@odata.id": f"{path}/2"}]}),
            f"GET {path}/1": ok({"Id": "1", "Name": "one"}),
            f"GET {path}/2": ok({"Id": "2", "Name": "two"}),
        }
    )
    done = run(fake, noun, "ls", "-f", "json")
    assert [row["Name"] for row in done.json] == ["one", "two"]
    assert list(done.json[0]) == columns


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_cannot_lead_out_of_the_collection(name):
    fake = Fake()
    assert run(fake, "systems", "rm", "--yes", name).code == 3
    assert not [request for request in fake.requests if "Systems" in request.url.path]


def test_forgetting_a_host_says_what_goes_and_has_its_name_typed():
    address = "/redfish/v1/Oem/HawkFish/Hosts/h1"
    action = f"{address}/Actions/HawkFishHost.Forget"
    host = {"@odata.id": address, "Id": "h1", "Name": "kvm1", "State": "Down"}
    answers = {
        "GET /redfish/v1/Oem/HawkFish/Hosts/kvm1": ok(host),
        f"POST {action}": ok({"Systems": [{"Name": "web1"}]}),
    }
    asked = run(Fake(answers), "hosts", "rm", "kvm1", "--force")
    assert asked.code == 2
    assert "forgets the host and web1" in asked.err
    fake = Fake(answers)
    done = run(fake, "hosts", "rm", "kvm1", "--force", "--yes", "-f", "json")
    assert (done.code, done.json[0]["Result"]) == (0, "removed, forgotten: web1")
    assert fake.bodies("POST", action) == [{"Name": "kvm1", "DryRun": True}, {"Name": "kvm1", "DryRun": False}]
