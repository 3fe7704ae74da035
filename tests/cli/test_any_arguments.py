"""Whatever is typed: a command ends with a status and a line that can be read, and what was refused is never a success."""

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hawkfish.cli.commands import COMMANDS

from .fake import Fake, run

# Those that run a part of the service, or look at this machine and ask no service.
ELSEWHERE = ("admin", "api", "completion", "context", "doctor", "log", "plugins", "serve", "simulator", "worker")
LONG = "x" * 10_000
WORDS = st.one_of(
    st.sampled_from(
        ["", " ", "-", "--", "---", "-x", "--no-such", "=", "a b", "ünïcødé", "../..", "%00", "?a=b#c", "\n", LONG]
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
)


class Witness:
    """Passes requests on to the fake service, and keeps its answers."""

    def __init__(self) -> None:
        self.answers: list[httpx.Response] = []
        self._fake = Fake()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.answers.append(self._fake(request))
        return self.answers[-1]


@pytest.mark.usefixtures("logged_in")
@pytest.mark.parametrize("words", sorted(words for words in COMMANDS if not words.startswith(ELSEWHERE)))
@example([])
@example([""])
@example(["--", "-web1"])
@example(["--", "../../redfish/v1", "a b", LONG])
@example([LONG])
# The same home for all will do.
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(arguments=st.lists(WORDS, min_size=1, max_size=3))
def test_no_arguments_make_a_traceback_or_a_success_of_a_refusal(home, monkeypatch, capsys, words, arguments):
    monkeypatch.chdir(home)
    witness = Witness()
    done = run(witness, *words.split(), *arguments)
    said = done.err + capsys.readouterr().err  # argparse speaks for itself
    assert "Traceback" not in said + done.out
    if any(answer.is_error for answer in witness.answers):
        assert done.code != 0, done
    if done.code != 0:
        assert said.strip(), "it says what was wrong"
