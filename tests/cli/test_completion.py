"""Completion scripts: read by a real bash, which is then asked what it would offer."""

import subprocess
import sys

import pytest
import shtab

from tests.cli.fake import run


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    command = [sys.executable, "-m", "hawkfish.cli.main", "completion", "bash"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    assert done.stderr == ""
    file = tmp_path_factory.mktemp("completion") / "hawkfish.bash"
    file.write_text(done.stdout)
    return file


def offered(script, *words):
    """What bash offers for the last of the words."""
    typed = " ".join(f"'{word}'" for word in ("hawkfish", *words))
    asked = f'source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _shtab_hawkfish; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.split())


def test_commands_are_offered_word_by_word(script):
    assert {"systems", "hosts", "users", "completion"} <= offered(script, "")
    assert {"ls", "show", "create", "set", "passwd", "rm"} <= offered(script, "users", "")
    assert offered(script, "admin", "d") == {"db"}
    assert {"check", "upgrade"} <= offered(script, "admin", "db", "")


def test_options_and_their_values_are_offered(script):
    assert "--role" in offered(script, "users", "create", "--")
    assert offered(script, "users", "create", "--role", "") == {"Administrator", "Operator", "ReadOnly"}


@pytest.mark.parametrize("shell", shtab.SUPPORTED_SHELLS)
def test_every_shell_gets_a_script_with_every_command(shell):
    done = run(None, "completion", shell)
    assert (done.code, done.err) == (0, "")
    assert "systems" in done.out
