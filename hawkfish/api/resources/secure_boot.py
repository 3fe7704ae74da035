"""Secure boot of systems with UEFI, where their host's firmware has it."""

from __future__ import annotations

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, expected_version, send
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import not_none
from hawkfish.api.resources.systems import SystemPart
from hawkfish.api.schemas.secure_boot import RESET_KEYS, ResetKeysSchema, SecureBootSchema
from hawkfish.domain.machines import Firmware, SecureBootKeys
from hawkfish.domain.systems import System
from hawkfish.errors import NotFound


def secure_boot_document(system: System) -> Document:
    """The SecureBoot of a system: what the next start does, and what the machine was started with.

    Raises:
        NotFound: It has none.
    """
    if not system.has_secure_boot:
        raise NotFound(
            f"The system {system.name} has no secure boot: it takes UEFI, and a host whose firmware has it.",
            kind="SecureBoot",
            id="SecureBoot",
        )
    address = f"{links.SYSTEMS}/{system.id}/SecureBoot"
    present, trusts = system.present_setup, system.present_setup.secure_boot_keys is SecureBootKeys.FACTORY
    enforced = present.secure_boot and trusts and system.present_firmware is Firmware.UEFI and system.run_id is not None
    mode = None
    if present.secure_boot and system.present_firmware is Firmware.UEFI:
        # Without secure boot nobody looks at the keys, and nothing is known of them.
        mode = "UserMode" if trusts else "SetupMode"
    body = not_none(
        **{"@odata.id": address, "@odata.type": "#SecureBoot.v1_1_2.SecureBoot"},
        Id="SecureBoot",
        Name=f"Secure boot of {system.name}",
        SecureBootEnable=system.setup.secure_boot,
        SecureBootCurrentBoot="Enabled" if enforced else "Disabled",
        SecureBootMode=mode,
        Actions={
            "#SecureBoot.ResetKeys": {
                "target": f"{address}/Actions/SecureBoot.ResetKeys",
                "ResetKeysType@Redfish.AllowableValues": list(RESET_KEYS),
            }
        },
    )
    return Document(body, system.version)


class SecureBootResource(SystemPart):
    """The secure boot of a system."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Shows it."""
        send(req, resp, secure_boot_document(self.find(req, system_id)))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Switches it for the next start."""
        enabled = SecureBootSchema.read(self.read(req))
        system = self.find(req, system_id)
        version = expected_version(req, secure_boot_document(system))
        actor = req.context.actor
        secure_boot = self.application.secure_boot
        offload(secure_boot.update, actor, system.id, enabled=enabled, expected_version=version)
        send(req, resp, secure_boot_document(offload(self.application.systems.get, actor, system.id)))


class ResetKeysResource(SystemPart):
    """The action SecureBoot.ResetKeys."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Has the keys made anew by the next start with secure boot; UEFI's boot entries go with the old ones."""
        keys = ResetKeysSchema.read(self.read(req))
        system = self.find(req, system_id)
        offload(self.application.secure_boot.reset_keys, req.context.actor, system.id, keys)
        resp.status = 204
