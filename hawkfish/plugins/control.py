"""What core hands to operations that may take long: where to report, and how to learn that nobody wants them any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _nothing(done_bytes: int) -> None:
    """Nobody wants to know."""


def _go_on() -> None:
    """Nobody wants it to end."""


@dataclass(frozen=True, kw_only=True)
class OperationControl:
    """The caller's side of an operation that takes as long as its volume is large.

    An operation that works piece by piece calls `report` after each; one that cannot be stopped in the middle calls `check`
    before it begins, and whenever it could still turn back. Both are called in whatever thread does the work.

    Attributes:
        check: Returns while the operation is wanted; raises (`Aborted`, `LeaseLost`) when it is to end. The operation then leaves
            things as they were before it, as far as it can, and lets the error pass.
        progress: Gets the number of bytes done.
    """

    check: Callable[[], None] = _go_on
    progress: Callable[[int], None] = _nothing

    def report(self, done_bytes: int) -> None:
        """Says how far the operation is; raises what `check` raises."""
        self.check()
        self.progress(done_bytes)


UNCONTROLLED = OperationControl()
"""For callers that wait for the end, whatever comes."""
