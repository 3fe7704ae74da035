"""What a system shows; made by hand for speed, since most requests of most clients read this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hawkfish.api import links
from hawkfish.api.documents import Document
from hawkfish.api.filters import Cases, Fields, Stored
from hawkfish.api.links import link
from hawkfish.api.resources.base import not_none, timestamp
from hawkfish.domain.boot import MODE_OF, TARGET_OF
from hawkfish.domain.hosts import ComputeCapability
from hawkfish.domain.machines import Bridge, MachineFacts, NamedNetwork, NetworkAttachment
from hawkfish.domain.media import drives_of
from hawkfish.domain.pages import AllOf, AnyOf, Comparison, Not, Operator
from hawkfish.domain.placement import Placement
from hawkfish.domain.systems import BootOverrideEnabled, System, SystemState
from hawkfish.domain.tasks import Task

MIB_A_GIB = 1024
PARTS = ("Processors", "Memory", "EthernetInterfaces", "Storage", "LogServices")
"""What has collections of its own below the system."""


def system_document(system: System) -> Document:
    """A ComputerSystem."""
    identity = str(system.id)
    address = f"{links.SYSTEMS}/{identity}"
    body: dict[str, Any] = {
        "@odata.id": address,
        "@odata.type": "#ComputerSystem.v1_27_0.ComputerSystem",
        "Id": identity,
        "Name": system.name,
        "UUID": identity,
        "SystemType": "Virtual",
        "AssetTag": system.asset_tag,
        "Manufacturer": "HawkFish",
        "PowerState": system.power_state,
        "Status": status_of(system),
        "ProcessorSummary": {"Count": 1, "CoreCount": system.vcpus, "LogicalProcessorCount": system.vcpus},
        "MemorySummary": {"TotalSystemMemoryGiB": in_gib(system.memory_mib)},
        "Boot": _boot(system, address),
        "Bios": {"@odata.id": f"{address}/Bios"},
        **{part: {"@odata.id": f"{address}/{part}"} for part in PARTS},
        "Links": {"Chassis": [link(links.CHASSIS, identity)], "ManagedBy": [link(links.MANAGERS, identity)]},
        "Actions": _actions(system, address),
        "Oem": {"HawkFish": _oem(system, address)},
    }
    if drives_of(system):
        body["VirtualMedia"] = {"@odata.id": f"{address}/VirtualMedia"}
    if system.has_secure_boot:
        body["SecureBoot"] = {"@odata.id": f"{address}/SecureBoot"}
    if system.description:
        body["Description"] = system.description
    if system.hypervisor:
        body["Model"] = system.hypervisor
    return Document(body, system.version)


_FAILED, _READY = (Comparison(("state",), Operator.EQUAL, state) for state in (SystemState.FAILED, SystemState.READY))
_CREATING = Comparison(("state",), Operator.EQUAL, SystemState.CREATING)
_DELETING = Comparison(("state",), Operator.EQUAL, SystemState.DELETING)
_STALE = Comparison(("stale",), Operator.EQUAL, True)
_CRITICAL = AnyOf((_FAILED, AllOf((_READY, Comparison(("failure",), Operator.NOT_EQUAL, None)))))
_WARNING = AllOf((_STALE, Not(AnyOf((_CRITICAL, _CREATING, _DELETING)))))
_ENABLED = Not(AnyOf((_CRITICAL, _CREATING, _DELETING, _STALE)))


def _each(name: str, words: Mapping[Any, Any]) -> Cases:
    """A property whose words stand for others that are stored."""
    return Cases({word: Comparison((name,), Operator.EQUAL, stored) for stored, word in words.items()})


SYSTEM_FIELDS: Fields = {
    "Id": Stored("id"),
    "UUID": Stored("id"),
    "Name": Stored("name"),
    "Description": Stored("description"),
    "AssetTag": Stored("asset_tag"),
    "PowerState": Stored("power_state"),
    "Status/Health": Cases({"OK": AnyOf((_CREATING, _DELETING, _ENABLED)), "Warning": _WARNING, "Critical": _CRITICAL}),
    "Status/State": Cases(
        {
            "Enabled": _ENABLED,
            "Starting": _CREATING,
            "Disabled": _DELETING,
            "UnavailableOffline": AnyOf((_CRITICAL, _WARNING)),
        }
    ),
    "ProcessorSummary/Count": Cases({1: AllOf(())}),
    "ProcessorSummary/CoreCount": Stored("vcpus"),
    "ProcessorSummary/LogicalProcessorCount": Stored("vcpus"),
    "MemorySummary/TotalSystemMemoryGiB": Stored("memory_mib", scale=MIB_A_GIB),
    "Boot/BootSourceOverrideEnabled": Stored("boot_enabled"),
    "Boot/BootSourceOverrideTarget": _each("boot_device", TARGET_OF),
    "Boot/BootSourceOverrideMode": _each("firmware", MODE_OF),
    "Oem/HawkFish/HostName": Stored("host_name"),
    "Oem/HawkFish/Driver": Stored("driver"),
    "Oem/HawkFish/Project": Stored("project"),
    "Oem/HawkFish/State": Stored("state"),
    "Oem/HawkFish/Failure": Stored("failure"),
    "Oem/HawkFish/CPU": Stored("vcpus"),
    "Oem/HawkFish/MemoryMiB": Stored("memory_mib"),
    "Oem/HawkFish/Firmware": Stored("firmware"),
    "Oem/HawkFish/Stale": Stored("stale"),
    "Oem/HawkFish/Labels/*": Stored("labels"),
}
"""What a `$filter` of Systems can name however many there are: what `system_document` makes of the record alone."""


def status_of(system: System) -> dict[str, Any]:
    """The Status of a system, of its chassis and of its parts."""
    if system.state is SystemState.FAILED or (system.state is SystemState.READY and system.failure):
        return {"State": "UnavailableOffline", "Health": "Critical"}
    if system.state is SystemState.CREATING:
        return {"State": "Starting", "Health": "OK"}
    if system.state is SystemState.DELETING:
        return {"State": "Disabled", "Health": "OK"}
    if system.stale:
        return {"State": "UnavailableOffline", "Health": "Warning"}
    return {"State": "Enabled", "Health": "OK"}


def in_gib(mib: int) -> int | float:
    """MiB as GiB; a machine with less than one GiB has a fraction, never 0."""
    return mib // MIB_A_GIB if mib % MIB_A_GIB == 0 else mib / MIB_A_GIB


def _boot(system: System, address: str) -> dict[str, Any]:
    boot: dict[str, Any] = {
        "BootSourceOverrideEnabled": system.boot.enabled,
        "BootSourceOverrideTarget": TARGET_OF.get(system.boot.device, "None"),
        "BootSourceOverrideMode": MODE_OF[system.firmware],
        "BootSourceOverrideMode@Redfish.AllowableValues": list(system.boot_modes),
        "BootOptions": {"@odata.id": f"{address}/BootOptions"},
        "BootOrder": [option.reference for option in system.boot_options],
    }
    if ComputeCapability.BOOT_OVERRIDE in system.capabilities:
        boot["BootSourceOverrideEnabled@Redfish.AllowableValues"] = [item.value for item in BootOverrideEnabled]
        boot["BootSourceOverrideTarget@Redfish.AllowableValues"] = list(system.boot_targets)
    return boot


def _actions(system: System, address: str) -> dict[str, Any]:
    actions: dict[str, Any] = {}
    if system.state is SystemState.READY and system.reset_types:
        actions["#ComputerSystem.Reset"] = {
            "target": f"{address}/Actions/ComputerSystem.Reset",
            "ResetType@Redfish.AllowableValues": [item.value for item in system.reset_types],
        }
    if system.state is SystemState.READY and ComputeCapability.BOOT_OVERRIDE in system.capabilities:
        actions["#ComputerSystem.SetDefaultBootOrder"] = {
            "target": f"{address}/Actions/ComputerSystem.SetDefaultBootOrder"
        }
    if ComputeCapability.SCREENSHOT in system.capabilities:
        target = f"{address}/Actions/Oem/HawkFishSystem.Screenshot"
        actions["Oem"] = {"#HawkFishSystem.Screenshot": {"target": target}}
    return actions


def _oem(system: System, address: str) -> dict[str, Any]:
    oem = not_none(
        **{"@odata.type": "#HawkFishSystem.v1_0_0.System"},
        Host=link(links.HOSTS, system.host_id),
        HostName=system.host_name,
        Driver=system.driver or None,
        Project=system.project,
        State=system.state,
        Failure=system.failure or None,
        CPU=system.vcpus,
        MemoryMiB=system.memory_mib,
        Firmware=system.firmware,
        Labels=dict(system.labels),
        Profile=None if system.profile is None else link(links.PROFILES, system.profile.profile_id),
        ProfileRevision=None if system.profile is None else system.profile.revision,
        Stale=system.stale,
        Disks=[
            not_none(
                Id=disk.id,
                CapacityBytes=disk.capacity_bytes,
                Format=disk.format,
                Bus=disk.bus,
                Pool=link(links.POOLS, disk.pool_id),
                VolumeName=disk.volume_name,
                Image=disk.image,
                ImageSHA256=disk.image_digest,
            )
            for disk in system.disks
        ],
        NetworkInterfaces=[
            {
                "Id": item.id,
                "MACAddress": item.mac_address,
                "Model": item.model,
                **attachment_properties(item.attachment),
            }
            for item in system.network_interfaces
        ],
    )
    if ComputeCapability.SERIAL_LOG in system.capabilities:
        oem["SerialLogURI"] = f"{address}/Oem/HawkFish/SerialLog"
    if system.observed is not None and system.differences:
        oem |= {"Observed": _observed(system.observed), "Differences": list(system.differences)}
    if system.stale:
        # Shown only while it is news: else every look of the service at the machine would give the system a new ETag.
        oem |= not_none(ObservedAt=timestamp(system.observed_at))
    return oem


def _observed(facts: MachineFacts) -> dict[str, Any]:
    """What the hypervisor says of the machine; shown where it is not what was asked for."""
    return {
        "Name": facts.name,
        "CPU": facts.vcpus,
        "MemoryMiB": facts.memory_mib,
        "DiskIds": list(facts.disk_ids),
        "MACAddresses": list(facts.mac_addresses),
    }


def attachment_properties(attachment: NetworkAttachment) -> dict[str, Any]:
    """What a network interface hangs on, as requests name it too."""
    if isinstance(attachment, NamedNetwork):
        return {"Network": attachment.name}
    if isinstance(attachment, Bridge):
        return not_none(Bridge=attachment.name, VLANId=attachment.vlan)
    return {"UserMode": True}


def screenshot_uri(task: Task) -> str | None:
    """Where the picture is that a finished task took."""
    if task.kind != "system.screenshot":
        return None
    found = task.results["look"]["screenshot_id"]
    return f"{links.SYSTEMS}/{task.arguments['system_id']}/Oem/HawkFish/Screenshots/{found}"


def serial_log_document(task: Task) -> Document:
    """The piece of a serial log that a finished task read."""
    address = f"{links.SYSTEMS}/{task.arguments['system_id']}/Oem/HawkFish/SerialLog"
    result = task.results["read"]
    body = {
        "@odata.id": address,
        "@odata.type": "#HawkFishSerialLog.v1_0_0.SerialLog",
        "Id": "SerialLog",
        "Name": "Serial log",
        "Text": result["text"],
        "Offset": task.arguments["offset"],
        "NextOffset": result["next_offset"],
    }
    return Document(body)


def placement_body(placement: Placement) -> dict[str, Any]:
    """Where a system would go, and why not elsewhere."""
    assert placement.host is not None  # noqa: S101  without a host the service raises
    return {
        "Host": link(links.HOSTS, placement.host.id),
        "HostName": placement.host.name,
        "Fitting": list(placement.fitting),
        "Refused": [{"HostName": name, "Reasons": list(short)} for name, short in placement.reasons.items()],
    }
