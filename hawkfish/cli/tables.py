"""What commands show of systems, hosts and tasks: from Redfish resources to columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hawkfish.cli.output import GIB, MIB, Items, Pairs, Rows, Size, Words, YesNo

BOOT_NAMES = {
    "None": "normal order",
    "Pxe": "network",
    "Hdd": "disk",
    "Cd": "cd",
    "Usb": "usb",
    "Floppy": "floppy",
    "BiosSetup": "setup",
}

SYSTEM_COLUMNS = ("Name", "ID", "Power", "State", "Host", "CPUs", "Memory")
SYSTEM_DETAILS = (
    *SYSTEM_COLUMNS,
    "Health",
    "Firmware",
    "Boot",
    "Disks",
    "Networks",
    "Labels",
    "Description",
    "Asset Tag",
    "Project",
    "Driver",
    "Stale",
    "Observed At",
    "Failure",
    "Reset Types",
)
HOST_COLUMNS = ("Name", "ID", "State", "Since", "Driver", "URI", "Hypervisor", "Virtualisation", "CPUs", "Memory")
HOST_DETAILS = (
    *HOST_COLUMNS,
    "Reason",
    "Last Contact",
    "Takes New Systems",
    "CPUs Reserved",
    "CPU Over-commit",
    "CPUs Given",
    "CPUs Free",
    "Memory Reserved",
    "Memory Over-commit",
    "Memory Given",
    "Memory Free",
    "Pools",
    "Architecture",
    "Capabilities",
    "Networks",
    "Bridges",
    "Labels",
    "Warnings",
)
BOOT_DETAILS = ("Name", "ID", "Boot", "Mode", "Order", "Targets", "Modes")
POOL_COLUMNS = ("Name", "ID", "Type", "Over-commit", "Hosts")
TASK_COLUMNS = ("ID", "Name", "State", "Percent", "Subject", "Started")
TASK_DETAILS = (*TASK_COLUMNS, "Ended", "Status", "Requested By", "Progress", "Messages")


def oem(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a resource that is HawkFish's own."""
    found: Mapping[str, Any] = (resource.get("Oem") or {}).get("HawkFish") or {}
    return found


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without annotations, and with links as the last part of their address."""
    plain = {}
    for key, value in values.items():
        if "@" not in key:
            plain[key] = (
                value["@odata.id"].rpartition("/")[2] if isinstance(value, Mapping) and "@odata.id" in value else value
            )
    return plain


def boot_of(system: Mapping[str, Any]) -> str:
    """The boot override in words."""
    boot = system.get("Boot") or {}
    enabled = boot.get("BootSourceOverrideEnabled", "Disabled")
    target = boot.get("BootSourceOverrideTarget") or "None"
    if enabled == "Disabled" or target == "None":
        return BOOT_NAMES["None"]
    return f"{BOOT_NAMES.get(target, target)} {'once' if enabled == 'Once' else 'always'}"


def boot_details(system: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of BOOT_DETAILS."""
    boot = system.get("Boot") or {}
    targets = boot.get("BootSourceOverrideTarget@Redfish.AllowableValues") or []
    return (
        system.get("Name"),
        system.get("UUID") or system.get("Id"),
        boot_of(system),
        boot.get("BootSourceOverrideMode"),
        Words(boot.get("BootOrder") or []),
        Words([BOOT_NAMES.get(target, target) for target in targets if target != "None"]),
        Words(boot.get("BootSourceOverrideMode@Redfish.AllowableValues") or []),
    )


def _memory(system: Mapping[str, Any]) -> int | None:
    exact = oem(system).get("MemoryMiB")
    if exact is not None:
        return int(exact) * MIB
    gib = (system.get("MemorySummary") or {}).get("TotalSystemMemoryGiB")
    return None if gib is None else round(gib * GIB)


def system_row(system: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of SYSTEM_COLUMNS."""
    own = oem(system)
    processors = system.get("ProcessorSummary") or {}
    return (
        system.get("Name"),
        system.get("UUID") or system.get("Id"),
        system.get("PowerState"),
        own.get("State") or (system.get("Status") or {}).get("State"),
        own.get("HostName") or _plain(own).get("Host"),
        own.get("CPU") or processors.get("LogicalProcessorCount") or processors.get("Count"),
        Size(_memory(system)),
    )


def system_details(system: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of SYSTEM_DETAILS."""
    own = oem(system)
    mode = (system.get("Boot") or {}).get("BootSourceOverrideMode")
    return (
        *system_row(system),
        (system.get("Status") or {}).get("Health"),
        own.get("Firmware") or {"Legacy": "BIOS"}.get(str(mode), mode),
        boot_of(system),
        Rows([_plain(item) for item in own.get("Disks") or []]),
        Rows([_plain(item) for item in own.get("NetworkInterfaces") or []]),
        Pairs(own.get("Labels") or {}),
        system.get("Description") or "",
        system.get("AssetTag") or "",
        own.get("Project"),
        own.get("Driver"),
        YesNo(bool(own.get("Stale", False))),
        own.get("ObservedAt", ""),
        own.get("Failure") or "",
        Words(reset_types(system)),
    )


def reset_types(system: Mapping[str, Any]) -> list[str]:
    """What the service says that this system can be told."""
    action = (system.get("Actions") or {}).get("#ComputerSystem.Reset") or {}
    return list(action.get("ResetType@Redfish.AllowableValues") or [])


def host_row(host: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of HOST_COLUMNS."""
    facts = host.get("Facts") or {}
    memory = facts.get("MemoryMiB")
    return (
        host.get("Name"),
        host.get("Id"),
        host.get("State"),
        host.get("StateChangedAt", ""),
        host.get("Driver"),
        host.get("URI"),
        facts.get("Hypervisor"),
        facts.get("Virtualisation"),
        facts.get("CPUs"),
        Size(None if memory is None else int(memory) * MIB),
    )


def host_details(host: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of HOST_DETAILS."""
    facts = host.get("Facts") or {}
    return (
        *host_row(host),
        host.get("StateReason") or "",
        host.get("LastContact", ""),
        YesNo(bool(host.get("Schedulable", True))),
        *_room(host),
        facts.get("Architecture"),
        Words(facts.get("Capabilities") or []),
        Words(facts.get("Networks") or []),
        Words(facts.get("Bridges") or []),
        Pairs(host.get("Labels") or {}),
        Items(facts.get("Warnings") or []),
    )


def _room(host: Mapping[str, Any]) -> tuple[Any, ...]:
    settings, capacity = host.get("Settings") or {}, host.get("Capacity") or {}
    vcpus, memory = capacity.get("VCPUs") or {}, capacity.get("MemoryMiB") or {}
    return (
        settings.get("ReservedVCPUs"),
        _limit(settings.get("VCPUOvercommit")),
        vcpus.get("Given"),
        _limit(vcpus.get("Free")),
        _mib(settings.get("ReservedMemoryMiB")),
        settings.get("MemoryOvercommit"),
        _mib(memory.get("Given")),
        _mib(memory.get("Free")),
        Rows([_plain(pool) for pool in capacity.get("Pools") or []]),
    )


def _limit(value: float | None) -> float | str:
    return "no limit" if value is None else value


def _mib(value: int | None) -> Size:
    return Size(None if value is None else value * MIB)


def pool_row(pool: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of POOL_COLUMNS."""
    hosts = [_plain(host) for host in pool.get("Hosts") or []]
    return (pool.get("Name"), pool.get("Id"), pool.get("Type"), pool.get("Overcommit"), Rows(hosts))


def task_row(task: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of TASK_COLUMNS."""
    return (
        task.get("Id"),
        task.get("Name"),
        task.get("TaskState"),
        task.get("PercentComplete"),
        oem(task).get("Subject"),
        task.get("StartTime"),
    )


def task_details(task: Mapping[str, Any]) -> tuple[Any, ...]:
    """Values of TASK_DETAILS."""
    own = oem(task)
    return (
        *task_row(task),
        task.get("EndTime"),
        task.get("TaskStatus"),
        own.get("RequestedBy"),
        own.get("Progress") or "",
        Items([message.get("Message", "") for message in task.get("Messages") or []]),
    )
