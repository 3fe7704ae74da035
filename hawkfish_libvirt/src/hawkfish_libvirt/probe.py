"""What a host is and can do, found out by asking and by trying."""

from __future__ import annotations

import stat
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import libvirt

from hawkfish.domain.hosts import HostFacts, Virtualisation
from hawkfish.domain.machines import DriveKind, Firmware
from hawkfish.errors import NotSupported
from hawkfish_libvirt import kvm_proof
from hawkfish_libvirt.capabilities import EmulatorCapabilities, HostCapabilities, is_bridge, network_bridge
from hawkfish_libvirt.host import LibvirtHost
from hawkfish_libvirt.layout import HOST_MODEL, Platform
from hawkfish_libvirt.plugin import PROVIDES
from hawkfish_libvirt.storage import LibvirtStorage


class HostProbe:
    """Probes one host; how guests are executed is found out once and remembered."""

    def __init__(self, host: LibvirtHost, storage: LibvirtStorage, virt_type: str, data_dir: PurePosixPath) -> None:
        self._host = host
        self._storage = storage
        self._wanted = virt_type
        self._data_dir = data_dir
        self._found: tuple[Virtualisation, str] | None = None

    def virtualisation(self) -> Virtualisation:
        """How guests are executed; the first call may start a tiny guest."""
        return self._find_virtualisation()[0]

    def facts(self) -> HostFacts:
        """Everything that is known of the host."""
        virtualisation, reason = self._find_virtualisation()

        def ask(raw: libvirt.virConnect) -> HostFacts:
            host = HostCapabilities.parse(raw.getCapabilities())
            emulator = emulator_capabilities(raw, virtualisation.value)
            cpus = raw.getInfo()[2]
            memory_kib = raw.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)["total"]
            networks = raw.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
            found = [network_bridge(network.XMLDesc(0)) for network in networks] + _host_bridges(raw)
            return HostFacts(
                hostname=raw.getHostname(),
                hypervisor=f"QEMU {_version(raw.getVersion())}, libvirt {_version(raw.getLibVersion())}",
                architecture=host.architecture,
                cpus=cpus,
                memory_mib=memory_kib // 1024,  # getInfo counts the first NUMA cell only on some hosts
                virtualisation=virtualisation,
                virtualisation_reason=reason,
                cpu_model=host.cpu_model,
                host_uuid=host.uuid,
                capabilities=PROVIDES,
                firmwares=frozenset({Firmware.BIOS, Firmware.UEFI} if emulator.uefi else {Firmware.BIOS}),
                cpu_models=cpu_models(virtualisation.value, emulator),
                nested_virtualisation=emulator.nested_feature is not None,
                secure_boot=emulator.secure_boot and has_reset_of_variables(raw),
                setup_menu=emulator.uefi and emulator.raw_variables,
                drives=frozenset({DriveKind.CD, DriveKind.USB} if emulator.usb_disks else {DriveKind.CD}),
                networks=tuple(sorted(network.name() for network in networks)),
                bridges=tuple(sorted({name for name in found if name})),
                data_dir=str(self._data_dir),
                warnings=self._warnings(host, emulator, virtualisation, reason),
            )

        return self._host.machines.call("Probing", ask, self._host.timeout)

    def _find_virtualisation(self) -> tuple[Virtualisation, str]:
        if self._found is None:
            self._found = self._decide()
        return self._found

    def _decide(self) -> tuple[Virtualisation, str]:
        if self._wanted != "auto":
            return Virtualisation(self._wanted), "set for this host (virt_type)"
        capabilities = self._host.machines.call(
            "Asking for capabilities", lambda raw: HostCapabilities.parse(raw.getCapabilities()), self._host.timeout
        )
        if "kvm" not in capabilities.guest_types:
            return Virtualisation.QEMU, "libvirt offers no KVM on this host"
        cpu_mode = Platform(virt_type="kvm").cpu_mode
        failure = kvm_proof.prove(self._host, self._storage, self._data_dir, "kvm", cpu_mode)
        if failure is None:
            return Virtualisation.KVM, "a test guest ran under KVM"
        return Virtualisation.QEMU, f"KVM is offered and does not work here: {failure}; guests are emulated"

    def _warnings(
        self, host: HostCapabilities, emulator: EmulatorCapabilities, virtualisation: Virtualisation, reason: str
    ) -> tuple[str, ...]:
        warnings = []
        if virtualisation is Virtualisation.QEMU:
            warnings.append(f"Guests run under plain emulation, many times slower than under KVM: {reason}.")
        if not emulator.uefi:
            warnings.append("No UEFI firmware for guests is installed (Debian: ovmf); only BIOS machines can be made.")
        if is_local(self._host.uri) and host.qemu_user:
            blocked = unreachable_folder(Path(self._data_dir), host.qemu_user)
            if blocked is not None:
                warnings.append(
                    f"QEMU's user (uid {host.qemu_user}) cannot pass through {blocked}, so files below it cannot be used "
                    f"by guests; give it the right to (chmod o+x {blocked}) or choose another data_dir."
                )
        return tuple(warnings)


RESETS_VARIABLES = 8_001_000
"""The version of libvirt from which on a start can make UEFI's variables anew (VIR_DOMAIN_START_RESET_NVRAM)."""


def has_reset_of_variables(raw: libvirt.virConnect) -> bool:
    """Whether the host's libvirt can make UEFI's variables anew, which enabling secure boot asks for."""
    return bool(raw.getLibVersion() >= RESETS_VARIABLES)


def cpu_models(virt_type: str, emulator: EmulatorCapabilities) -> tuple[str, ...]:
    """What processors can be like, the usual first."""
    usual = Platform(virt_type=virt_type).cpu_mode
    named = (*((HOST_MODEL,) if HOST_MODEL in emulator.cpu_modes else ()), *emulator.cpu_models)
    return (usual, *(name for name in named if name != usual))


def emulator_capabilities(raw: libvirt.virConnect, virt_type: str) -> EmulatorCapabilities:
    """What the host's emulator offers to machines of that virtualisation.

    Raises:
        NotSupported: It runs none of them.
    """
    try:
        return EmulatorCapabilities.parse(raw.getDomainCapabilities(None, None, "q35", virt_type, 0))
    except libvirt.libvirtError as error:
        raise NotSupported(
            f"The host runs no q35 machines of type {virt_type}: {error.get_error_message()}. "
            "Install QEMU for its architecture or change virt_type.",
            operation="probe",
        ) from error


def is_local(uri: str) -> bool:
    """Whether the address means this machine: no server in it, or a socket here."""
    parts = urlsplit(uri)
    return not parts.hostname and "ssh" not in parts.scheme


def unreachable_folder(folder: Path, user: int) -> Path | None:
    """The uppermost existing folder on the way to `folder` that `user` may not pass through; None if it may pass all."""
    for each in (*reversed(folder.parents), folder):
        try:
            facts = each.stat()
        except FileNotFoundError:
            return None  # made later, by libvirt, for QEMU's user
        except PermissionError:
            return each
        mode = stat.S_IXUSR if facts.st_uid == user else stat.S_IXOTH
        if not facts.st_mode & mode:
            return each
    return None


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _host_bridges(raw: libvirt.virConnect) -> list[str]:
    """Bridges that the host's administrator made; one without ports counts, though libvirt calls it inactive."""
    try:
        interfaces = raw.listAllInterfaces(0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return []  # this libvirtd has no interface driver: the bridges of its networks have to do
        raise
    # The guests' own devices are many, and no bridges.
    named = {
        interface.name(): interface for interface in interfaces if not interface.name().startswith(("vnet", "tap"))
    }
    return [name for name, interface in named.items() if is_bridge(interface.XMLDesc(0))]
