"""Having UEFI enter its set-up menu: a start asks for it in the file that holds UEFI's variables, while the machine is off.

The definition is marked first, so that a request which firmware never read (the power was cut before) is found and taken back by the
next start that is to boot. The file is reached as a volume of the host's storage manager, so that hosts far away are no different, and
over the connection for storage: a pool that hangs keeps no other machine waiting. Where there is no file yet, or it is to be made
anew, the machine is started for that with its processors stopped, and ended again.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TypeVar
from uuid import UUID

import libvirt

from hawkfish.domain.storage import PoolDefinition, PoolKind
from hawkfish.errors import BackendError, Conflict, NotSupported
from hawkfish_libvirt.guest import Guest
from hawkfish_libvirt.host import LibvirtHost
from hawkfish_libvirt.layout import setup_of
from hawkfish_libvirt.machine_xml import FirmwareXml, Run, edit_for_start
from hawkfish_libvirt.pool_xml import build_pool
from hawkfish_libvirt.storage import find_pool_at, lookup_pool, lookup_volume, read_whole, refresh_pool, write_at
from hawkfish_libvirt.uefi_variables import request_setup

_LARGEST_FILE = 16 * 1024 * 1024

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class SetupMenu:
    """The set-up menus of the machines of one host. What it does may be done again at any moment."""

    def __init__(self, host: LibvirtHost) -> None:
        self._host = host

    def request(self, machine_id: UUID) -> None:
        """Has the next start of a machine enter the menu. A machine that runs is left alone.

        Raises:
            NotSupported: The machine has a BIOS.
            BackendError: Its variables cannot be changed.
        """
        firmware = self._host.machine("Looking", machine_id, self._firmware_of_a_start, changes=True)
        if firmware is None:
            return
        path = firmware.asks_for_setup or firmware.nvram
        if path is None or firmware.needs_new_variables or not self._is_there(machine_id, path):
            path = self._host.machine("Making UEFI's variables", machine_id, _make_variables, changes=True)
        self._host.machine("Changing", machine_id, lambda guest: _mark(guest, path), changes=True)
        self._write(machine_id, path, wanted=True)

    def _firmware_of_a_start(self, guest: Guest) -> FirmwareXml | None:
        """The firmware that the next start uses; None if the machine runs already."""
        self._host.require_own(guest, "Starting")
        guest.end_preparation()
        if guest.is_active:
            return None
        firmware = guest.definition().firmware
        if not firmware.uefi:
            raise NotSupported(
                f"Machine {guest.name} starts by BIOS, which has no set-up menu; start it without.",
                operation="boot override",
            )
        return firmware

    def take_back(self, machine_id: UUID) -> None:
        """Has the next start of a machine not enter the menu."""

        def asked(guest: Guest) -> str | None:
            self._host.require_own(guest, "Starting")
            return None if guest.is_active else guest.definition().firmware.asks_for_setup

        path = self._host.machine("Looking", machine_id, asked)
        if path is not None:
            self._write(machine_id, path, wanted=False)
            self._host.machine("Changing", machine_id, lambda guest: _mark(guest, None), changes=True)

    def _write(self, machine_id: UUID, path: str, *, wanted: bool) -> None:
        def run(raw: libvirt.virConnect) -> None:
            volume = _volume(raw, path)
            if volume is None:
                if wanted:
                    raise _unreachable(f"its storage has no file {path}")
                return
            try:
                change = request_setup(read_whole(raw, volume, _LARGEST_FILE), wanted=wanted)
            except BackendError as error:
                if wanted:
                    raise
                # The file was replaced since: what is no such file does not ask for anything, and the machine is to boot.
                _log.warning("the set-up menu was not taken back: machine %s: %s", machine_id, error.message)
                return
            if change is None:
                return
            if raw.lookupByUUID(machine_id.bytes).isActive():
                raise Conflict(f"Machine {machine_id} was started by somebody else; power it off and try again.")
            write_at(raw, volume, change.offset, change.data)

        self._on_storage(machine_id, run)

    def _is_there(self, machine_id: UUID, path: str) -> bool:
        return self._on_storage(machine_id, lambda raw: _volume(raw, path) is not None)

    def _on_storage(self, machine_id: UUID, run: Callable[[libvirt.virConnect], Result]) -> Result:
        operation, owner = f"The set-up menu of machine {machine_id}", str(machine_id)
        return self._host.storage.call(operation, run, self._host.timeout, subject=owner, owner=owner)


def _mark(guest: Guest, path: str | None) -> None:
    definition = guest.definition()
    if definition.firmware.asks_for_setup != path:
        firmware = replace(definition.firmware, asks_for_setup=path)
        guest.write_definition_metadata(replace(definition, firmware=firmware))


def _make_variables(guest: Guest) -> str:
    """Has libvirt make a machine's variables as they are to be; gives their path."""
    definition = guest.definition()
    firmware, makes_anew = definition.firmware, definition.firmware.needs_new_variables
    run = Run(id=secrets.token_hex(8), starting=True, preparing=True, setup=setup_of(definition))
    # It ends with our connection, should we die.
    flags = libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY
    flags |= libvirt.VIR_DOMAIN_START_RESET_NVRAM if makes_anew else 0
    guest.start_from(edit_for_start(guest.definition_text(), definition, run), flags)
    try:
        # Some versions of libvirt choose the file at a start only.
        path = guest.live().firmware.nvram
    finally:
        guest.end_preparation()
    if makes_anew:
        made = replace(firmware, made_with=firmware.wanted_keys)
        guest.write_definition_metadata(replace(definition, firmware=made))
    if path is None:
        raise _unreachable("libvirt does not say where they are")
    return path


def _volume(raw: libvirt.virConnect, path: str) -> libvirt.virStorageVol | None:
    """The file with the variables; None if there is none yet.

    Raises:
        BackendError: Somebody's pool has that folder, and is stopped: to start it is theirs.
    """
    file = PurePosixPath(path)
    # Not defined for good: libvirt forgets it when it is stopped.
    own = "hawkfish" + str(file.parent).replace("/", "-")
    pool = lookup_pool(raw, own)
    if pool is None:
        name = find_pool_at(raw, file.parent)
        pool = _made_pool(raw, own, file.parent) if name is None else raw.storagePoolLookupByName(name)
    if not pool.isActive():
        raise _unreachable(f"the pool {pool.name()} has their folder and is stopped")
    refresh_pool(pool)
    return lookup_volume(pool, file.name)


def _made_pool(raw: libvirt.virConnect, name: str, folder: PurePosixPath) -> libvirt.virStoragePool:
    text = build_pool(PoolDefinition(name=name, kind=PoolKind.DIRECTORY, target=folder))
    try:
        return raw.storagePoolCreateXML(text, 0)
    except libvirt.libvirtError:
        made = lookup_pool(raw, name)  # by another start, in this moment
        if made is None:
            raise
        return made


def _unreachable(reason: str) -> BackendError:
    return BackendError(
        f"UEFI's variables cannot be asked for the set-up menu: {reason}. Start the machine without it.",
        operation="set-up menu",
        reason=reason,
    )
