"""The page that the validators write: it is whole, and says of no run what the run has not found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.conformance import LIBVIRT, PAGE, RUNS, SERVICE, SESSION, rendered_again, rows_of, tell
from tests.api.validators import WARNINGS, Verdict

RUN = (SERVICE, LIBVIRT, SESSION)


def test_the_page_tells_of_every_run_and_of_every_exception() -> None:
    assert rows_of() == set(RUNS)
    assert rendered_again() == PAGE.read_text("utf-8")


def test_a_page_that_says_something_else_is_written_anew_and_fails(tmp_path: Path) -> None:
    page = tmp_path / "conformance.md"
    page.write_text(PAGE.read_text("utf-8"), "utf-8")
    expected = Verdict("", 700, frozenset(WARNINGS), frozenset())
    tell(RUN, expected, page)
    other = Verdict("", 700, frozenset({*WARNINGS, "something new"}), frozenset())
    with pytest.raises(AssertionError, match="look at the difference"):
        tell(RUN, other, page)
    assert page.read_text("utf-8") != PAGE.read_text("utf-8")
    tell(RUN, other, page)
    with pytest.raises(AssertionError):
        tell(RUN, expected, page)
    assert page.read_text("utf-8") == PAGE.read_text("utf-8")
