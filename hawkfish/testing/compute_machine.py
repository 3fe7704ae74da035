"""A hypothesis state machine for compute drivers: any order of life-cycle calls, compared with a model after each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hawkfish.domain.machines import MachineSpec, PowerState
from hawkfish.errors import AlreadyExists, Conflict, MachineNotFound
from hawkfish.plugins.compute import ComputeDriver

SLOTS = st.integers(0, 2)


@dataclass
class Expected:
    """What the model knows of a machine."""

    spec: MachineSpec
    run_id: str | None = None


class ComputeDriverMachine(RuleBasedStateMachine):
    """Three machines that are defined, renamed, started, stopped and removed in any order.

    Args:
        driver: An opened driver.
        new_spec: Gives specifications of new machines.
    """

    def __init__(self, driver: ComputeDriver, new_spec: Callable[[], MachineSpec]) -> None:
        super().__init__()
        self.driver = driver
        self.specs = [new_spec() for _ in range(3)]
        self.expected: dict[int, Expected] = {}

    def teardown(self) -> None:
        """Leaves nothing behind for the next example."""
        for spec in self.specs:
            self.driver.power_off_machine(spec.id)
            self.driver.remove_machine(spec.id)

    @rule(slot=SLOTS, vcpus=st.integers(1, 2))
    def define(self, slot: int, vcpus: int) -> None:
        """Defines a machine, or changes it."""
        spec = replace(self.specs[slot], vcpus=vcpus)
        known = self.expected.get(slot)
        made = self.driver.define_machine(spec)
        assert made.run_id == (known.run_id if known else None)
        self.expected[slot] = Expected(spec, made.run_id)

    @rule(slot=SLOTS, other=SLOTS)
    def define_with_the_name_of_another(self, slot: int, other: int) -> None:
        """A name is taken once."""
        if slot != other and other in self.expected:
            try:
                self.driver.define_machine(replace(self.specs[slot], name=self.specs[other].name))
            except (AlreadyExists, Conflict):
                return
            raise AssertionError("two machines have one name")

    @rule(slot=SLOTS)
    def start(self, slot: int) -> None:
        """Starts what is there; a running machine stays in its run."""
        known = self.expected.get(slot)
        try:
            run_id = self.driver.start_machine(self.specs[slot].id).run_id
        except MachineNotFound:
            assert known is None
            return
        assert known is not None
        assert run_id
        assert known.run_id in (None, run_id)
        known.run_id = run_id

    @rule(slot=SLOTS)
    def power_off(self, slot: int) -> None:
        """Cuts the power of whatever is there."""
        self.driver.power_off_machine(self.specs[slot].id)
        if slot in self.expected:
            self.expected[slot].run_id = None

    @rule(slot=SLOTS)
    def remove(self, slot: int) -> None:
        """Removes what is off."""
        known = self.expected.get(slot)
        try:
            self.driver.remove_machine(self.specs[slot].id)
        except Conflict:
            assert known is not None
            assert known.run_id
            return
        assert known is None or known.run_id is None
        self.expected.pop(slot, None)

    @rule()
    def reconnect(self) -> None:
        """Machines outlive the connection."""
        self.driver.close()
        self.driver.open()

    @invariant()
    def all_is_as_expected(self) -> None:
        """The host has exactly what the model has."""
        ours = {spec.id: slot for slot, spec in enumerate(self.specs)}
        listed = {ours[item.id]: item for item in self.driver.list_machines() if item.id in ours}
        assert listed.keys() == self.expected.keys()
        for slot, known in self.expected.items():
            found = listed[slot]
            assert (found.name, found.run_id) == (known.spec.name, known.run_id)
            assert found.power_state is (PowerState.ON if known.run_id else PowerState.OFF)
            if known.run_id is None:
                assert found.vcpus == known.spec.vcpus
