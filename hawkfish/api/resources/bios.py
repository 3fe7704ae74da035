"""The Bios of systems, its settings for the next start, and the registry of its attributes."""

from __future__ import annotations

from typing import Any

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, expected_version, send
from hawkfish.api.messages import render
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import timestamp
from hawkfish.api.resources.systems import SystemPart
from hawkfish.api.schemas.actions import ResetBiosSchema
from hawkfish.api.schemas.bios import ApplyTime, BiosSettingsSchema
from hawkfish.domain.bios import (
    BIOS_ATTRIBUTES,
    REGISTRY,
    BiosAttribute,
    attributes_of,
    future_attributes,
    present_attributes,
)
from hawkfish.domain.systems import System

REGISTRY_FILE = f"{REGISTRY}.json"
LONGEST_VALUE = 64
SETTINGS = "@Redfish.Settings"


def bios_document(system: System) -> Document:
    """The Bios of a system: its attributes as the machine has them.

    Its ETag changes with what it shows alone, not with all that is written of the system, so that it can be compared with the one
    that it had when settings were applied.
    """
    body = _bios_body(system, present_attributes(system))
    if system.setup_applied is None:
        return Document(body)
    applied = attributes_of(system, system.setup_applied.firmware, system.setup_applied.setup)
    etag = Document(_bios_body(system, applied)).etag
    return Document({**body, SETTINGS: {**body[SETTINGS], "ETag": etag}}, essence=body)


def _bios_body(system: System, attributes: dict[str, str]) -> dict[str, Any]:
    address = f"{links.SYSTEMS}/{system.id}/Bios"
    return {
        "@odata.id": address,
        "@odata.type": "#Bios.v1_2_3.Bios",
        "Id": "Bios",
        "Name": f"BIOS of {system.name}",
        "AttributeRegistry": REGISTRY,
        "Attributes": attributes,
        SETTINGS: {
            "@odata.type": "#Settings.v1_4_0.Settings",
            "SettingsObject": {"@odata.id": f"{address}/Settings"},
            "SupportedApplyTimes": [item.value for item in ApplyTime],
            **_last_applied(system),
        },
        "Actions": {"#Bios.ResetBios": {"target": f"{address}/Actions/Bios.ResetBios"}},
        "Oem": {"HawkFish": {"@odata.type": "#HawkFishBios.v1_0_0.Bios", "CPUModels": list(system.cpu_models)}},
    }


def _last_applied(system: System) -> dict[str, Any]:
    """What became of the settings when a start last had some to apply."""
    if system.setup_applied_at is None:
        return {}
    message = render("Success")
    if system.setup_failure:
        message = render("GeneralError", text=system.setup_failure)
    return {"Time": timestamp(system.setup_applied_at), "Messages": [message]}


def bios_settings_document(system: System) -> Document:
    """The settings of a Bios: its attributes as the next start will have them."""
    body = {
        "@odata.id": f"{links.SYSTEMS}/{system.id}/Bios/Settings",
        "@odata.type": "#Bios.v1_2_3.Bios",
        "Id": "Settings",
        "Name": f"BIOS settings of {system.name} for its next start",
        "AttributeRegistry": REGISTRY,
        "Attributes": future_attributes(system),
        "@Redfish.SettingsApplyTime": {
            "@odata.type": "#Settings.v1_4_0.PreferredApplyTime",
            "ApplyTime": ApplyTime.ON_RESET,
            "ApplyTime@Redfish.AllowableValues": [item.value for item in ApplyTime],
        },
    }
    return Document(body, system.version)


def attribute_registry() -> dict[str, Any]:
    """The registry of the attributes."""
    name, _, version = REGISTRY.partition(".v")
    return {
        "@odata.type": "#AttributeRegistry.v1_4_0.AttributeRegistry",
        "Id": REGISTRY,
        "Name": "BIOS attributes of virtual machines",
        "Language": "en",
        "OwningEntity": "HawkFish",
        "RegistryVersion": version.replace("_", "."),
        "SupportedSystems": [{"ProductName": name.removesuffix("BiosAttributeRegistry")}],
        "RegistryEntries": {"Attributes": [_entry(item) for item in BIOS_ATTRIBUTES]},
    }


def _entry(attribute: BiosAttribute) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "AttributeName": attribute.name,
        "DisplayName": attribute.title,
        "HelpText": attribute.help,
        "ReadOnly": False,
        "ResetRequired": True,
        "Type": "Enumeration" if attribute.values else "String",
    }
    if attribute.values:
        entry["Value"] = [{"ValueName": value, "ValueDisplayName": text} for value, text in attribute.values.items()]
    else:
        entry |= {"MinLength": 1, "MaxLength": LONGEST_VALUE}
    if attribute.default is not None:
        entry["DefaultValue"] = attribute.default
    return entry


class BiosResource(SystemPart):
    """The BIOS of a system."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Shows the attributes as the machine has them."""
        send(req, resp, bios_document(self.find(req, system_id)))


class BiosSettingsResource(SystemPart):
    """What the BIOS of a system will be like."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Shows the attributes as the next start will have them."""
        send(req, resp, bios_settings_document(self.find(req, system_id)))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Sets attributes for the next start; a machine that runs keeps what it was started with."""
        attributes = BiosSettingsSchema.read(self.read(req))
        system = self.find(req, system_id)
        version = expected_version(req, bios_settings_document(system))
        actor = req.context.actor
        offload(self.application.bios.update, actor, system.id, attributes, version)
        send(req, resp, bios_settings_document(offload(self.application.systems.get, actor, system.id)))


class BiosResetResource(SystemPart):
    """The action Bios.ResetBios."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Gives all attributes but the boot mode their usual values, for the next start."""
        ResetBiosSchema.read(self.read(req, optional=True))
        system = self.find(req, system_id)
        offload(self.application.bios.reset, req.context.actor, system.id)
        resp.status = 204
