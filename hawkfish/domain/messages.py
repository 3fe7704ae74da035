"""The messages that events bear: those of the standard registries that we use, and the whole of our own, `HawkFish.1.0`.

Our registry's JSON, and its page of the documentation, are made from what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hawkfish.domain.events import Severity

RESOURCE_EVENT = "ResourceEvent.1.4"
TASK_EVENT = "TaskEvent.1.0"
MANAGER_EVENT = "ManagerEvent.1.0"
HAWKFISH = "HawkFish.1.0"


@dataclass(frozen=True, kw_only=True)
class EventMessage:
    """A message of a registry.

    Attributes:
        id: Registry and name, such as `TaskEvent.1.0.TaskStarted`.
        arguments: How many arguments it takes.
    """

    id: str
    severity: Severity = Severity.OK
    arguments: int = 0


@dataclass(frozen=True, kw_only=True)
class Argument:
    """An argument of a message of our own; its type is `string` or `number`."""

    description: str
    type: str = "string"


@dataclass(frozen=True, kw_only=True)
class OwnMessage(EventMessage):
    """A message of our own registry; `text` has the places `%1`, `%2`, ... for its arguments."""

    text: str
    description: str
    parameters: tuple[Argument, ...] = field(default=())
    resolution: str = "None."

    @property
    def name(self) -> str:
        """Its name in the registry."""
        return self.id.removeprefix(f"{HAWKFISH}.")


def _resource(name: str, arguments: int = 0, severity: Severity = Severity.OK) -> EventMessage:
    return EventMessage(id=f"{RESOURCE_EVENT}.{name}", severity=severity, arguments=arguments)


def _task(name: str, severity: Severity = Severity.OK, arguments: int = 1) -> EventMessage:
    return EventMessage(id=f"{TASK_EVENT}.{name}", severity=severity, arguments=arguments)


# Arguments: none, or the resource's name, and then its health or state where that is what has changed.
RESOURCE_CREATED = _resource("ResourceCreated")
RESOURCE_REMOVED = _resource("ResourceRemoved")
RESOURCE_CHANGED = _resource("ResourceChanged")
RESOURCE_STATE_CHANGED = _resource("ResourceStateChanged", 2)
RESOURCE_STATUS_OK = _resource("ResourceStatusChangedOK", 2)
RESOURCE_STATUS_WARNING = _resource("ResourceStatusChangedWarning", 2, Severity.WARNING)
RESOURCE_STATUS_CRITICAL = _resource("ResourceStatusChangedCritical", 2, Severity.CRITICAL)
RESOURCE_POWERING_ON = _resource("ResourcePoweringOn", 1)
RESOURCE_POWERED_ON = _resource("ResourcePoweredOn", 1)
RESOURCE_POWERING_OFF = _resource("ResourcePoweringOff", 1)
RESOURCE_POWERED_OFF = _resource("ResourcePoweredOff", 1)
RESOURCE_PAUSED = _resource("ResourcePaused", 1)

# Arguments: the manager's name, and the type of reset.
MANAGER_RESET = EventMessage(id=f"{MANAGER_EVENT}.ManagerReset", arguments=2)

# Arguments: the task's id, and how many per cent are done.
TASK_STARTED = _task("TaskStarted")
TASK_COMPLETED = _task("TaskCompletedOK")
TASK_ABORTED = _task("TaskAborted", Severity.CRITICAL)
TASK_CANCELLED = _task("TaskCancelled", Severity.WARNING)
TASK_PAUSED = _task("TaskPaused", Severity.WARNING)
TASK_RESUMED = _task("TaskResumed")
TASK_REMOVED = _task("TaskRemoved", Severity.WARNING)
TASK_PROGRESS = _task("TaskProgressChanged", arguments=2)

STANDARD_MESSAGES: tuple[EventMessage, ...] = (
    RESOURCE_CREATED,
    RESOURCE_REMOVED,
    RESOURCE_CHANGED,
    RESOURCE_STATE_CHANGED,
    RESOURCE_STATUS_OK,
    RESOURCE_STATUS_WARNING,
    RESOURCE_STATUS_CRITICAL,
    RESOURCE_POWERING_ON,
    RESOURCE_POWERED_ON,
    RESOURCE_POWERING_OFF,
    RESOURCE_POWERED_OFF,
    RESOURCE_PAUSED,
    MANAGER_RESET,
    TASK_STARTED,
    TASK_COMPLETED,
    TASK_ABORTED,
    TASK_CANCELLED,
    TASK_PAUSED,
    TASK_RESUMED,
    TASK_REMOVED,
    TASK_PROGRESS,
)

_SYSTEM = Argument(description="The name of the system.")
_HOST = Argument(description="The name of the host.")
_VOLUME = Argument(description="The name of the volume.")


def _own(
    name: str,
    text: str,
    description: str,
    *parameters: Argument,
    severity: Severity = Severity.OK,
    resolution: str = "None.",
) -> OwnMessage:
    return OwnMessage(
        id=f"{HAWKFISH}.{name}",
        severity=severity,
        arguments=len(parameters),
        text=text,
        description=description,
        parameters=parameters,
        resolution=resolution,
    )


SYSTEM_MIGRATING = _own(
    "SystemMigrating",
    "The system '%1' is being moved from the host '%2' to the host '%3'.",
    "The migration of a system has begun.",
    _SYSTEM,
    Argument(description="The name of the host that the system leaves."),
    Argument(description="The name of the host that the system goes to."),
)
SYSTEM_MIGRATED = _own(
    "SystemMigrated",
    "The system '%1' was moved from the host '%2' to the host '%3'.",
    "The migration of a system has ended well.",
    _SYSTEM,
    Argument(description="The name of the host that the system has left."),
    Argument(description="The name of the host that the system is on now."),
)
HOST_MAINTENANCE_ENTERED = _own(
    "HostMaintenanceEntered",
    "The host '%1' is in maintenance.",
    "A host runs no systems any more and is given no new ones.",
    _HOST,
)
HOST_MAINTENANCE_EXITED = _own(
    "HostMaintenanceExited",
    "The host '%1' has left maintenance.",
    "A host may be given systems again.",
    _HOST,
)
VOLUME_ATTACHED = _own(
    "VolumeAttached",
    "The volume '%1' was attached to the system '%2'.",
    "A system has one more volume.",
    _VOLUME,
    _SYSTEM,
)
VOLUME_DETACHED = _own(
    "VolumeDetached",
    "The volume '%1' was detached from the system '%2'.",
    "A system has one volume less.",
    _VOLUME,
    _SYSTEM,
)
VOLUME_RESIZED = _own(
    "VolumeResized",
    "The volume '%1' has now a capacity of %2 bytes.",
    "The capacity of a volume has changed.",
    _VOLUME,
    Argument(description="The new capacity in bytes.", type="number"),
)
MEDIA_INSERTED = _own(
    "MediaInserted",
    "The image '%1' was inserted into the drive '%2' of the system '%3'.",
    "An image is in a drive of a system.",
    Argument(description="The name of the image."),
    Argument(description="The name of the drive."),
    _SYSTEM,
)
MEDIA_EJECTED = _own(
    "MediaEjected",
    "The drive '%1' of the system '%2' was emptied.",
    "What was in a drive of a system has been ejected.",
    Argument(description="The name of the drive."),
    _SYSTEM,
)
WORK_FAILED = _own(
    "SystemWorkFailed",
    "'%1' failed: %2",
    "What was accepted for a system could not be done.",
    Argument(description="What was to be done."),
    Argument(description="Why it failed."),
    severity=Severity.WARNING,
    resolution="Do what the reason says, and ask again.",
)
EVENTS_DROPPED = _own(
    "EventsDropped",
    "%1 events were deleted before they were delivered here.",
    "The receiver was away, or slow, for longer than events are kept, so that some were never sent to it.",
    Argument(description="How many events are missing.", type="number"),
    severity=Severity.WARNING,
    resolution="Read the resources of interest again, since what is known of them may be out of date.",
)
TEST_EVENT = _own(
    "TestEvent",
    "This is a test: '%1' asked for it.",
    "Somebody wants to see that events arrive; nothing has happened.",
    Argument(description="The name of the account that asked for it."),
)
STREAM_OPENED = _own(
    "StreamOpened",
    "The stream is open; what happens from now on comes here.",
    "The first event of every stream, sent to it alone; its id is where the stream begins.",
)

_ACCOUNT = Argument(description="The name of the account.")
_VERB = Argument(description="What was asked for, such as systems.reset.")
REQUEST_ALLOWED = _own(
    "RequestAllowed",
    "'%1' did '%2'.",
    "An account did something to the resource; an entry of the audit trail.",
    _ACCOUNT,
    _VERB,
)
REQUEST_DENIED = _own(
    "RequestDenied",
    "'%1' was refused '%2'.",
    "An account asked for something that it may not do to the resource; an entry of the audit trail.",
    _ACCOUNT,
    _VERB,
    severity=Severity.WARNING,
    resolution="If the account is to do this, give it a role with the privilege that it needs.",
)
REQUEST_FAILED = _own(
    "RequestFailed",
    "'%2' failed for '%1'.",
    "An account asked for something that could not be done to the resource; an entry of the audit trail.",
    _ACCOUNT,
    _VERB,
    severity=Severity.WARNING,
)

OWN_MESSAGES: tuple[OwnMessage, ...] = (
    SYSTEM_MIGRATING,
    SYSTEM_MIGRATED,
    HOST_MAINTENANCE_ENTERED,
    HOST_MAINTENANCE_EXITED,
    VOLUME_ATTACHED,
    VOLUME_DETACHED,
    VOLUME_RESIZED,
    MEDIA_INSERTED,
    MEDIA_EJECTED,
    WORK_FAILED,
    EVENTS_DROPPED,
    TEST_EVENT,
    STREAM_OPENED,
    REQUEST_ALLOWED,
    REQUEST_DENIED,
    REQUEST_FAILED,
)
