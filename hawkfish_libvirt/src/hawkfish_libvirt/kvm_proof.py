"""Proof that KVM really executes guests.

A device file and libvirt's word are not enough: nested and filtered environments offer both while guests hang or the emulator
aborts. So a guest of one boot sector is started under KVM, with the processor and the firmware that machines get; firmware has
to find its disk and run its code, which writes to the serial port for as long as it lives.
"""

from __future__ import annotations

import io
import logging
import secrets
import uuid
from collections.abc import Callable
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

import libvirt
import tenacity

from hawkfish.domain.storage import PoolDefinition, PoolKind, VolumeFormat, VolumeSpec
from hawkfish.errors import BackendTimeout, HawkFishError, MachineNotFound
from hawkfish_libvirt.events import PROBE_PREFIX
from hawkfish_libvirt.host import LibvirtHost
from hawkfish_libvirt.storage import LibvirtStorage
from hawkfish_libvirt.xml_tools import add, to_text

_log = logging.getLogger(__name__)

_WORD = b"HAWKFISH "
_SECONDS = 8.0
_DISK_BYTES = 2**20  # SeaBIOS finds no disk of one sector
_POOL_ATTEMPTS = 3
"""Another worker may be at the end of a proof of its own, and take away the pool that all of an installation share."""


def boot_sector() -> bytes:
    """512 bytes that write `HAWKFISH ` to the first serial port, again and again."""
    code = bytes(
        (
            *(0xFA, 0xFC),  #            cli; cld
            *(0x31, 0xC0, 0x8E, 0xD8),  # xor ax, ax; mov ds, ax
            *(0xBE, 0x40, 0x7C),  #      again: mov si, 0x7c40
            *(0xB9, len(_WORD), 0x00),  # mov cx, length
            *(0xBA, 0xFD, 0x03),  #      next: mov dx, 0x3fd (line status)
            *(0xEC, 0xA8, 0x20),  #      wait: in al, dx; test al, 0x20 (room to send)
            *(0x74, 0xFB),  #            jz wait
            *(0xBA, 0xF8, 0x03),  #      mov dx, 0x3f8 (data)
            *(0xAC, 0xEE),  #            lodsb; out dx, al
            *(0xE2, 0xF1),  #            loop next
            *(0xEB, 0xE9),  #            jmp again
        )
    )
    return (code.ljust(0x40, b"\0") + _WORD).ljust(510, b"\0") + b"\x55\xaa"


def prove(
    host: LibvirtHost, storage: LibvirtStorage, folder: PurePosixPath, virt_type: str, cpu_mode: str
) -> str | None:
    """Starts the tiny guest; None if its code ran, else why not, as a sentence."""
    name = PROBE_PREFIX + secrets.token_hex(4)
    pool = PoolDefinition(
        name=f"hawkfish-probe-{host.installation_id[:8]}",
        kind=PoolKind.DIRECTORY,
        target=folder / "probe" / host.installation_id[:8],
    )
    try:
        _in_pool(storage, pool, lambda: _write_disk(storage, pool, name))
        text = _guest_xml(name, str(pool.target / name), virt_type, cpu_mode)
        return _run_guest(host, name, text)
    except HawkFishError as error:
        return f"a test guest could not be started: {_short(str(error.data.get('reason', error.message)))}"
    finally:
        _clean_up(host, storage, pool, name)


def _write_disk(storage: LibvirtStorage, pool: PoolDefinition, name: str) -> None:
    sector = boot_sector()
    storage.create_volume(pool.name, VolumeSpec(name=name, capacity_bytes=_DISK_BYTES, format=VolumeFormat.RAW))
    storage.upload_volume(pool.name, name, io.BytesIO(sector), len(sector))


def _in_pool(storage: LibvirtStorage, pool: PoolDefinition, act: Callable[[], None]) -> None:
    for attempt in tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(HawkFishError),
        stop=tenacity.stop_after_attempt(_POOL_ATTEMPTS),
        reraise=True,
    ):
        with attempt:
            storage.define_pool(pool)
            storage.start_pool(pool.name)
            act()


def _short(reason: str) -> str:
    """The telling line of QEMU's last words, which libvirt passes on with all that came before them."""
    line = reason.splitlines()[0]
    return line.rpartition("qemu-system-x86_64: ")[2].removeprefix("error: ").rstrip(".")


def _run_guest(host: LibvirtHost, name: str, text: str) -> str | None:
    def start(raw: libvirt.virConnect) -> None:
        raw.createXML(text, libvirt.VIR_DOMAIN_START_AUTODESTROY)

    def listen(raw: libvirt.virConnect) -> bool:
        stream = raw.newStream()
        raw.lookupByName(name).openConsole("serial0", stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        seen = b""
        while _WORD not in seen:
            piece = stream.recv(256)
            if not piece:
                return False
            seen = (seen + piece)[-1024:]
        stream.abort()
        return True

    # How long a busy host takes for the start says nothing of the guest; one that is still starting could not be ended, either.
    host.machines.call("Starting a test guest", start, host.timeout)
    try:
        ran = host.machines.call("Running a test guest", listen, _SECONDS)
    except MachineNotFound:  # it has ended already
        ran = False
    except BackendTimeout:
        return f"a test guest started and executed nothing within {_SECONDS:g} s"
    return None if ran else "a test guest started and stopped before it executed anything"


def _clean_up(host: LibvirtHost, storage: LibvirtStorage, pool: PoolDefinition, name: str) -> None:
    def destroy(raw: libvirt.virConnect) -> None:
        try:
            raw.lookupByName(name).destroy()
        except libvirt.libvirtError as error:
            if error.get_error_code() not in {libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID}:
                raise

    steps: tuple[Callable[[], None], ...] = (
        lambda: host.power.call("Ending a test guest", destroy, host.timeout),
        lambda: _in_pool(storage, pool, lambda: storage.delete_volume(pool.name, name)),
        lambda: storage.remove_pool(pool.name),
    )
    for step in steps:
        try:
            step()
        except HawkFishError as error:
            _log.warning("cleaning up after the test guest %s: %s", name, error)


def _guest_xml(name: str, path: str, virt_type: str, cpu_mode: str) -> str:
    root = ET.Element("domain", type=virt_type)
    add(root, "name", text=name)
    add(root, "uuid", text=str(uuid.uuid4()))
    add(root, "memory", text="64", unit="MiB")
    add(root, "vcpu", text="1")
    add(add(root, "os"), "type", text="hvm", machine="q35")
    add(add(root, "features"), "acpi")
    add(root, "cpu", mode=cpu_mode)
    add(root, "on_reboot", text="destroy")
    devices = add(root, "devices")
    disk = add(devices, "disk", type="file", device="disk")
    add(disk, "driver", name="qemu", type="raw")
    add(disk, "source", file=path)
    add(disk, "target", dev="vda", bus="virtio")
    add(disk, "boot", order="1")
    add(add(devices, "serial", type="pty"), "target", port="0")
    add(devices, "memballoon", model="none")
    add(devices, "controller", type="usb", model="none")
    return to_text(root)
