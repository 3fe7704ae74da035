"""What only asks for another boot is written whole or not at all, wherever it dies."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import pytest

from hawkfish.db.repositories.systems import SystemRepository
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.bios import CPU_MODEL, NETWORK_BOOT
from hawkfish.domain.machines import BootDevice, Firmware, SecureBootKeys
from hawkfish.domain.systems import BootOverrideEnabled, SystemChanges
from hawkfish.services.audit import AuditService

CHANGES = SystemChanges(
    firmware=Firmware.UEFI,
    boot_enabled=BootOverrideEnabled.ONCE,
    boot_device=BootDevice.SETUP,
    boot_device_given=True,
    asset_tag="other",
)
VERBS = {
    "boot": lambda verbs, system: verbs.systems.update(
        SYSTEM_ACTOR,
        system.id,
        replace(CHANGES, boot_order=tuple(item.reference for item in reversed(system.boot_options))),
    ),
    "attributes": lambda verbs, system: verbs.bios.update(
        SYSTEM_ACTOR, system.id, {NETWORK_BOOT: "Disabled", CPU_MODEL: "simulated-small"}
    ),
    "reset of attributes": lambda verbs, system: verbs.bios.reset(SYSTEM_ACTOR, system.id),
    "secure boot": lambda verbs, system: verbs.secure_boot.update(SYSTEM_ACTOR, system.id, enabled=True),
    "keys": lambda verbs, system: verbs.secure_boot.reset_keys(SYSTEM_ACTOR, system.id, SecureBootKeys.NONE),
}


class Died(BaseException):
    """Nothing that comes after this is done."""


PARTS = ((SystemRepository, "write"), (SystemRepository, "tell"), (AuditService, "record"))


def dies(part, *, after):
    """Dies right before or right after a part of what is written."""

    def died(*arguments, **options):
        if (
            threading.current_thread() is not threading.main_thread()
        ):  # the worker, which records what it sees meanwhile
            return part(*arguments, **options)
        if after:
            part(*arguments, **options)
        raise Died

    return died


@pytest.mark.parametrize("verb", VERBS)
def test_it_is_written_whole_or_not_at_all(installation, monkeypatch, verb):
    system = installation.create(firmware=Firmware.UEFI)
    if verb == "reset of attributes":
        VERBS["attributes"](installation.application, system)

    def written():
        subject = f"system:{system.id}"
        with installation.application.database.read() as uow:
            return uow.systems.get(system.id), uow.events.count(subject), uow.audit.count(subject)

    before = written()
    for (owner, name), after in itertools.product(PARTS, [False, True]):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, dies(getattr(owner, name), after=after))
            with pytest.raises(Died):
                VERBS[verb](installation.application, system)
        assert written() == before, f"died {'after' if after else 'before'} {name}"
    VERBS[verb](installation.application, system)
    changed, events, audits = written()
    assert changed.version == before[0].version + 1
    assert (events, audits) == (before[1] + 1, before[2] + 1)
