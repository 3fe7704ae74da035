"""What our own types show. The schema files that clients fetch are made from these, and a test holds live resources to them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from marshmallow import Schema, fields

from hawkfish.domain.accounts import AuditOutcome
from hawkfish.domain.hosts import HostState, Virtualisation
from hawkfish.domain.images import ImageState
from hawkfish.domain.machines import DiskBus, Firmware, NetworkInterfaceModel
from hawkfish.domain.storage import VolumeFormat
from hawkfish.domain.subscriptions import DeliveryState
from hawkfish.domain.systems import SystemState


class ShownSchema(Schema):
    """An object that is shown.

    Attributes:
        type_name: Its type within its namespace; None for an object within another.
        resource: Whether it has an address of its own.
        actions: Names of its actions with what they do.
        collection_actions: The same of its collection.
    """

    namespace: ClassVar[str | None] = None
    type_name: ClassVar[str] = ""
    resource: ClassVar[bool] = False
    actions: ClassVar[dict[str, str]] = {}
    collection_actions: ClassVar[dict[str, str]] = {}


class Link(fields.Field[Any]):
    """A link to a resource.

    Attributes:
        target: The qualified name of its type.
    """

    def __init__(self, target: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target


class Offered(fields.Field[Any]):
    """The actions that a resource offers now: those of its schema."""


def _says(text: str) -> dict[str, Any]:
    return {"metadata": {"description": text}}


def _text(text: str, **more: Any) -> fields.String:
    return fields.String(**_says(text), **more)


def _whole(text: str, **more: Any) -> fields.Integer:
    return fields.Integer(**_says(text), **more)


def _truth(text: str) -> fields.Boolean:
    return fields.Boolean(**_says(text))


def _time(text: str) -> fields.DateTime:
    return fields.DateTime(**_says(text))


def _one_of(kind: type[StrEnum], text: str) -> fields.Enum[StrEnum]:
    return fields.Enum(kind, by_value=True, **_says(text))


def _texts(text: str) -> fields.List[str]:
    return fields.List(fields.String(), **_says(text))


def _map(text: str) -> fields.Dict:
    return fields.Dict(**_says(text))


class ShownDisk(ShownSchema):
    """A disk of a system."""

    Id = _text("The serial number of the disk in the guest.")
    CapacityBytes = _whole("The size that the guest sees.")
    Format = _one_of(VolumeFormat, "The format of the volume.")
    Bus = _one_of(DiskBus, "The bus that the disk hangs on.")
    Pool = Link("HawkFishPool.HawkFishPool", **_says("The storage pool that holds the volume."))
    VolumeName = _text("The name of the volume in its pool.")
    Image = _text("The image that it was made from; absent for a disk that began empty.")
    ImageSHA256 = _text("The SHA-256 of the content of that image; absent where the image is not of the catalogue.")


class ShownNetworkInterface(ShownSchema):
    """A network interface of a system."""

    Id = _text("The name of the interface within the system.")
    MACAddress = _text("The MAC address.")
    Model = _one_of(NetworkInterfaceModel, "The model of the card.")
    Network = _text("The network of the host that it hangs on.")
    Bridge = _text("The bridge of the host that it hangs on.")
    VLANId = _whole("The VLAN on the bridge.")
    UserMode = _truth("Whether it reaches out through the host's own connections, and nobody reaches it.")


class ShownMachine(ShownSchema):
    """What the hypervisor says of a machine."""

    Name = _text("Its name there.")
    CPU = _whole("The number of virtual CPUs.")
    MemoryMiB = _whole("The memory in MiB.")
    DiskIds = _texts("The disks that it has.")
    MACAddresses = _texts("The interfaces that it has.")


class ShownSystem(ShownSchema):
    """What HawkFish says of a system beyond ComputerSystem."""

    namespace = "HawkFishSystem"
    type_name = "System"
    actions: ClassVar[dict[str, str]] = {"Screenshot": "Takes a picture of the screen, and tells where it is."}

    Host = Link("HawkFishHost.HawkFishHost", **_says("The host that runs it."))
    HostName = _text("The name of that host.")
    Driver = _text("The compute driver of that host.")
    Project = _text("The project that it belongs to.")
    State = _one_of(SystemState, "The life of its record.")
    Failure = _text("What is wrong with it; absent while all is well.")
    CPU = _whole("The number of virtual CPUs.")
    MemoryMiB = _whole("The memory in MiB.")
    Firmware = _one_of(Firmware, "The firmware, chosen when it was made.")
    Labels = _map("Strings of the users' own, by names of their own.")
    Profile = Link("HawkFishProfile.HawkFishProfile", **_says("The profile that it was made after."))
    ProfileRevision = _whole("The revision of the profile that it was made after.")
    Stale = _truth("Whether its host is silent, so that what is shown may no longer be so.")
    Observed = fields.Nested(
        ShownMachine, **_says("What the hypervisor says; shown where it is not what was asked for.")
    )
    Differences = _texts("The properties in which the machine is not what was asked for.")
    ObservedAt = _time("When it was last seen; shown while it is stale.")
    Disks = fields.List(fields.Nested(ShownDisk), **_says("The disks, in their order."))
    NetworkInterfaces = fields.List(fields.Nested(ShownNetworkInterface), **_says("The interfaces, in their order."))
    SerialLogURI = _text("Where that is read which it wrote to its serial port.")


class ShownEthernetInterface(ShownSchema):
    """What HawkFish says of a network interface beyond EthernetInterface."""

    namespace = "HawkFishEthernetInterface"
    type_name = "EthernetInterface"

    Model = _one_of(NetworkInterfaceModel, "The model of the card.")
    Network = _text("The network of the host that it hangs on.")
    Bridge = _text("The bridge of the host that it hangs on.")
    VLANId = _whole("The VLAN on the bridge.")
    UserMode = _truth("Whether it reaches out through the host's own connections, and nobody reaches it.")


class ShownDrive(ShownSchema):
    """What HawkFish says of a disk beyond Drive."""

    namespace = "HawkFishDrive"
    type_name = "Drive"

    Bus = _one_of(DiskBus, "The bus that the disk hangs on.")
    Format = _one_of(VolumeFormat, "The format of the volume.")
    Pool = Link("HawkFishPool.HawkFishPool", **_says("The storage pool that holds the volume."))
    VolumeName = _text("The name of the volume in its pool.")
    Image = _text("The image that it was made from; absent for a disk that began empty.")


class ShownTask(ShownSchema):
    """What HawkFish says of a task beyond Task."""

    namespace = "HawkFishTask"
    type_name = "Task"
    actions: ClassVar[dict[str, str]] = {"Cancel": "Stops the task and takes back what it did."}

    Kind = _text("What kind of work it is.")
    Subject = _text("What it works on.")
    RequestedBy = _text("The user who asked for it.")
    Progress = _text("What it is doing, or how it ended.")
    WaitsFor = Link("Task.Task", **_says("The task that has to end before this one begins."))
    StartedAt = _time("When a worker took it up.")


class ShownServiceRoot(ShownSchema):
    """What HawkFish says of itself beyond ServiceRoot."""

    namespace = "HawkFishServiceRoot"
    type_name = "ServiceRoot"

    Version = _text("The version of HawkFish.")
    Hosts = Link("HawkFishHostCollection.HawkFishHostCollection", **_says("The hosts."))
    Images = Link("HawkFishImageCollection.HawkFishImageCollection", **_says("The images."))
    Profiles = Link("HawkFishProfileCollection.HawkFishProfileCollection", **_says("The profiles of systems."))
    Plugins = Link("HawkFishPluginCollection.HawkFishPluginCollection", **_says("The plugins."))
    Audit = Link("HawkFishAuditRecordCollection.HawkFishAuditRecordCollection", **_says("The audit trail."))
    StoragePools = Link("HawkFishPoolCollection.HawkFishPoolCollection", **_says("The storage pools."))


class ShownEventDestination(ShownSchema):
    """What HawkFish says of a subscription beyond EventDestination."""

    namespace = "HawkFishEventDestination"
    type_name = "EventDestination"
    actions: ClassVar[dict[str, str]] = {"Redeliver": "Sends the events of a delivery once more."}

    CreatedBy = _text("The user who made it.")
    CreatedAt = _time("When it was made.")
    EventsDelivered = _whole("The number of events that were delivered.")
    EventsDropped = _whole("The number of events that were given up, since too many were waiting.")
    LastDelivery = _time("When a delivery was last tried.")
    LastError = _text("Why the last delivery failed; absent if it did not.")
    Secret = _text("What deliveries are signed with; shown once, in the answer that makes the subscription.")
    Deliveries = Link("HawkFishDeliveryCollection.HawkFishDeliveryCollection", **_says("The last deliveries."))


class ShownDelivery(ShownSchema):
    """One try to deliver events to a subscriber."""

    namespace = type_name = "HawkFishDelivery"
    resource = True

    At = _time("When it was tried, or asked for.")
    State = _one_of(DeliveryState, "What became of it.")
    EventCount = _whole("The number of events in it.")
    EventIds = _texts("The ids of these events, as they were sent.")
    Attempt = _whole("1 for the first try of these events.")
    Redelivery = _truth("Whether somebody asked for it to be made again.")
    HTTPStatus = _whole("The status of the receiver's answer; absent where there was none.")
    Error = _text("Why it failed; absent if it did not.")
    Milliseconds = _whole("How long it took.")


class ShownSerialLog(ShownSchema):
    """A piece of what a system wrote to its serial port."""

    namespace = "HawkFishSerialLog"
    type_name = "SerialLog"
    resource = True

    Text = _text("The piece.")
    Offset = _whole("Where it begins, in bytes.")
    NextOffset = _whole("Where the next piece begins.")


class ShownFacts(ShownSchema):
    """What a host was found to be."""

    Hostname = _text("What it calls itself.")
    Hypervisor = _text("Its hypervisor with the version.")
    Architecture = _text("The architecture of its processors.")
    CPUs = _whole("The number of its logical processors.")
    CPUModel = _text("The model of its processors.")
    MemoryMiB = _whole("Its memory in MiB.")
    Virtualisation = _one_of(Virtualisation, "How guests run.")
    VirtualisationReason = _text("Why they run so.")
    Capabilities = _texts("What it can do.")
    Firmwares = _texts("The kinds of firmware that it offers.")
    CPUModels = _texts("What the processors of machines can be like, the usual first.")
    NestedVirtualization = _truth("Whether processors of machines can be told to run machines themselves, or not to.")
    SecureBoot = _truth("Whether UEFI of its machines can refuse what is not signed.")
    SetupMenu = _truth("Whether a start can have UEFI of its machines enter its set-up menu.")
    Drives = _texts("The kinds of drives that its machines can have.")
    Networks = _texts("The networks that machines can hang on.")
    Bridges = _texts("The bridges that machines can hang on.")
    Warnings = _texts("What is not as it should be.")


class ShownAmount(ShownSchema):
    """How much of something there is."""

    Capacity = fields.Float(allow_none=True, **_says("What may be given in all; null for no limit."))
    Given = fields.Float(**_says("What is given."))
    Free = fields.Float(allow_none=True, **_says("What may still be given; null for no limit."))


class ShownPoolRoom(ShownSchema):
    """How much of a pool there is on a host."""

    Pool = Link("HawkFishPool.HawkFishPool", **_says("The pool."))
    Name = _text("Its name.")
    Overcommit = fields.Float(allow_none=True, **_says("How many times its capacity may be given; null for no limit."))
    CapacityBytes = _whole("What may be given in all; null for no limit.", allow_none=True)
    GivenBytes = _whole("What is given.")
    FreeBytes = _whole("What may still be given; null for no limit.", allow_none=True)


class ShownCapacity(ShownSchema):
    """How much of a host there is."""

    VCPUs = fields.Nested(ShownAmount, **_says("Virtual CPUs."))
    MemoryMiB = fields.Nested(ShownAmount, **_says("Memory in MiB."))
    Pools = fields.List(fields.Nested(ShownPoolRoom), **_says("Storage."))


class ShownHost(ShownSchema):
    """A host that runs systems."""

    namespace = type_name = "HawkFishHost"
    resource = True
    actions: ClassVar[dict[str, str]] = {"Forget": "Lets go of a host that is gone for good, with its systems."}

    Driver = _text("The compute driver that talks to it.")
    URI = _text("Its address in the driver's own form.")
    State = _one_of(HostState, "Whether it answers.")
    StateReason = _text("Why it is Suspect or Down; absent while it is Up.")
    StateChangedAt = _time("Since when.")
    LastContact = _time("When it last answered; shown while it is not Up.")
    Schedulable = _truth("Whether it takes new systems.")
    Labels = _map("Strings of the users' own, by names of their own.")
    Settings = _map("The driver's settings, and the limits of what may be given.")
    Status = fields.Raw(**_says("Its health."))
    Actions = Offered(**_says("What can be done with it now."))
    Facts = fields.Nested(ShownFacts, **_says("What the last look at it found."))
    Capacity = fields.Nested(ShownCapacity, **_says("What may be given, what is given, and what is free."))


class ShownPoolHost(ShownSchema):
    """A pool on one host."""

    Host = Link("HawkFishHost.HawkFishHost", **_says("The host."))
    CapacityBytes = _whole("The size of the pool there.")
    AllocatedBytes = _whole("What is used there, by whomever.")
    AvailableBytes = _whole("What is free there.")


class ShownPool(ShownSchema):
    """A storage pool: a place for volumes on one or more hosts."""

    namespace = type_name = "HawkFishPool"
    resource = True

    Type = _text("The kind of pool, named by its plugin.")
    Config = _map("The plugin's configuration of it.")
    Overcommit = fields.Float(allow_none=True, **_says("How many times its capacity may be given; null for no limit."))
    Hosts = fields.List(fields.Nested(ShownPoolHost), **_says("The hosts that it is usable on."))


class ShownImage(ShownSchema):
    """An image of a disk, from which disks of systems are made."""

    namespace = type_name = "HawkFishImage"
    resource = True
    collection_actions: ClassVar[dict[str, str]] = {
        "Prune": "Removes contents, and copies on hosts, that nobody needs any more."
    }

    Description = _text("What people say of it.")
    State = _one_of(ImageState, "Whether its content is there.")
    Status = fields.Raw(**_says("The same, as Redfish says it."))
    URL = _text("Where its content was downloaded from, without what may be secret in it.")
    LocalPath = _text("The file of the service's host that its content was copied from.")
    VerifyCertificate = _truth("Whether the server of the URL had to prove who it is.")
    SHA256 = _text("The SHA-256 of its content; before that is there, the one that it must have.")
    Format = _one_of(VolumeFormat, "The format of the content.")
    VirtualBytes = _whole("The size that a guest sees.")
    FileBytes = _whole("The size of the content.")
    ContentURI = _text("Where the content is put; absent once it is there.")
    CreatedAt = _time("When it was added.")
    CreatedBy = _text("The user who added it.")


class ShownProfileInterface(ShownSchema):
    """A network interface that systems get."""

    Model = _one_of(NetworkInterfaceModel, "The model of the card.")
    Network = _text("The network of the host that it hangs on.")
    Bridge = _text("The bridge of the host that it hangs on.")
    VLANId = _whole("The VLAN on the bridge.")
    UserMode = _truth("Whether it reaches out through the host's own connections, and nobody reaches it.")


class ShownProfile(ShownSchema):
    """A profile: what a system gets of which its request says nothing."""

    namespace = type_name = "HawkFishProfile"
    resource = True

    Description = _text("What people say of it.")
    Revision = _whole("The revision that is shown.")
    RevisionCount = _whole("The number of its revisions, which is the last one.")
    CPU = _whole("The number of virtual CPUs.")
    MemoryMiB = _whole("The memory in MiB.")
    DiskGiB = _whole("The size of the first disk in GiB.")
    Firmware = _one_of(Firmware, "The firmware.")
    ImageId = _text("The id of the image that the first disk is made from.")
    Image = Link("HawkFishImage.HawkFishImage", **_says("The image that the first disk is made from."))
    NetworkInterfaces = fields.List(
        fields.Nested(ShownProfileInterface), **_says("The network interfaces, in their order.")
    )
    Labels = _map("Strings of the users' own, by names of their own.")
    CreatedAt = _time("When the profile was made.")
    CreatedBy = _text("The user who made it.")


class ShownRecord(ShownSchema):
    """One thing that a plugin offers."""

    Kind = _text("What kind of thing it is.")
    Name = _text("Its name.")
    Summary = _text("What it is for.")
    Capabilities = _texts("What it can do.")
    ConfigSchemaURI = _text("Where the JSON Schema of its configuration is; absent if it takes none.")
    SettingsSchemaURI = _text("Where the JSON Schema of its part of the plugin's settings is; absent if it takes none.")
    Problem = _text("Why it cannot be used; absent if it can.")


class ShownPlugin(ShownSchema):
    """A plugin that was found."""

    namespace = type_name = "HawkFishPlugin"
    resource = True

    Distribution = _text("The distribution that it came with.")
    Version = _text("The version of that distribution.")
    State = _text("What became of it.")
    API = _whole("The version of the plugin API that it was written for.")
    Reason = _text("Why it is not used; absent if it is.")
    Records = fields.List(fields.Nested(ShownRecord), **_says("What it offers."))


class ShownAuditFact(ShownSchema):
    """One more thing that was written down."""

    Name = _text("What it is.")
    Value = _text("What it was.")


class ShownAuditRecord(ShownSchema):
    """Who did what to what, from where, and whether it was allowed."""

    namespace = type_name = "HawkFishAuditRecord"
    resource = True

    At = _time("When it was done or refused.")
    UserName = _text("Who asked.")
    Verb = _text("What was asked for, such as systems.create.")
    Subject = _text("What it was done to, as kind:id.")
    Outcome = _one_of(AuditOutcome, "How it ended.")
    Address = _text("From where; absent for what the service did by itself.")
    SessionId = _text("The session of the one who asked.")
    RequestId = _text("The id of the request, as it stands in the log and in X-Request-Id.")
    Details = fields.List(fields.Nested(ShownAuditFact), **_says("What else was written down."))


class ShownBios(ShownSchema):
    """What HawkFish says of a BIOS beyond Bios."""

    namespace = "HawkFishBios"
    type_name = "Bios"

    CPUModels = _texts("The values that the attribute CpuModel takes on the system's host, the usual one first.")


class ShownVirtualMedia(ShownSchema):
    """What HawkFish says of a drive with a changeable medium beyond VirtualMedia."""

    namespace = "HawkFishVirtualMedia"
    type_name = "VirtualMedia"

    SHA256 = _text(
        "The SHA-256 of the image that is inserted. InsertMedia takes it as Oem/HawkFish/SHA256 and inserts no other content.",
        allow_none=True,
    )


SHOWN: tuple[type[ShownSchema], ...] = (
    ShownAuditRecord,
    ShownDelivery,
    ShownBios,
    ShownDrive,
    ShownEthernetInterface,
    ShownEventDestination,
    ShownHost,
    ShownImage,
    ShownPlugin,
    ShownPool,
    ShownProfile,
    ShownSerialLog,
    ShownServiceRoot,
    ShownSystem,
    ShownTask,
    ShownVirtualMedia,
)
COLLECTIONS = (
    "HawkFishAuditRecord",
    "HawkFishDelivery",
    "HawkFishHost",
    "HawkFishImage",
    "HawkFishPlugin",
    "HawkFishPool",
    "HawkFishProfile",
)
"""Types that have a collection of their own."""
