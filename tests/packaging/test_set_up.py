"""What `make run` and `make venv` install is installed without many words, and not in silence either."""

import os
import pty
import subprocess
from pathlib import Path

QUIETLY = Path(__file__).parents[2] / "scripts" / "quietly"


def command(tmp_path, text):
    """Says something, goes on until the file `go` is there, and fails."""
    (tmp_path / "said").write_text(text)
    script = "cat said; until [ -e go ]; do sleep 0.1; done; echo broken >&2; exit 3"
    return [QUIETLY, "log", "bash", "-c", script]


def at_a_terminal(tmp_path, text, expected):
    """What is seen at a terminal, until what is expected has been seen and the command is at its end; and the exit code."""
    terminal, its_end = pty.openpty()
    words = command(tmp_path, text)
    with subprocess.Popen(words, cwd=tmp_path, stdin=its_end, stdout=its_end, stderr=its_end) as process:
        os.close(its_end)
        seen = ""
        try:
            while piece := os.read(terminal, 4096):
                seen += piece.decode()
                if expected in seen:
                    (tmp_path / "go").touch()
        except OSError:  # its other end is closed: the command is at its end
            pass
        finally:
            os.close(terminal)
    return seen, process.returncode


def test_at_a_terminal_one_line_tells_how_far_it_is(tmp_path):
    seen, code = at_a_terminal(tmp_path, "Reading\nUnpacking qemu\n", " s  Unpacking qemu")
    assert code == 3
    assert seen.endswith("\r\x1b[K")  # nothing is left of it
    assert "\n" not in seen
    assert (tmp_path / "log").read_text() == "Reading\nUnpacking qemu\nbroken\n"


def test_what_the_command_says_does_not_steer_the_terminal(tmp_path):
    seen, code = at_a_terminal(tmp_path, "a\t\x1b[31m50 %\r100 %\x1b[0m", "100 %")
    assert code == 3
    assert set(seen.replace("\r\x1b[K", "")).isdisjoint("\t\x1b\r\n")


def test_elsewhere_nothing_is_said(tmp_path):
    (tmp_path / "go").touch()
    result = subprocess.run(command(tmp_path, "Reading\n"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (3, "", "")
    assert (tmp_path / "log").read_text() == "Reading\nbroken\n"
