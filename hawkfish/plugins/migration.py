"""The interface of migration strategies: how a machine gets from one host to another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from hawkfish.domain.machines import MachineObservation, MachineSpec
from hawkfish.plugins.compute import ComputeDriver, LiveMigration, MigrationControl, MigrationReport


@dataclass(frozen=True, kw_only=True)
class MigrationPlan:
    """A move that core asks strategies about.

    Attributes:
        machine: As it runs at the source now.
        specification: Its definition, with the disks as the source connects them.
        target_specification: The same, with the disks as the target will connect them.
        shared_disks: Ids of disks on pools that both hosts share, by identity of the pool.
    """

    machine: MachineObservation
    specification: MachineSpec
    target_specification: MachineSpec
    target_uri: str
    shared_disks: frozenset[str] = frozenset()
    time_budget: timedelta = timedelta(hours=2)


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A step of a convergence ladder: what to change when a migration has stalled on the rung before."""

    downtime_ms: int | None = None
    auto_converge: bool = False
    post_copy: bool = False


class MigrationStrategy(ABC):
    """One way to move a machine. A failed or aborted move leaves the machine running where it was."""

    ladder: Sequence[Rung] = ()

    @abstractmethod
    def precheck(self, plan: MigrationPlan, source: ComputeDriver, target: ComputeDriver) -> Sequence[str]:
        """Reasons why this strategy cannot do it, each a sentence; empty if it can be tried. Changes nothing."""

    @abstractmethod
    def build(self, plan: MigrationPlan) -> LiveMigration:
        """The parameters of the move."""

    @abstractmethod
    def transfer(
        self, plan: MigrationPlan, source: ComputeDriver, target: ComputeDriver, control: MigrationControl
    ) -> MigrationReport:
        """Moves the machine; returns when it runs at the target (or lies there, where it was off)."""
