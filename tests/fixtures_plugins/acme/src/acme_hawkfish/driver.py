from __future__ import annotations

import os
from uuid import UUID, uuid4

from hawkfish.domain.hosts import HostFacts, Virtualisation
from hawkfish.domain.machines import MachineObservation, MachineSpec, PowerState, StartOptions
from hawkfish.errors import Conflict
from hawkfish.plugins.compute import ComputeDriver


class AcmeDriver(ComputeDriver):
    """Machines in a dictionary: enough for a factory to make something real."""

    def __init__(self, uri: str, *, timeout: float, region: str = "eu") -> None:
        self.uri = uri
        self.timeout = timeout
        self.region = region
        self._specs: dict[UUID, MachineSpec] = {}
        self._runs: dict[UUID, str] = {}

    def open(self) -> None:
        """There is nothing to connect to."""

    def close(self) -> None:
        """There is nothing to let go of."""

    def probe(self) -> HostFacts:
        return HostFacts(
            hostname=self.uri,
            hypervisor="Acme 1",
            architecture=os.uname().machine,
            cpus=os.cpu_count() or 1,
            memory_mib=1024,
            virtualisation=Virtualisation.SIMULATED,
        )

    def list_machines(self) -> tuple[MachineObservation, ...]:
        return tuple(self._observe(spec) for spec in self._specs.values())

    def find_machine(self, machine_id: UUID) -> MachineObservation | None:
        spec = self._specs.get(machine_id)
        return self._observe(spec) if spec else None

    def define_machine(self, spec: MachineSpec) -> MachineObservation:
        self._specs[spec.id] = spec
        return self._observe(spec)

    def remove_machine(self, machine_id: UUID) -> None:
        if machine_id in self._runs:
            raise Conflict(f"Machine {machine_id} runs; power it off first.")
        self._specs.pop(machine_id, None)

    def start_machine(self, machine_id: UUID, options: StartOptions | None = None) -> MachineObservation:
        self._runs.setdefault(machine_id, str(uuid4()))
        return self._observe(self._specs[machine_id])

    def power_off_machine(self, machine_id: UUID) -> None:
        self._runs.pop(machine_id, None)

    def _observe(self, spec: MachineSpec) -> MachineObservation:
        run_id = self._runs.get(spec.id)
        return MachineObservation(
            id=spec.id,
            name=spec.name,
            power_state=PowerState.ON if run_id else PowerState.OFF,
            vcpus=spec.vcpus,
            memory_mib=spec.memory_mib,
            run_id=run_id,
            stamp=spec.stamp,
        )
