"""Having UEFI enter its set-up menu: a start asks for it in the file that holds UEFI's variables, while the machine is off.

The definition is marked first, so that a request which firmware never read (the power was cut before) is found and taken back by the
next start that is to boot. The file is reached as a volume of the host's storage manager, so that hosts far away are no different.
Where there is none yet, or it is to be made anew, the machine is started for that with its processors stopped, and ended again.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import PurePosixPath

import libvirt

from hawkfish.domain.storage import PoolDefinition, PoolKind
from hawkfish.errors import BackendError, NotSupported
from hawkfish_libvirt.guest import Guest
from hawkfish_libvirt.layout import setup_of
from hawkfish_libvirt.machine_xml import MachineXml, Run, edit_for_start
from hawkfish_libvirt.pool_xml import build_pool
from hawkfish_libvirt.storage import find_pool_at, lookup_volume, read_whole, refresh_pool, write_at
from hawkfish_libvirt.uefi_variables import request_setup

_LARGEST_FILE = 16 * 1024 * 1024


def arrange(raw: libvirt.virConnect, guest: Guest, *, wanted: bool) -> None:
    """Has the next start of a machine that is off enter the set-up menu, or not enter it. Doing it again is harmless.

    Raises:
        NotSupported: The machine has a BIOS.
        BackendError: Its variables cannot be changed.
    """
    definition = guest.definition()
    if not definition.firmware.uefi:
        if wanted:
            raise NotSupported(
                f"Machine {guest.name} starts by BIOS, which has no set-up menu; start it without.",
                operation="boot override",
            )
        return
    if not wanted:
        path = definition.firmware.asks_for_setup
        if path is not None:
            _request(raw, path, wanted=False)
            _mark(guest, None)
        return
    path = _made_variables(raw, guest, definition)
    _mark(guest, path)
    _request(raw, path, wanted=True)


def _request(raw: libvirt.virConnect, path: str, *, wanted: bool) -> None:
    volume = _volume(raw, path)
    if volume is None:
        return
    change = request_setup(read_whole(raw, volume, _LARGEST_FILE), wanted=wanted)
    if change is not None:
        write_at(raw, volume, change.offset, change.data)


def _mark(guest: Guest, path: str | None) -> None:
    definition = guest.definition()
    if definition.firmware.asks_for_setup != path:
        firmware = replace(definition.firmware, asks_for_setup=path)
        guest.write_definition_metadata(replace(definition, firmware=firmware))


def _made_variables(raw: libvirt.virConnect, guest: Guest, definition: MachineXml) -> str:
    """The path of a machine's variables, which are there then, and are those that it is to have."""
    firmware = definition.firmware
    known, makes_anew = firmware.asks_for_setup or firmware.nvram, firmware.needs_new_variables
    if known is not None and not makes_anew and _volume(raw, known) is not None:
        return known
    run = Run(id=secrets.token_hex(8), starting=True, preparing=True, setup=setup_of(definition))
    flags = libvirt.VIR_DOMAIN_START_PAUSED | (libvirt.VIR_DOMAIN_START_RESET_NVRAM if makes_anew else 0)
    raw.createXML(edit_for_start(guest.definition_text(), definition, run), flags)
    # Some versions of libvirt choose the file at a start only.
    path = guest.live().firmware.nvram
    guest.power_off()
    if makes_anew:
        made = replace(firmware, made_with=firmware.wanted_keys)
        guest.write_definition_metadata(replace(definition, firmware=made))
    if path is None:
        raise BackendError(
            f"libvirt does not say where the variables of machine {guest.name} are, so that they cannot ask for the set-up menu; "
            "start it without.",
            operation="set-up menu",
            reason="no file of variables",
        )
    return path


def _volume(raw: libvirt.virConnect, path: str) -> libvirt.virStorageVol | None:
    """The file with the variables; None if there is none yet."""
    file = PurePosixPath(path)
    name = find_pool_at(raw, file.parent)
    if name is None:
        # Not defined for good: libvirt forgets it when it is stopped.
        own = "hawkfish" + str(file.parent).replace("/", "-")
        pool = raw.storagePoolCreateXML(
            build_pool(PoolDefinition(name=own, kind=PoolKind.DIRECTORY, target=file.parent)), 0
        )
    else:
        pool = raw.storagePoolLookupByName(name)
    if not pool.isActive():
        pool.create(0)
    refresh_pool(pool)
    return lookup_volume(pool, file.name)
