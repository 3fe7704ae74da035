"""Blocking calls with a deadline.

libvirt blocks in C and cannot be interrupted, so each call gets a native thread and the caller waits for it no longer than
allowed. A call that does not return keeps its place: when all places hang, new calls are refused at once instead of
piling up behind them. One that was given up may still take effect, so a change of the same subject waits until it is back: else
an undo could come before what it is to undo.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from hawkfish.errors import BackendTimeout, HostUnavailable

Result = TypeVar("Result")

_ABANDONED_FACTOR = 3

Beat = Callable[[], None]
"""Says that something moved: the deadline of the call starts anew."""


class _Call(Generic[Result]):
    """One call in flight."""

    def __init__(self, operation: str, seconds: float, subject: str | None, owner: str | None) -> None:
        self.operation = operation
        self.subject = subject
        self.owner = owner
        self.seconds = seconds
        self.abandoned = False
        self.done = threading.Event()
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.deadline = time.monotonic() + seconds

    def beat(self) -> None:
        self.deadline = time.monotonic() + self.seconds

    @property
    def remaining(self) -> float:
        return self.deadline - time.monotonic()


class CallPool:
    """A bounded number of calls to one peer.

    Args:
        peer: Name of the host, for messages.
        size: How many calls may be in flight, those that hang included.
    """

    def __init__(self, peer: str, size: int) -> None:
        self._peer = peer
        self._size = size
        self._condition = threading.Condition()
        self._in_flight: set[_Call[object]] = set()

    def abandon(self) -> None:
        """Gives their places to others: the calls in flight hang on a connection that was given up, and end when they can."""
        with self._condition:
            for call in self._in_flight:
                call.abandoned = True
            self._condition.notify_all()

    @property
    def hanging(self) -> int:
        """Calls that are past their deadline and have not come back."""
        with self._condition:
            return self._count_hanging()

    def run(
        self,
        operation: str,
        function: Callable[[Beat], Result],
        seconds: float,
        *,
        subject: str | None = None,
        owner: str | None = None,
    ) -> Result:
        """Runs `function(beat)` in a thread of its own.

        Args:
            operation: For messages.
            function: What to do.
            seconds: Deadline.
            subject: What it changes; an earlier change of the same that is past its deadline is waited for.
            owner: Whose call it is, such as a machine's. Each owner has one place, and all together leave one to calls of nobody,
                so that one that is stuck is not in the way of others.

        Raises:
            BackendTimeout: It did not end in time, or could not begin in time.
            HostUnavailable: All places are taken by calls that hang.
        """
        call: _Call[Result] = _Call(operation, seconds, subject, owner)
        self._take_place(cast("_Call[object]", call))
        # Daemon threads: one that hangs in C must not keep the process from ending.
        threading.Thread(target=self._work, args=(call, function), name=f"libvirt {operation}", daemon=True).start()
        while (remaining := call.remaining) > 0:
            if call.done.wait(remaining):
                break
        if not call.done.is_set():
            raise BackendTimeout(
                f"{operation} on host {self._peer} did not end within {seconds:g} s; whether it took effect is not known. "
                "Look at the host, then try again.",
                operation=operation,
                host=self._peer,
                reason="deadline",
                seconds=seconds,
            )
        if call.error is not None:
            raise call.error
        return cast("Result", call.result)

    def _work(self, call: _Call[Result], function: Callable[[Beat], Result]) -> None:
        try:
            call.result = function(call.beat)
        except BaseException as error:  # noqa: BLE001  handed to the caller, whatever it is
            _let_locals_go(error)
            call.error = error
        finally:
            with self._condition:
                self._in_flight.discard(cast("_Call[object]", call))
                self._condition.notify_all()
            call.done.set()

    def _count_hanging(self) -> int:
        return sum(1 for call in self._in_flight if call.remaining <= 0 and not call.abandoned)

    def _count_here(self) -> int:
        return sum(1 for call in self._in_flight if not call.abandoned)

    @property
    def _is_strewn(self) -> bool:
        """Whether so many calls hang on connections that were given up that no more threads are risked."""
        return len(self._in_flight) - self._count_here() >= _ABANDONED_FACTOR * self._size

    def _wait_for_the_late(self, call: _Call[object]) -> None:
        """Waits until no change of the same subject is under way whose caller has given up."""
        while late := [other for other in self._in_flight if other.remaining <= 0 and other.subject == call.subject]:
            if call.remaining <= 0:
                raise BackendTimeout(
                    f"{call.operation} on host {self._peer} was not tried: {late[0].operation}, which was given up, has not "
                    "come back and may still take effect. Look at the host, then try again.",
                    operation=call.operation,
                    host=self._peer,
                    reason="an earlier call hangs",
                    seconds=call.seconds,
                )
            self._condition.wait(max(0.001, call.remaining))

    def _take_place(self, call: _Call[object]) -> None:
        with self._condition:
            if call.subject is not None:
                self._wait_for_the_late(call)
            while not self._has_place(call):
                self._refuse_if_stuck(call)
                # Woken by a call that ends, or when the next one becomes overdue.
                next_overdue = min((other.remaining for other in self._in_flight if other.remaining > 0), default=0.0)
                if call.remaining <= 0:
                    raise BackendTimeout(
                        f"{call.operation} on host {self._peer} found no free connection within {call.seconds:g} s and was "
                        "not tried. Try again.",
                        operation=call.operation,
                        host=self._peer,
                        reason="busy",
                        seconds=call.seconds,
                    )
                self._condition.wait(max(0.001, min(call.remaining, next_overdue)))
            call.beat()
            self._in_flight.add(call)

    def _has_place(self, call: _Call[object]) -> bool:
        busy = self._count_here() >= self._places_for(call) or self._is_strewn
        return not busy and self._earlier_of_owner(call) is None

    def _places_for(self, call: _Call[object]) -> int:
        return self._size if call.owner is None else max(1, self._size - 1)

    def _earlier_of_owner(self, call: _Call[object]) -> _Call[object] | None:
        if call.owner is None:
            return None
        return next((one for one in self._in_flight if one.owner == call.owner and not one.abandoned), None)

    def _refuse_if_stuck(self, call: _Call[object]) -> None:
        earlier = self._earlier_of_owner(call)
        if earlier is not None and earlier.remaining <= 0:
            raise BackendTimeout(
                f"{call.operation} on host {self._peer} was not tried: {earlier.operation}, which was given up, has not come "
                "back. Look at the machine; ForceOff may still work.",
                operation=call.operation,
                host=self._peer,
                reason="an earlier call hangs",
                seconds=call.seconds,
            )
        if self._count_hanging() >= self._places_for(call) or self._is_strewn:
            stuck = ", ".join(sorted({other.operation for other in self._in_flight}))
            raise HostUnavailable(
                f"{call.operation} on host {self._peer} was not tried: {len(self._in_flight)} earlier calls hang ({stuck}). "
                "Look at libvirtd and the storage of the host.",
                operation=call.operation,
                host=self._peer,
                reason="calls hang",
            )


def _let_locals_go(error: BaseException) -> None:
    """Has an error keep the lines that led to it, and not what was at hand there.

    That is objects of libvirt, which go with the last that knows of them; the last on a connection closes it, and so waits for the
    host. An error and its traceback know each other, so it would be whoever collects garbage, such as a thread that holds the
    database.
    """
    chain: BaseException | None = error
    while chain is not None:
        traceback.clear_frames(chain.__traceback__)
        chain = chain.__cause__ or chain.__context__
