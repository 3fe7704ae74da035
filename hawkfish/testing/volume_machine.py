"""A hypothesis state machine for volumes: made, written, cloned, grown and deleted in any order, compared with a model."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hawkfish.domain.storage import VolumeFacts, VolumeFormat, VolumeSpec
from hawkfish.errors import AlreadyExists, HawkFishError
from hawkfish.testing.volumes import MIB, assert_content, random_bytes

NAMES = ("one", "two", "a.b-c_d+e")
NAME = st.sampled_from(NAMES)
SIZE = st.integers(1, 3)
NUMBER = st.integers(0, 5)
MORE = st.sampled_from([1, 2, 0, -1])


class Volumes(ABC):
    """Volumes of one pool, as the machine works on them; `can_...` says whether the others are called."""

    can_resize = True
    can_clone = True
    can_write = True

    @abstractmethod
    def create(self, spec: VolumeSpec) -> VolumeFacts:
        """Makes one."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Deletes one."""

    @abstractmethod
    def find(self, name: str) -> VolumeFacts | None:
        """Looks for one."""

    @abstractmethod
    def list(self) -> Sequence[VolumeFacts]:
        """Lists all."""

    @abstractmethod
    def restart(self) -> None:
        """Lets go of the pool and takes it up again."""

    @abstractmethod
    def resize(self, name: str, capacity_bytes: int) -> VolumeFacts:
        """Grows one."""

    @abstractmethod
    def clone(self, source: str, spec: VolumeSpec) -> VolumeFacts:
        """Copies one."""

    @abstractmethod
    def write(self, name: str, content: io.BytesIO, length: int) -> None:
        """Writes the whole content of one."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Reads the whole content of one."""


@dataclass(frozen=True)
class Expected:
    """What the model knows of a volume; `content` is None for what is not raw."""

    format: VolumeFormat
    units: int
    content: bytes | None


class VolumeMachine(RuleBasedStateMachine):
    """Three names, and whatever may be done with volumes of them.

    Args:
        volumes: An empty pool.
        formats: What its volumes may be.
        unit: A size in bytes that the pool gives exactly, and multiples of it.
    """

    def __init__(self, volumes: Volumes, formats: frozenset[VolumeFormat], unit: int = MIB) -> None:
        super().__init__()
        self.volumes = volumes
        self.unit = unit
        self.formats = sorted(formats & {VolumeFormat.RAW, VolumeFormat.QCOW2}) or sorted(formats)
        self.expected: dict[str, Expected] = {}
        self.seed = 0

    def teardown(self) -> None:
        """Leaves nothing behind for the next example."""
        for name in NAMES:
            self.volumes.delete(name)

    @initialize(units=SIZE, choice=st.integers(0, 1))
    def begin(self, units: int, choice: int) -> None:
        """Begins with volumes: much can only be done with some."""
        self.create(0, units, choice)
        self.create(0, units, choice + 1)

    def _pick(self, number: int) -> str:
        """A volume that is there, mostly."""
        names = [*sorted(self.expected), *NAMES]
        return names[number % len(names)]

    def _free(self, number: int) -> str | None:
        """A name that is not taken."""
        names = [name for name in NAMES if name not in self.expected]
        return names[number % len(names)] if names else None

    def _spec(self, name: str, known: Expected) -> VolumeSpec:
        return VolumeSpec(name=name, capacity_bytes=known.units * self.unit, format=known.format)

    @rule(number=NUMBER, units=SIZE, choice=st.integers(0, 1))
    def create(self, number: int, units: int, choice: int) -> None:
        """Makes one."""
        name = self._free(number)
        if name is None:
            return
        kind = self.formats[choice % len(self.formats)]
        made = Expected(kind, units, bytes(units * self.unit) if kind is VolumeFormat.RAW else None)
        facts = self.volumes.create(self._spec(name, made))
        assert (facts.name, facts.capacity_bytes, facts.format) == (name, units * self.unit, kind)
        self.expected[name] = made

    @rule(number=NUMBER, more=MORE)
    def create_again(self, number: int, more: int) -> None:
        """The same again is success, another of the name is refused."""
        name = self._pick(number)
        known = self.expected.get(name)
        if known is None:
            return
        wanted = replace(known, units=max(1, known.units + more))
        try:
            self.volumes.create(self._spec(name, wanted))
        except AlreadyExists:
            assert wanted != known
            return
        assert wanted == known

    @rule(name=NAME)
    def delete(self, name: str) -> None:
        """Deletes one, or nothing."""
        self.volumes.delete(name)
        self.expected.pop(name, None)

    @precondition(lambda self: self.volumes.can_resize)
    @rule(number=NUMBER, more=MORE)
    def resize(self, number: int, more: int) -> None:
        """Grows one; it never shrinks, and what is absent does not grow."""
        name = self._pick(number)
        known = self.expected.get(name)
        units = max(1, (known.units if known else 1) + more)
        try:
            facts = self.volumes.resize(name, units * self.unit)
        except HawkFishError:
            assert known is None or units < known.units
            return
        assert known is not None
        assert units >= known.units
        assert facts.capacity_bytes == units * self.unit
        grown = None if known.content is None else known.content.ljust(units * self.unit, b"\0")
        self.expected[name] = replace(known, units=units, content=grown)

    @precondition(lambda self: self.volumes.can_clone)
    @rule(number=NUMBER, free=NUMBER, more=MORE)
    def clone(self, number: int, free: int, more: int) -> None:
        """Copies one to a free name, as large or larger; anything else is refused and changes nothing."""
        source, name = self._pick(number), self._free(free)
        if name is None:
            return
        original = self.expected.get(source)
        units = max(1, (original.units if original else 1) + more)
        kind = original.format if original else self.formats[0]
        spec = VolumeSpec(name=name, capacity_bytes=units * self.unit, format=kind)
        try:
            facts = self.volumes.clone(source, spec)
        except HawkFishError:
            assert original is None or units < original.units
            return
        assert original is not None
        assert units >= original.units
        assert (facts.name, facts.capacity_bytes, facts.format) == (name, units * self.unit, kind)
        content = None if original.content is None else original.content.ljust(units * self.unit, b"\0")
        self.expected[name] = Expected(kind, units, content)

    @precondition(lambda self: self.volumes.can_write)
    @rule(number=NUMBER)
    def write(self, number: int) -> None:
        """Writes a raw one anew."""
        name = self._pick(number)
        known = self.expected.get(name)
        if known is None or known.content is None:
            return
        self.seed += 1
        content = random_bytes(len(known.content), self.seed)
        self.volumes.write(name, io.BytesIO(content), len(content))
        self.expected[name] = replace(known, content=content)

    @precondition(lambda self: self.volumes.can_write)
    @rule()
    def read(self) -> None:
        """Every byte is as it was written, or zero."""
        for name, known in self.expected.items():
            if known.content is not None:
                assert_content(self.volumes.read(name), known.content)

    @rule()
    def restart(self) -> None:
        """Volumes outlive the use of their pool."""
        self.volumes.restart()

    @invariant()
    def all_is_as_expected(self) -> None:
        """The pool has exactly what the model has."""
        listed = {facts.name: facts for facts in self.volumes.list()}
        assert listed.keys() == self.expected.keys()
        for name in NAMES:
            facts, known = self.volumes.find(name), self.expected.get(name)
            assert (facts is None) == (known is None)
            if facts is not None and known is not None:
                assert (facts.capacity_bytes, facts.format) == (known.units * self.unit, known.format)


def run_machine(make: Callable[[], RuleBasedStateMachine], examples: int, steps: int = 20) -> None:
    """Runs a state machine within a test, the same examples each time."""
    given: Any = make
    run_state_machine_as_test(
        given,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
