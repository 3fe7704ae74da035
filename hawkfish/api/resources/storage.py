"""Storage of systems: one subsystem for each bus that disks hang on, with its controller and its drives.

Drives stand below the chassis, where the newest schema of Drive wants them; their addresses below Storage are deprecated.
There is no RAID, so the collections of volumes are empty and stay so. A drive's SerialNumber is the one that the guest reads from it
(`/dev/disk/by-id` ends with it), so that a disk found here is found there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document
from hawkfish.api.links import link
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import not_none
from hawkfish.api.resources.parts import PartCollection, PartResource, find_part, references
from hawkfish.api.resources.systems_body import status_of
from hawkfish.domain.machines import DiskBus
from hawkfish.domain.systems import System, SystemDisk

PROTOCOLS: Mapping[DiskBus, str] = {DiskBus.VIRTIO: "OEM", DiskBus.SCSI: "OEM", DiskBus.SATA: "SATA"}
"""Redfish's names of the protocols; it has none for virtio and parallel SCSI."""

TITLES: Mapping[DiskBus, str] = {DiskBus.VIRTIO: "VirtIO", DiskBus.SCSI: "SCSI", DiskBus.SATA: "SATA"}
CONTROLLER = "1"


def storage_documents(system: System) -> list[Document]:
    """The Storage subsystems of a system."""
    return [Document(_storage_body(system, bus), system.version) for bus in _buses(system)]


def controller_documents(system: System) -> list[Document]:
    """The StorageControllers of a system."""
    return [Document(_controller_body(system, bus), system.version) for bus in _buses(system)]


def drive_documents(system: System) -> list[Document]:
    """The Drives of a system."""
    return [Document(_drive_body(system, disk), system.version) for disk in system.disks]


def _buses(system: System) -> list[DiskBus]:
    """The buses that have disks, in the order of their first ones."""
    return list(dict.fromkeys(disk.bus for disk in system.disks))


def _address(system: System, bus: DiskBus) -> str:
    return f"{links.SYSTEMS}/{system.id}/Storage/{bus}"


def _storage_body(system: System, bus: DiskBus) -> dict[str, Any]:
    address = _address(system, bus)
    drives = [Document(_drive_body(system, disk)) for disk in system.disks if disk.bus is bus]
    return {
        "@odata.id": address,
        "@odata.type": "#Storage.v1_21_0.Storage",
        "Id": bus,
        "Name": f"{TITLES[bus]} storage",
        "Status": status_of(system),
        "Controllers": {"@odata.id": f"{address}/Controllers"},
        "Drives": references(drives),
        "Drives@odata.count": len(drives),
        "Volumes": {"@odata.id": f"{address}/Volumes"},
        "Links": {"Enclosures": [link(links.CHASSIS, system.id)]},
    }


def _controller_body(system: System, bus: DiskBus) -> dict[str, Any]:
    return {
        "@odata.id": f"{_address(system, bus)}/Controllers/{CONTROLLER}",
        "@odata.type": "#StorageController.v1_11_0.StorageController",
        "Id": CONTROLLER,
        "Name": f"{TITLES[bus]} controller",
        "SupportedDeviceProtocols": [PROTOCOLS[bus]],
        # None: what asks for a RAID volume need not try.
        "SupportedRAIDTypes": [],
        "Status": status_of(system),
    }


def _drive_body(system: System, disk: SystemDisk) -> dict[str, Any]:
    return {
        "@odata.id": f"{links.CHASSIS}/{system.id}/Drives/{disk.id}",
        "@odata.type": "#Drive.v1_22_0.Drive",
        "Id": disk.id,
        "Name": f"Disk {disk.id}",
        "CapacityBytes": disk.capacity_bytes,
        "SerialNumber": disk.id,
        "Protocol": PROTOCOLS[disk.bus],
        # What lies below a volume is not known here; null says so, and profiles want the property.
        "MediaType": None,
        "Status": status_of(system),
        "Links": {
            "Chassis": link(links.CHASSIS, system.id),
            "Storage": {"@odata.id": _address(system, disk.bus)},
            "Volumes": [],
        },
        "Oem": {
            "HawkFish": not_none(
                **{"@odata.type": "#HawkFishDrive.v1_0_0.Drive"},
                Bus=disk.bus,
                Format=disk.format,
                Pool=link(links.POOLS, disk.pool_id),
                VolumeName=disk.volume_name,
                Image=disk.image,
            )
        },
    }


class StorageCollectionResource(PartCollection):
    """The storage subsystems of a system."""

    kind = "StorageCollection"
    title = "Storage"
    documents = staticmethod(storage_documents)


class StorageResource(PartResource):
    """One storage subsystem."""

    kind = "Storage"
    documents = staticmethod(storage_documents)


class StoragePartCollection(PartCollection):
    """A collection below one storage subsystem."""

    def check_parent(self, system: System, path: str) -> None:
        """Refuses the collections of a subsystem that is not there."""
        find_part(storage_documents(system), system, "Storage", path.rpartition("/")[0])


class StorageControllerCollectionResource(StoragePartCollection):
    """The controllers of a storage subsystem."""

    kind = "StorageControllerCollection"
    title = "Storage controllers"
    documents = staticmethod(controller_documents)


class StorageControllerResource(PartResource):
    """One storage controller."""

    kind = "StorageController"
    documents = staticmethod(controller_documents)


class DriveCollectionResource(PartCollection):
    """The drives of a system, below its chassis."""

    collection_path = links.CHASSIS
    kind = "DriveCollection"
    title = "Drives"
    documents = staticmethod(drive_documents)


class DriveResource(PartResource):
    """One drive."""

    collection_path = links.CHASSIS
    kind = "Drive"
    documents = staticmethod(drive_documents)


class VolumeCollectionResource(StoragePartCollection):
    """The RAID volumes of a storage subsystem: none.

    Ironic's profile wants it to take POST and to say when that is done. It is answered at once: with the reason why there is no RAID.
    """

    kind = "VolumeCollection"
    title = "Volumes"
    more = MappingProxyType(
        {
            "@Redfish.OperationApplyTimeSupport": {
                "@odata.type": "#Settings.v1_4_0.OperationApplyTimeSupport",
                "SupportedValues": ["Immediate"],
            }
        }
    )

    @staticmethod
    def documents(_: System) -> list[Document]:
        """None."""
        return []

    def on_post(self, req: falcon.Request, resp: falcon.Response, system_id: str, **_: Any) -> None:  # noqa: ARG002
        """Tells why no RAID volume can be made, whatever the body is."""
        system = self.find(req, system_id)
        self.check_parent(system, req.path)
        offload(self.application.systems.create_volume, req.context.actor, system.id)
