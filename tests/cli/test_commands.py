"""The command line itself: help, unknown words, plugins, start-up."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hawkfish.cli.commands import ALIASES, COMMANDS
from hawkfish.cli.errors import MEANINGS, ExitCode
from tests.plugins.distributions import install

from .fake import run

ROOT = Path(__file__).parents[2]
HEAVY = (
    "libvirt",
    "falcon",
    "gevent",
    "gunicorn",
    "sqlalchemy",
    "alembic",
    "httpx",
    "rich.progress",
    "cmd2",
    "cryptography",
)


def test_help_lists_every_command_and_imports_nothing_heavy(tmp_path):
    code = f"""
import sys
from hawkfish.cli.main import main
assert main(["--help"]) == 0
print(sorted(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr.strip() == "[]"
    for words in COMMANDS:
        assert re.search(rf"^  {words}  +\S", done.stdout, re.MULTILINE), words
    assert "cannot be loaded" not in done.stdout


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_each_command_explains_itself(words):
    done = run(None, *words.split(), "--help")
    assert done.code == 0
    assert done.out.startswith(f"usage: hawkfish {words}")
    assert run(None, "help", *words.split()).out == done.out


def test_list_is_ls_everywhere():
    assert set(ALIASES) == {
        "context list",
        "systems list",
        "media list",
        "hosts list",
        "images list",
        "profiles list",
        "tasks list",
        "events list",
        "subscriptions list",
        "audit list",
        "users list",
        "plugins list",
        "pools list",
    }
    done = run(None, "plugins", "list", "-f", "json")
    assert done.json == run(None, "plugins", "ls", "-f", "json").json


@pytest.mark.parametrize("argv", [["systemz", "ls"], ["systems", "frob"], ["systems"], ["systems", "r", "x"]])
def test_unknown_words_are_one_line(argv):
    done = run(None, *argv)
    assert done.code == 2
    assert done.out == ""
    assert "systems" in done.error


def test_unknown_options_are_refused():
    assert run(None, "systems", "ls", "--frob").code == 2
    assert run(None, "--frob").code == 2


def test_no_words_show_help():
    assert "Commands:" in run(None).out


def test_plugins_are_listed_without_a_service():
    rows = run(None, "plugins", "ls", "-f", "json").json
    assert set(rows[0]) == {"Name", "Version", "Status", "API", "Provides"}
    core = next(row for row in rows if row["Name"] == "core")
    assert core["Status"] == "active"
    assert "simulated" in core["Provides"]["compute driver"]
    shown = run(None, "plugins", "show", "core", "-f", "json").json
    assert {"Reason", "Records", "Config Fields"} <= set(shown)
    assert any(record["Name"] == "simulated" and record["Capabilities"] for record in shown["Records"])
    assert run(None, "plugins", "show", "nope").code == 3


def test_commands_of_plugins_and_bad_plugins_beside_them(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    install("acme", site)
    install("broken", site)

    def hawkfish(*argv):
        return subprocess.run(
            [sys.executable, "-m", "hawkfish.cli.main", *argv],
            env={**os.environ, "PYTHONPATH": f"{site}:{ROOT}"},
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=200,
            check=False,
        )

    done = hawkfish("acme", "report", "-f", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"Machine": "all", "Opinion": "fine"}]
    for line in done.stderr.splitlines():
        assert line.startswith("hawkfish: warning: ")
    assert len([line for line in done.stderr.splitlines() if "import_error" in line]) == 1
    assert "acme report" in hawkfish("--help").stdout
    listed = {row["Name"]: row["Status"] for row in json.loads(hawkfish("plugins", "ls", "-f", "json").stdout)}
    assert listed["import_error"] == "failed"
    assert listed["too_new"] == "incompatible"


def test_exit_codes_are_documented():
    text = (ROOT / "docs" / "reference" / "exit-codes.md").read_text()
    helped = run(None, "help", "exit-codes").out
    assert set(MEANINGS) == set(ExitCode)
    for code, meaning in MEANINGS.items():
        assert f"| {int(code)} | {meaning} |" in text
        assert f"{int(code)}  {meaning}" in helped


def test_the_database_is_checked_and_upgraded(tmp_path):
    folder = ["--data-dir", str(tmp_path / "new")]
    done = run(None, "admin", "db", "check", *folder, "-f", "json")
    assert (done.code, done.json["Up To Date"]) == (1, False)
    assert not (tmp_path / "new" / "hawkfish.db").exists()
    done = run(None, "admin", "db", "upgrade", *folder, "-f", "json")
    assert (done.code, done.json["Up To Date"]) == (0, True), done.err
    assert "The account admin was made with the password " in done.err, (
        "nobody could log in at an API that serve did not start"
    )
    done = run(None, "admin", "db", "upgrade", *folder, "-f", "json")
    assert (done.code, done.json["Up To Date"], done.err) == (0, True, "")
    assert run(None, "admin", "db", "check", *folder).code == 0


def test_doctor_says_what_to_do_about_each_finding():
    done = run(None, "doctor", "-f", "json")
    rows = {row["Check"]: row for row in done.json}
    assert done.code == 1  # no service
    assert rows["python"]["Status"] == "ok"
    assert rows["service"]["Status"] == "fail"
    assert {
        "libvirt module",
        "qemu",
        "libvirtd",
        "kvm",
        "uefi firmware",
        "plugins",
        "data directory",
        "database",
        "tls",
    } <= set(rows)
    for row in rows.values():
        assert row["Status"] in {"ok", "warn", "fail"}
        assert row["Found"]
        assert bool(row["What To Do"]) == (row["Status"] != "ok")
