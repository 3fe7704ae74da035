"""The verbs of a system's secure boot; as those of its BIOS, what is asked for is a record that the next start reads."""

from __future__ import annotations

from dataclasses import asdict, replace
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.machines import FirmwareSetup, SecureBootKeys
from hawkfish.domain.messages import RESOURCE_CHANGED
from hawkfish.domain.systems import System
from hawkfish.errors import NotFound
from hawkfish.services.access import Access
from hawkfish.services.bios import refuse_unready
from hawkfish.services.preconditions import refuse_other_version
from hawkfish.services.refusals import notes_refusals


class SecureBootService:
    """Secure boot of systems."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._database = access.database

    @notes_refusals("secure_boot.update")
    def update(self, actor: Actor, system_id: UUID, *, enabled: bool, expected_version: int | None = None) -> None:
        """Switches secure boot on or off, for the next start.

        Raises:
            NotFound: There is no such system, or it has no secure boot.
            Conflict: The system is being made or deleted.
            PreconditionFailed: It has another version by now.
        """
        self._access.authorize(actor, "secure_boot.update", f"system:{system_id}")

        def write(uow: UnitOfWork) -> None:
            system = self._system(uow, system_id)
            setup = replace(system.setup, secure_boot=enabled)
            self._write(uow, actor, "secure_boot.update", system, setup, expected_version)

        self._database.run(write)

    @notes_refusals("secure_boot.reset_keys")
    def reset_keys(self, actor: Actor, system_id: UUID, keys: SecureBootKeys) -> None:
        """Has the keys made anew by the next start with secure boot; all other variables of UEFI go with the old ones.

        Args:
            actor: Who asks.
            system_id: The system.
            keys: What secure boot trusts from then on.

        Raises:
            NotFound: There is no such system, or it has no secure boot.
            Conflict: The system is being made or deleted.
        """
        self._access.authorize(actor, "secure_boot.reset_keys", f"system:{system_id}")

        def write(uow: UnitOfWork) -> None:
            system = self._system(uow, system_id)
            setup = replace(system.setup, secure_boot_keys=keys, keys_reset=system.setup.keys_reset + 1)
            self._write(uow, actor, "secure_boot.reset_keys", system, setup, None)

        self._database.run(write)

    def _system(self, uow: UnitOfWork, system_id: UUID) -> System:
        # One column holds all of a system's set-up, of which others may change another part at the same moment.
        uow.serialize_on([f"system:{system_id}"])
        system = uow.systems.get(system_id)
        if not system.has_secure_boot:
            raise NotFound(
                f"The system {system.name} has no secure boot: it takes UEFI, and a host whose firmware has it.",
                kind="SecureBoot",
                id="SecureBoot",
            )
        refuse_unready(system)
        return system

    def _write(  # noqa: PLR0917  a change, and all that is written of it
        self,
        uow: UnitOfWork,
        actor: Actor,
        verb: str,
        system: System,
        setup: FirmwareSetup,
        expected_version: int | None,
    ) -> None:
        if setup == system.setup:
            refuse_other_version(system, expected_version)
            return
        uow.systems.write(system.id, expected_version, setup=asdict(setup))
        uow.systems.tell(RESOURCE_CHANGED, system.id, actor=actor.user_name)
        self._access.audit.record(uow, actor, verb, f"system:{system.id}", enabled=setup.secure_boot)
