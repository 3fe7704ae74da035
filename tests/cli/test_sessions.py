"""Contexts and sessions."""

import argparse
import json
import os
import stat

import httpx
import pytest

from hawkfish.cli.contexts import Context, ContextStore
from hawkfish.cli.target import find_target

from .fake import SYSTEM_PATH, TOKEN, URL, Fake, error, ok, run, system

SESSIONS = "/redfish/v1/SessionService/Sessions"


def log_in(fake, *words):
    return run(fake, "--url", URL, "login", "--password-stdin", *words, stdin="pw-of-admin\n")


def test_a_login_is_kept_for_its_owner_only(contexts_file):
    done = log_in(Fake(), "-f", "json")
    assert done.code == 0, done.err
    assert done.json == {"Context": "hawkfish.test:8443", "URL": URL, "User": "admin", "CA File": ""}
    assert stat.S_IMODE(contexts_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(contexts_file.parent.stat().st_mode) == 0o700
    saved = contexts_file.read_text()
    assert TOKEN in saved
    assert "pw-of-admin" not in saved + done.out + done.err


def test_what_follows_uses_the_session():
    fake = Fake()
    log_in(fake)
    assert run(fake, "systems", "show", "web1", "-f", "value", "-c", "Name").out == "web1\n"
    assert fake.sent("GET", SYSTEM_PATH)[0].headers["X-Auth-Token"] == TOKEN
    assert len(fake.sent("POST", SESSIONS)) == 1


def test_an_ended_session_is_one_line_that_says_what_to_do():
    fake = Fake()
    log_in(fake)
    fake.routes[f"GET {SYSTEM_PATH}"] = error(401, ("No.", "None."))
    done = run(fake, "systems", "show", "web1")
    assert done.code == 4
    assert "hawkfish login" in done.error


def test_an_ended_session_is_renewed_when_credentials_are_at_hand(monkeypatch, contexts_file):
    fake = Fake()
    log_in(fake)
    fake.routes[f"GET {SYSTEM_PATH}"] = [error(401, ("No.", "None.")), ok(system())]
    fake.routes[f"POST {SESSIONS}"] = ok({}, 201, **{"X-Auth-Token": "beef", "Location": f"{SESSIONS}/s2"})
    monkeypatch.setenv("HF_USERNAME", "admin")
    monkeypatch.setenv("HF_PASSWORD", "pw-of-admin")
    assert run(fake, "systems", "show", "web1").code == 0
    assert json.loads(contexts_file.read_text())["contexts"]["hawkfish.test:8443"]["token"] == "beef"


def test_credentials_alone_make_a_session_that_ends_with_the_command(monkeypatch, contexts_file):
    monkeypatch.setenv("HF_URL", URL)
    monkeypatch.setenv("HF_USERNAME", "admin")
    monkeypatch.setenv("HF_PASSWORD", "pw-of-admin")
    fake = Fake()
    assert run(fake, "systems", "show", "web1").code == 0
    assert len(fake.sent("POST", SESSIONS)) == 1
    assert len(fake.sent("DELETE", f"{SESSIONS}/s1")) == 1
    assert not contexts_file.exists()


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        ([], {"HF_PASSWORD": "pw"}, ("admin", "pw")),
        (["--username", "ann"], {"HF_PASSWORD": "pw"}, ("ann", "pw")),
        (["--username", "ann"], {"HF_USERNAME": "ann", "HF_PASSWORD": "pw"}, ("ann", "pw")),
        (["--password-stdin"], {"HF_USERNAME": "ann"}, ("ann", "typed")),
        (["--username", "bob"], {"HF_USERNAME": "ann", "HF_PASSWORD": "pw"}, None),
    ],
)
def test_a_login_takes_from_the_environment_what_is_not_said(monkeypatch, words, variables, said):
    """Never the password of another."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    fake = Fake()
    done = run(fake, "--url", URL, "login", *words, stdin="typed\n")
    if said is None:
        assert done.code == 2
        assert "There is no terminal to ask for the password" in done.error
        return
    assert done.code == 0, done.err
    (request,) = fake.sent("POST", SESSIONS)
    sent = json.loads(request.content)
    assert (sent["UserName"], sent["Password"]) == said


def test_wrong_credentials():
    fake = Fake({f"POST {SESSIONS}": error(401, ("No.", "None."))})
    done = log_in(fake)
    assert done.code == 4
    assert "pw-of-admin" not in done.err


def test_contexts_are_listed_used_and_removed():
    fake = Fake()
    log_in(fake)
    log_in(fake, "--name", "second")
    listed = run(None, "context", "list", "-f", "json").json
    assert [(row["Name"], row["In Use"], row["Logged In"]) for row in listed] == [
        ("hawkfish.test:8443", False, True),
        ("second", True, True),
    ]
    assert TOKEN not in json.dumps(listed)
    assert run(None, "context", "use", "hawkfish.test:8443").code == 0
    assert run(None, "context", "rm", "second").code == 0
    assert run(None, "context", "use", "second").code == 3
    assert run(fake, "logout").code == 0
    assert run(None, "context", "ls", "-f", "json").json[0]["Logged In"] is False
    assert run(fake, "systems", "ls").code in {3, 4}


def test_no_password_on_the_command_line_and_none_to_ask_for():
    assert run(Fake(), "--url", URL, "login", "--password", "x").code == 2
    assert run(Fake(), "--url", URL, "login").code == 2


def test_nothing_is_known_of_any_service():
    done = run(Fake(), "systems", "ls")
    assert done.code == 6
    assert "hawkfish serve" in done.error


def test_a_service_that_is_away():
    fake = Fake({"GET /redfish/v1/Systems/web1": httpx.ConnectError("Connection refused")})
    done = run(fake, "--url", URL, "systems", "show", "web1")
    assert done.code == 6
    assert URL in done.error


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "https://admin:secret-word@host"])
def test_addresses_that_are_none(url):
    done = run(Fake(), "--url", url, "systems", "ls")
    assert done.code == 2
    assert "secret-word" not in done.err


def test_the_service_of_this_machine_is_found_by_its_ready_file(home):
    data = home / "data"
    data.mkdir()
    ready = {"url": URL, "username": "root-admin", "ca_file": None, "pid": os.getpid()}
    (data / "ready.json").write_text(json.dumps(ready))
    fake = Fake()
    done = run(fake, "login", "--password-stdin", "-f", "json", stdin="pw-of-admin\n")
    assert (done.json["URL"], done.json["User"]) == (URL, "root-admin")
    (data / "ready.json").write_text(json.dumps(ready | {"pid": 2**22 + 1}))
    assert run(None, "context", "rm", "hawkfish.test:8443").code == 0
    assert run(fake, "systems", "ls").code == 6


def test_what_runs_here_now_is_trusted_over_what_was_saved(home):
    save = ContextStore()
    with save.changing() as change:
        change.contexts = change.contexts.with_context(Context(name="before", url=URL, ca_file="/gone/ca.crt"))
    data = home / "data"
    data.mkdir()
    ready = {"url": URL, "username": "admin", "ca_file": "/new/ca.crt", "pid": os.getpid()}
    (data / "ready.json").write_text(json.dumps(ready))
    options = argparse.Namespace(context=None, url=None, ca_file=None)
    assert str(find_target(options).ca_file) == "/new/ca.crt"
    assert str(find_target(argparse.Namespace(**vars(options) | {"ca_file": "/given"})).ca_file) == "/given"


def test_a_spoilt_contexts_file_is_one_line(contexts_file):
    contexts_file.parent.mkdir(parents=True)
    contexts_file.write_text("{]")
    assert str(contexts_file) in run(None, "context", "ls").error


def test_a_ca_that_cannot_be_trusted_is_one_line(tmp_path):
    empty = tmp_path / "empty.crt"
    empty.write_text("")
    for file in (tmp_path / "none.crt", empty):
        done = run(None, "--url", URL, "--ca-file", str(file), "systems", "ls")
        assert done.code == 2
        assert str(file) in done.error


def test_a_write_bound_to_what_was_read_is_not_repeated_blindly():
    fake = Fake({f"PATCH {SYSTEM_PATH}": httpx.ReadTimeout("lost")})
    log_in(fake)
    assert run(fake, "systems", "set", "web1", "--label", "a=b").code == 6
    assert len(fake.sent("PATCH", SYSTEM_PATH)) == 1


def test_an_end_of_input_where_a_password_is_asked_for_is_an_interruption(monkeypatch):
    def ended(_):
        raise EOFError

    monkeypatch.setattr("getpass.getpass", ended)
    done = run(Fake(), "--url", URL, "login", terminal=True)
    assert (done.code, done.err) == (130, "hawkfish: interrupted\n")
