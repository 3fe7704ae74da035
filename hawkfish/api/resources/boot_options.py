"""What systems can start from: an option for each disk, each drive and each network interface.

The reference of an option is the id of its device, so it stays as long as the device does. Firmware's own names of them
(UefiDevicePath) are made at each boot and are not known here.
"""

from __future__ import annotations

from typing import Any

from hawkfish.api import links
from hawkfish.api.documents import Document
from hawkfish.api.resources.base import not_none
from hawkfish.api.resources.parts import PartCollection, PartResource
from hawkfish.domain.boot import TARGET_OF, BootOption
from hawkfish.domain.machines import BootDevice
from hawkfish.domain.systems import System

TITLES = {
    BootDevice.DISK: "Disk",
    BootDevice.CD: "CD drive",
    BootDevice.FLOPPY: "Floppy drive",
    BootDevice.USB: "USB drive",
    BootDevice.NETWORK: "Network interface",
}


def boot_option_documents(system: System) -> list[Document]:
    """The BootOptions of a system, in the order in which firmware tries them."""
    return [Document(_body(system, option), system.version) for option in system.boot_options]


def _body(system: System, option: BootOption) -> dict[str, Any]:
    title = f"{TITLES[option.device]} {option.reference}"
    related = _related_item(system, option)
    return not_none(
        **{
            "@odata.id": f"{links.SYSTEMS}/{system.id}/BootOptions/{option.reference}",
            "@odata.type": "#BootOption.v1_0_6.BootOption",
            "RelatedItem@odata.count": None if related is None else 1,
        },
        Id=option.reference,
        Name=title,
        DisplayName=title,
        BootOptionReference=option.reference,
        Alias=TARGET_OF[option.device],
        RelatedItem=None if related is None else [{"@odata.id": related}],
    )


def _related_item(system: System, option: BootOption) -> str | None:
    """Where the device itself is shown."""
    if option.device is BootDevice.DISK:
        return f"{links.CHASSIS}/{system.id}/Drives/{option.reference}"
    if option.device is BootDevice.NETWORK:
        return f"{links.SYSTEMS}/{system.id}/EthernetInterfaces/{option.reference}"
    return None


class BootOptionCollectionResource(PartCollection):
    """What a system can start from."""

    kind = "BootOptionCollection"
    title = "Boot options"
    documents = staticmethod(boot_option_documents)


class BootOptionResource(PartResource):
    """One device that a system can start from."""

    kind = "BootOption"
    documents = staticmethod(boot_option_documents)
