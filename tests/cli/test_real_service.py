"""The real command against a real service with a simulated host, as a user sees it."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def system(hawkfish, request):
    """A system of this test, removed at its end."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:40].strip("-")
    done = hawkfish("systems", "create", name, "--memory", "64M", "--disk", "1G", "-f", "json")
    assert done.returncode == 0, done.stderr
    yield json.loads(done.stdout)
    hawkfish("systems", "off", name, "--force")
    assert hawkfish("systems", "rm", name, "--yes").returncode == 0


def test_the_life_of_a_system(hawkfish, system, home):
    name = system["Name"]
    assert (system["Power"], system["State"], system["Memory"], system["CPUs"]) == ("Off", "ready", 64 << 20, 1)
    assert system["Disks"][0]["CapacityBytes"] == 1 << 30
    rows = json.loads(hawkfish("systems", "list", "-f", "json").stdout)
    assert name in {row["Name"] for row in rows}
    assert max(len(line) for line in hawkfish("systems", "show", name).stdout.splitlines()) <= 120

    done = hawkfish("systems", "on", name, "-f", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)[0]["Power"] == "On"
    seen = hawkfish("systems", "log", name, "--until", "SIMULATED", "--timeout", "120")
    assert (seen.returncode, seen.stderr) == (0, "")
    assert "SIMULATED" in seen.stdout
    assert hawkfish("systems", "log", name, "--until", "never written", "--timeout", "1").returncode == 7

    picture = hawkfish("systems", "screenshot", name, "-f", "json")
    assert picture.returncode == 0, picture.stderr
    file = Path(home / json.loads(picture.stdout)["File"])
    assert file.read_bytes().startswith(b"\x89PNG")
    assert json.loads(picture.stdout)["Size"] == file.stat().st_size

    by_id = hawkfish("boot", "set", system["ID"], "network", "-f", "value", "-c", "Boot")
    assert by_id.stdout == "network once\n"
    assert hawkfish("boot", "set", name, "none", "-f", "value", "-c", "Boot").stdout == "normal order\n"
    changed = hawkfish("systems", "set", name, "--label", "a=b", "--description", "d", "-f", "json")
    assert json.loads(changed.stdout)["Labels"] == {"a": "b"}
    off = hawkfish("systems", "off", name, "--force", "-f", "json")
    assert json.loads(off.stdout)[0]["Power"] == "Off"


def test_bios_attributes_are_set_for_the_next_start(hawkfish, system):
    name = system["Name"]
    rows = {row["Attribute"]: row for row in json.loads(hawkfish("bios", "show", name, "-f", "json").stdout)}
    assert (rows["CpuModel"]["Value"], rows["CpuModel"]["Next Start"]) == ("simulated", "simulated")
    assert "simulated-small" in rows["CpuModel"]["Choices"]
    assert rows["NetworkBoot"]["Choices"] == "Enabled, Disabled"
    done = hawkfish("bios", "set", name, "CpuModel=simulated-small", "NetworkBoot=Disabled", "-f", "json")
    changed = {row["Attribute"]: (row["Value"], row["Next Start"]) for row in json.loads(done.stdout)}
    assert changed["CpuModel"] == ("simulated", "simulated-small")
    assert hawkfish("systems", "on", name).returncode == 0
    shown = json.loads(hawkfish("bios", "show", name, "-f", "json").stdout)
    assert {row["Value"] for row in shown} >= {"simulated-small", "Disabled"}
    reset = json.loads(hawkfish("bios", "set", name, "--reset", "NetworkBoot=Disabled", "-f", "json").stdout)
    assert [row["Next Start"] for row in reset if row["Attribute"] in {"CpuModel", "NetworkBoot"}] == [
        "simulated",
        "Disabled",
    ]
    for words, code in ((["Turbo=on"], 2), (["CpuModel=i486"], 2), ([], 2)):
        refused = hawkfish("bios", "set", name, *words)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (code, 1), refused


def test_refusals_of_the_service_are_one_line(hawkfish, system):
    for argv, code in (
        (["systems", "create", system["Name"]], 5),
        (["systems", "create", "x", "--cpus", "0"], 2),
        (["systems", "create", "x/y"], 2),
        (["systems", "create", "x", "--host", "nope"], None),
        (["systems", "show", "nope"], 3),
        (["hosts", "rm", "sim1", "--yes"], 5),
        (["hosts", "add", "x", "--driver", "nope", "--uri", "x:"], None),
    ):
        done = hawkfish(*argv)
        assert done.returncode == code or (code is None and done.returncode not in {0, 1}), (argv, done)
        assert len(done.stderr.splitlines()) == 1, (argv, done.stderr)
        assert "Traceback" not in done.stderr


def test_work_that_is_not_waited_for(hawkfish, system):
    task = json.loads(hawkfish("systems", "on", system["Name"], "--no-wait", "-f", "json").stdout)[0]
    ended = hawkfish("tasks", "wait", task["ID"], "-f", "json")
    assert json.loads(ended.stdout)["State"] == "Completed"
    assert hawkfish("tasks", "cancel", task["ID"]).returncode == 5
    shown = json.loads(hawkfish("tasks", "show", task["ID"], "-f", "json").stdout)
    assert shown["Subject"] == f"system:{system['ID']}"
    assert task["ID"] in hawkfish("tasks", "ls", "-f", "value", "-c", "ID").stdout.split()


def test_how_much_of_a_host_may_be_given(hawkfish):
    added = hawkfish("hosts", "add", "sim3", "--driver", "simulated", "--uri", "simulated:///sim3?memory_mib=2048")
    assert added.returncode == 0, added.stderr
    words = ["--memory-overcommit", "1.5", "--reserved-memory", "1G", "--cpu-overcommit", "2", "--label", "rack=z"]
    host = json.loads(hawkfish("hosts", "set", "sim3", *words, "--no-schedulable", "-f", "json").stdout)
    assert (host["Memory Over-commit"], host["Memory Reserved"], host["Memory Free"]) == (1.5, 1 << 30, 3 << 29)
    assert (host["CPU Over-commit"], host["CPUs Free"], host["Takes New Systems"]) == (2.0, 128, False)
    refused = hawkfish("systems", "create", "x", "--host", "sim3", "--memory", "2G")
    assert refused.returncode == 5
    assert "sim3: it takes no new systems, needs 2048 MiB of memory, 1536 MiB of 1536 MiB free" in refused.stderr
    shown = hawkfish("hosts", "set", "sim3", "--schedulable", "--cpu-overcommit", "none", "-f", "json")
    assert json.loads(shown.stdout)["CPUs Free"] == "no limit"
    told = hawkfish("systems", "create", "x", "--host-label", "rack=z", "--dry-run", "-f", "json")
    placement = json.loads(told.stdout)
    assert (placement["Host"], placement["Fitting"]) == ("sim3", ["sim3"])
    assert placement["Refused"]["sim1"] == ["needs the label rack=z, it has no such label"]
    assert hawkfish("hosts", "set", "sim3").returncode == 2
    assert json.loads(hawkfish("pools", "set", "LOCAL", "--overcommit", "3", "-f", "json").stdout)["Over-commit"] == 3.0
    assert {row["Name"] for row in json.loads(hawkfish("pools", "ls", "-f", "json").stdout)} >= {"local"}
    assert hawkfish("pools", "set", "nope", "--overcommit", "3").returncode == 3
    assert hawkfish("hosts", "rm", "sim3", "--yes").returncode == 0


def test_hosts_and_plugins(hawkfish):
    [host] = json.loads(hawkfish("hosts", "ls", "-f", "json").stdout)
    assert (host["Name"], host["Driver"], host["State"]) == ("sim1", "simulated", "Up")
    assert isinstance(host["Memory"], int)
    added = hawkfish("hosts", "add", "sim2", "--driver", "simulated", "--uri", "simulated:///sim2", "-f", "json")
    assert json.loads(added.stdout)["Virtualisation"] == "simulated"
    assert hawkfish("hosts", "rm", "sim2", "--yes", "-f", "value", "-c", "Result").stdout == "removed\n"
    remote = json.loads(hawkfish("plugins", "ls", "--remote", "-f", "json").stdout)
    assert remote == json.loads(hawkfish("plugins", "ls", "-f", "json").stdout)
    shown = hawkfish("plugins", "show", "core", "--remote", "-f", "json")
    assert shown.returncode == 0, shown.stderr
    # The service has the same plugins, with the schemas of what they take.
    local = json.loads(hawkfish("plugins", "show", "core", "-f", "json").stdout)
    assert json.loads(shown.stdout) == local
    assert "boot_seconds" in {field["Name"] for field in local["Config Fields"]}


def test_systems_are_listed_by_a_condition(hawkfish, system):
    def listed(condition):
        done = hawkfish("systems", "ls", "--filter", condition, "-f", "json")
        assert done.returncode == 0, done.stderr
        return [row["Name"] for row in json.loads(done.stdout)]

    assert listed(f"Name eq '{system['Name']}'") == [system["Name"]]
    assert listed(f"Name eq '{system['Name']}' and PowerState eq 'PoweringOn'") == []
    refused = hawkfish("systems", "ls", "--filter", "Name is x")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "$filter" in refused.stderr


def test_a_user_of_this_machine_needs_neither_address_nor_certificate(hawkfish, service, home):
    assert hawkfish("doctor", "-f", "json").returncode == 0
    found = {row["Check"]: row["Status"] for row in json.loads(hawkfish("doctor", "-f", "json").stdout)}
    assert {found[name] for name in ("data directory", "database", "tls", "service")} == {"ok"}
    stranger = hawkfish(
        "--url", service["url"], "systems", "ls", HF_DATA_DIR=str(home), XDG_CONFIG_HOME=str(home / "none")
    )
    assert stranger.returncode == 6
    assert "HF_CA_FILE" in stranger.stderr


def test_a_session_that_was_ended_elsewhere(hawkfish):
    assert hawkfish("logout").returncode == 0
    done = hawkfish("systems", "ls")
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)


def test_progress_is_shown_on_a_real_terminal(hawkfish):
    """stderr is a pseudo-terminal, stdout a pipe: progress goes to one, data to the other."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [hawkfish.program, "systems", "create", "on-a-terminal", "--memory", "64M", "--on", "-f", "json"],
        env=hawkfish.variables,
        stdout=subprocess.PIPE,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.stdout is not None
    out = process.stdout.read()
    process.stdout.close()
    assert process.wait(120) == 0, shown
    assert b"on-a-terminal" in shown
    assert json.loads(out)["Power"] == "On"
    assert hawkfish("systems", "off", "on-a-terminal", "--force").returncode == 0
    assert hawkfish("systems", "rm", "on-a-terminal", "-y").returncode == 0


def test_a_closed_pipe_is_no_error(hawkfish):
    done = subprocess.run(
        f"{sys.executable} -m hawkfish.cli.main systems ls | true; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        env=hawkfish.variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.strip() in {"0", "141"}
