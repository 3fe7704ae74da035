"""Users by the real command against a real service."""

import json
import os
import subprocess
import sys

import pytest

USERS = ("Name", "Role", "Enabled", "Locked", "Must Change Password")


def run(service, user, password, *argv, stdin=""):
    """The command as another user."""
    variables = os.environ | {
        "HF_URL": service["url"],
        "HF_CA_FILE": service["ca_file"],
        "HF_USERNAME": user,
        "HF_PASSWORD": password,
        "XDG_CONFIG_HOME": "/nonexistent",  # not the context of the one who is logged in
    }
    command = [sys.executable, "-m", "hawkfish.cli.main", *argv]
    return subprocess.run(command, env=variables, input=stdin, capture_output=True, text=True, timeout=200, check=False)


@pytest.fixture
def user(hawkfish):
    """A user of this test with a password of the service's making."""
    done = hawkfish("users", "create", "ci", "--role", "Operator", "--generate", "-f", "json")
    assert (done.returncode, done.stderr) == (0, "")
    yield json.loads(done.stdout)
    hawkfish("users", "rm", "ci", "--yes")


@pytest.mark.slow
def test_a_user_is_made_and_logs_in(hawkfish, service, user):
    assert {key: user[key] for key in USERS} == {
        "Name": "ci",
        "Role": "Operator",
        "Enabled": True,
        "Locked": False,
        "Must Change Password": False,
    }
    assert len(user["Password"]) >= 24
    seen = run(service, "ci", user["Password"], "users", "ls", "-f", "json")
    assert [row["Name"] for row in json.loads(seen.stdout)] == ["ci"], "no more than oneself"
    assert {row["Name"] for row in json.loads(hawkfish("users", "ls", "-f", "json").stdout)} == {"admin", "ci"}
    assert "Password" not in json.loads(hawkfish("users", "show", "ci", "-f", "json").stdout)


@pytest.mark.slow
def test_users_change_their_own_passwords_only(hawkfish, service, user):
    done = run(
        service, "ci", user["Password"], "users", "passwd", "ci", "--password-stdin", stdin="Nine-Quiet-Owls-44\n"
    )
    assert (done.returncode, done.stderr) == (0, "The password of ci is changed.\n")
    assert run(service, "ci", user["Password"], "users", "ls").returncode == 4
    refused = run(service, "ci", "Nine-Quiet-Owls-44", "users", "passwd", "admin", "--generate")
    assert (refused.returncode, refused.stdout) == (3, ""), "what one may not see is not there"
    made = hawkfish("users", "passwd", "ci", "--generate", "-q")
    assert run(service, "ci", made.stdout.strip(), "users", "show", "ci").returncode == 0


@pytest.mark.slow
def test_a_user_is_disabled_renamed_and_removed(hawkfish, service, user):
    changed = hawkfish("users", "set", "ci", "--disable", "--role", "ReadOnly", "-f", "json")
    assert (json.loads(changed.stdout)["Role"], json.loads(changed.stdout)["Enabled"]) == ("ReadOnly", False)
    assert run(service, "ci", user["Password"], "users", "ls").returncode == 4
    assert hawkfish("users", "set", "ci", "--enable", "--name", "robot").returncode == 0
    assert run(service, "robot", user["Password"], "users", "ls").returncode == 0
    removed = hawkfish("users", "rm", "robot", "--yes", "-f", "json")
    assert json.loads(removed.stdout)[0]["Result"] == "removed"
    assert hawkfish("users", "show", "robot").returncode == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argv", "stdin", "said"),
    [
        (["users", "create", "x"], "", "There is no terminal to ask for the password"),
        (["users", "create", "x", "--password-stdin"], "\n", "The password is empty"),
        (["users", "create", "x", "--password-stdin"], "short\n", "assword"),
        (["users", "set", "admin"], "", "Nothing is to be changed"),
        (["users", "rm", "admin"], "", "repeat the command with --yes"),
    ],
)
def test_what_cannot_be_done_is_said(service, argv, stdin, said):
    done = run(service, "admin", service_password(), *argv, stdin=stdin)
    assert done.returncode == 2, done
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def service_password():
    from tests.cli.conftest import PASSWORD

    return PASSWORD
