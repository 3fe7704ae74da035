from __future__ import annotations

from collections.abc import Sequence

from hawkfish.plugins.compute import (
    ComputeDriver,
    LiveMigration,
    MigrationControl,
    MigrationReport,
    SupportsLiveMigration,
)
from hawkfish.plugins.migration import MigrationPlan, MigrationStrategy


class PatientStrategy(MigrationStrategy):
    """Live migration with a long pause allowed at its end."""

    def precheck(self, plan: MigrationPlan, source: ComputeDriver, target: ComputeDriver) -> Sequence[str]:
        if not isinstance(source, SupportsLiveMigration):
            return ("The source's driver cannot migrate.",)
        return source.check_migration(plan.machine.id, self.build(plan), target)

    def build(self, plan: MigrationPlan) -> LiveMigration:
        return LiveMigration(target=plan.target_specification, target_uri=plan.target_uri, downtime_ms=5000)

    def transfer(
        self, plan: MigrationPlan, source: ComputeDriver, target: ComputeDriver, control: MigrationControl
    ) -> MigrationReport:
        assert isinstance(source, SupportsLiveMigration)
        return source.migrate_machine(plan.machine.id, self.build(plan), control)
