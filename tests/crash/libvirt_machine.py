"""A machine on real libvirt that is looked at closely: what its firmware was given, and what else is on its host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import libvirt
from hawkfish_libvirt.guest import Guest
from hawkfish_libvirt.uefi_variables import request_setup

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.machines import Firmware, PowerState
from hawkfish.domain.media import MediaRequest
from hawkfish.domain.systems import BootOverride, ResetType, System
from hawkfish.plugins.compute import SupportsSerialLog
from hawkfish.services.accepted import Accepted
from tests.support.file_server import FileServer
from tests.support.libvirt_host import LibvirtHostBed
from tests.support.service import Service, new_system

POOL_OF_VARIABLES = "hawkfish-var-lib-libvirt-qemu-nvram"


class Bed:
    """What is really on the host."""

    def __init__(self, host: LibvirtHostBed) -> None:
        self._host = host
        self._raw = libvirt.open(host.uri)
        self._root = Path(f"/proc/{host.pid}/root")
        self._data = host.data
        self._pools = self.pools()

    def close(self) -> None:
        self._raw.close()

    def guest(self, system: System) -> Guest:
        return Guest(self._raw, self._raw.lookupByUUID(system.id.bytes))

    def pools(self) -> set[str]:
        """All but those on the folder of variables, which HawkFish leaves to the next start."""
        return {pool.name() for pool in self._raw.listAllStoragePools(0)} - {POOL_OF_VARIABLES}

    def forget_variables(self) -> None:
        """Takes the pool on their folder away, as a restart of libvirt does."""
        for pool in self._raw.listAllStoragePools(0):
            if pool.name() == POOL_OF_VARIABLES:
                pool.destroy()

    def variables(self, system: System) -> Path:
        return self._root / f"var/lib/libvirt/qemu/nvram/{system.name}_VARS.fd"

    def asks_for_menu(self, system: System) -> bool:
        """Whether UEFI would enter its set-up menu, had it not read its variables yet."""
        file = self.variables(system)
        return file.exists() and request_setup(file.read_bytes(), wanted=True) is None

    def starts(self, system: System) -> int:
        """How often QEMU was run for it, preparations included."""
        log = self._root / f"var/log/libvirt/qemu/{system.name}.log"
        return log.read_text(errors="replace").count(": starting up libvirt version") if log.exists() else 0

    def order_of_next_reset(self, system: System) -> list[str]:
        """Ids of the devices in the order that QEMU would give firmware now."""
        guest, numbers = self.guest(system), {}
        for item in guest.live().present_devices:
            path = f"/machine/peripheral/{item.alias}"
            number = guest.monitor("qom-get", path=path, property="bootindex")
            if isinstance(number, int) and number >= 0:
                numbers[number] = item.id or ""
        return [numbers[number] for number in sorted(numbers)]

    def copies(self) -> set[str]:
        """Names of the images that drives of the host can hold."""
        return {file.name for file in self._data.rglob("*.iso")}

    def strays(self, systems: list[System]) -> list[str]:
        """Domains, processes, pools and variables that no system accounts for."""
        domains = {domain.name(): bool(domain.isActive()) for domain in self._raw.listAllDomains(0)}
        wanted = {system.name: system.power_state is not PowerState.OFF for system in systems}
        found = [] if domains == wanted else [f"libvirt has the domains {domains}, and the systems are {wanted}"]
        ids = {str(system.id): system.power_state is not PowerState.OFF for system in systems}
        processes = [machine for machine in map(_machine_of, Path("/proc").glob("[0-9]*")) if machine in ids]
        if sorted(processes) != sorted(machine for machine, on in ids.items() if on):
            found.append(f"QEMU runs for {processes}, and the systems are {ids}")
        if (pools := self.pools()) != self._pools:
            found.append(f"pools {pools ^ self._pools}")
        files = {file.name for file in (self._root / "var/lib/libvirt/qemu/nvram").glob("*")}
        return found + [f"variables {name}" for name in files - {f"{name}_VARS.fd" for name in wanted}]


def _machine_of(process: Path) -> str | None:
    """The id of the machine that a process runs."""
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    return words[words.index("-uuid") + 1] if "-uuid" in words else None


class Machine:
    """A system with an empty disk and a CD in its drive."""

    def __init__(self, service: Service, host: LibvirtHostBed, server: FileServer, firmware: Firmware) -> None:
        self.service, self.server, self.verbs = service, server, service.application.systems
        service.kill_worker()
        service.start_ready_worker()
        asked = new_system("starts", empty_bytes=16 << 20, memory_mib=128)
        made = self.verbs.create(SYSTEM_ACTOR, replace(asked, firmware=firmware))
        assert service.wait(made.task).error is None
        self.system_id = made.subject_id
        assert service.wait(self.insert("/first.iso").task).error is None
        self.bed = Bed(host)
        self.usual_order = self.bed.guest(self.system).definition().boot_devices

    def close(self) -> None:
        self.bed.close()
        self.service.kill_worker()
        self.service.start_ready_worker()
        self.service.delete_all()

    @property
    def system(self) -> System:
        return self.verbs.get(SYSTEM_ACTOR, self.system_id)

    def insert(self, path: str) -> Accepted:
        request = MediaRequest(image=self.server.url(path))
        return self.service.application.media.insert(SYSTEM_ACTOR, self.system_id, "Cd", request)

    def reset(self, *reset_types: ResetType) -> list[str]:
        """Does so now; what is wrong with that."""
        tasks = [
            self.service.wait(self.verbs.reset(SYSTEM_ACTOR, self.system_id, each).task, 60) for each in reset_types
        ]
        return [f"{task.title}: {task.error}" for task in tasks if task.error is not None]

    def serial(self) -> str:
        driver = self.service.application.drivers.driver(self.service.host_id)
        assert isinstance(driver, SupportsSerialLog)
        return driver.read_serial_log(self.system_id, 0, 1 << 22).decode(errors="replace")

    def check_running(self, *, first: str) -> list[str]:
        """What is wrong with a machine that was to be started with that device first, and with the usual order at its next reset."""
        system, guest, found = self.system, self.bed.guest(self.system), []
        machine = self.service.machines()[self.system_id]
        if (machine.power_state, system.power_state) != (PowerState.ON, PowerState.ON) or system.stale:
            found.append(
                f"it reads {system.power_state}, stale: {system.stale}, and its machine is {machine.power_state}"
            )
        if machine.run_id != system.run_id:
            found.append(f"it reads run {system.run_id} and its machine has {machine.run_id}")
        if (machine.firmware, machine.setup) != (system.firmware, system.setup):
            found.append(f"its machine has {machine.firmware}, {machine.setup}, not {system.firmware}, {system.setup}")
        if system.setup_failure or system.awaits_start:
            found.append(f"it reads as if its set-up were not applied: {system.setup_failure}")
        if system.boot != BootOverride():
            found.append(f"its override is still {system.boot}")
        if not guest.is_active:
            return found
        live, definition = guest.live(), guest.definition()
        if live.run is None or live.run.starting or live.run.once or live.run.preparing:
            found.append(f"its run is marked {live.run}")
        if live.boot_devices[0] != first:
            found.append(f"it was started with the order {live.boot_devices}")
        if definition.boot_devices != self.usual_order:
            found.append(f"its definition has the order {definition.boot_devices}")
        found += self.check_next_order()
        uefi = system.firmware is Firmware.UEFI
        if live.firmware.uefi != uefi or (uefi and live.firmware.secure != system.setup.secure_boot):
            found.append(f"it was started by {live.firmware}")
        return found

    def check_next_order(self) -> list[str]:
        """What is wrong with what QEMU would try first after a reset by the guest."""
        present = {item.id for item in self.bed.guest(self.system).live().present_devices}
        usual = [item for item in self.usual_order if item in present]
        found = self.bed.order_of_next_reset(self.system)
        return [] if found == usual else [f"its next reset has the order {found}, not {usual}"]

    def check_plain_start(self) -> list[str]:
        """What is wrong with a start after that with nothing set, right after a cut of the power."""
        found = self.reset(ResetType.FORCE_OFF)
        before = self.bed.starts(self.system)
        found += self.reset(ResetType.ON)
        found += self.check_running(first=self.usual_order[0])
        if self.bed.asks_for_menu(self.system) or self.bed.guest(self.system).definition().firmware.asks_for_setup:
            found.append("its variables ask for the menu")
        if self.bed.starts(self.system) != before + 1:
            found.append(f"it was started {self.bed.starts(self.system) - before} times")
        return [f"in the plain start after it: {fault}" for fault in found]
