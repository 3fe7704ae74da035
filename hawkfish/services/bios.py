"""The verbs of a system's BIOS: its attributes are set now and read by the next start.

What is asked for is only a record, so that it reads back at once; the start's own task defines the machine anew
(`hawkfish.services.boot`). A machine that runs keeps what it was started with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.bios import (
    BOOT_MODE,
    BOOT_MODES,
    CPU_MODEL,
    ENABLED,
    NESTED_VIRTUALIZATION,
    NETWORK_BOOT,
    allowed_values,
)
from hawkfish.domain.machines import FirmwareSetup, NestedVirtualisation
from hawkfish.domain.messages import RESOURCE_CHANGED
from hawkfish.domain.systems import System, SystemState
from hawkfish.errors import Conflict, HawkFishError, PropertyNotInList, PropertyUnknown, SeveralErrors
from hawkfish.services.access import Access
from hawkfish.services.boot import refuse_menu_of_bios
from hawkfish.services.preconditions import refuse_other_version
from hawkfish.services.refusals import notes_refusals


class BiosService:
    """BIOS settings of systems."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._database = access.database

    @notes_refusals("bios.update")
    def update(
        self, actor: Actor, system_id: UUID, attributes: Mapping[str, str], expected_version: int | None = None
    ) -> None:
        """Sets attributes, for the next start.

        Args:
            actor: Who asks.
            system_id: The system.
            attributes: Values by the names of attributes; the others stay.
            expected_version: The version that the system must have.

        Raises:
            NotFound: There is no such system.
            PropertyError: It has no such attribute, or the attribute cannot be that on its host.
            Conflict: The system is being made or deleted.
            PreconditionFailed: It has another version by now.
        """
        subject = f"system:{system_id}"
        self._access.authorize(actor, "bios.update", subject)

        def write(uow: UnitOfWork) -> None:
            # One column holds all of a system's set-up, of which others may change another part at the same moment.
            uow.serialize_on([subject])
            system = uow.systems.get(system_id)
            refuse_unready(system)
            _refuse_unusable(system, attributes)
            values = _changed(system, attributes)
            if values:
                uow.systems.write(system_id, expected_version, **values)
                uow.systems.tell(RESOURCE_CHANGED, system_id, actor=actor.user_name)
                self._access.audit.record(uow, actor, "bios.update", subject, changed=sorted(attributes))
            else:
                refuse_other_version(system, expected_version)

        self._database.run(write)

    @notes_refusals("bios.reset")
    def reset(self, actor: Actor, system_id: UUID) -> None:
        """Gives all attributes but the boot mode their usual values, for the next start.

        Raises:
            NotFound: There is no such system.
            Conflict: The system is being made or deleted.
        """
        subject = f"system:{system_id}"
        self._access.authorize(actor, "bios.reset", subject)

        def write(uow: UnitOfWork) -> None:
            uow.serialize_on([subject])
            system = uow.systems.get(system_id)
            refuse_unready(system)
            usual = FirmwareSetup()
            setup = replace(
                system.setup,
                cpu_model=usual.cpu_model,
                nested_virtualisation=usual.nested_virtualisation,
                network_boot=usual.network_boot,
            )
            if setup != system.setup:
                uow.systems.write(system_id, setup=asdict(setup))
                uow.systems.tell(RESOURCE_CHANGED, system_id, actor=actor.user_name)
            self._access.audit.record(uow, actor, "bios.reset", subject)

        self._database.run(write)


def refuse_unready(system: System) -> None:
    """Refuses to change the set-up of a system that is not READY.

    Raises:
        Conflict: It is being made or deleted.
    """
    if system.state is not SystemState.READY:
        raise Conflict(
            f"The BIOS of {system.name} cannot be changed while the system is {system.state}.",
            kind="ComputerSystem",
            id=str(system.id),
        )


def _refuse_unusable(system: System, attributes: Mapping[str, str]) -> None:
    known = allowed_values(system)
    found: list[HawkFishError] = []
    for name, value in attributes.items():
        if name not in known:
            text = f"{system.name} has no BIOS attribute {name}; it has: {', '.join(known)}."
            found.append(PropertyUnknown(text, property=f"Attributes/{name}", value=value))
        elif value not in known[name]:
            text = (
                f"The BIOS attribute {name} of {system.name} cannot be {value!r}; it can be: {', '.join(known[name])}."
            )
            path, allowed = f"Attributes/{name}", list(known[name])
            found.append(PropertyNotInList(text, property=path, value=value, allowed=allowed))
    if found:
        raise found[0] if len(found) == 1 else SeveralErrors(found)


def _changed(system: System, attributes: Mapping[str, str]) -> dict[str, Any]:
    """The columns that change."""
    setup, firmware = system.setup, system.firmware
    if BOOT_MODE in attributes:
        firmware = BOOT_MODES[attributes[BOOT_MODE]]
    if CPU_MODEL in attributes:
        # The usual one is not recorded by its name, which another host may not know.
        usual = attributes[CPU_MODEL] == system.cpu_models[0]
        setup = replace(setup, cpu_model="" if usual else attributes[CPU_MODEL])
    if NESTED_VIRTUALIZATION in attributes:
        setup = replace(setup, nested_virtualisation=NestedVirtualisation(attributes[NESTED_VIRTUALIZATION]))
    if NETWORK_BOOT in attributes:
        setup = replace(setup, network_boot=attributes[NETWORK_BOOT] == ENABLED)
    values: dict[str, Any] = {}
    if setup != system.setup:
        values["setup"] = asdict(setup)
    if firmware is not system.firmware:
        refuse_menu_of_bios(system, firmware, f"Attributes/{BOOT_MODE}")
        values["firmware"] = firmware
    return values
