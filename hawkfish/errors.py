"""Every error that HawkFish raises on purpose.

No HTTP is known here: `hawkfish.api.errors` maps each class, once, to a Redfish message and a status. A message says what was
tried, on what, and what to do next. The values it speaks of are kept as `data`, so that programs need not read sentences.
"""

from __future__ import annotations

from typing import Any, ClassVar


class HawkFishError(Exception):
    """The base of all errors raised on purpose.

    Attributes:
        message: What was tried, on what, and what to do next.
        data: The values the message speaks of; must be fit for JSON.
    """

    retryable: ClassVar[bool] = False
    """Whether the same request may succeed later with nothing changed by the caller."""

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data: dict[str, Any] = data

    def __str__(self) -> str:
        return self.message


# --- what the caller sent --------------------------------------------------------------------------------------------


class InvalidRequest(HawkFishError):
    """The request as a whole cannot be understood or is not allowed in this form."""


class MalformedJson(InvalidRequest):
    """The body is not JSON, or not an object."""


class BodyTooLarge(InvalidRequest):
    """The body is larger than the service accepts. Data: `limit` in bytes."""


class UnsupportedMediaType(InvalidRequest):
    """The body is of a type that the service does not read."""


class NoOperation(InvalidRequest):
    """The request asks for no change at all."""


class PropertyError(InvalidRequest):
    """Something is wrong with one property. Data: `property` (a path such as `Disks/0/CapacityBytes`), `value`."""

    def __init__(self, message: str, *, property: str, **data: Any) -> None:  # noqa: A002  the field's own word
        super().__init__(message, property=property, **data)


class PropertyUnknown(PropertyError):
    """The resource has no such property."""


class PropertyNotWritable(PropertyError):
    """The property exists and cannot be set by this request."""


class PropertyMissing(PropertyError):
    """A property that the request needs is absent."""


class PropertyWrongType(PropertyError):
    """The value has the wrong type."""


class PropertyOutOfRange(PropertyError):
    """The value has the right type and is too small, too large or too long."""


class PropertyNotInList(PropertyError):
    """The value is not one of those allowed. Data: `allowed`."""


class PropertyInvalidFormat(PropertyError):
    """The value has the right type and not the form that is needed."""


class PropertyConflict(PropertyError):
    """The value contradicts another property or a reference that cannot be followed."""


class SeveralErrors(InvalidRequest):
    """More than one thing is wrong with a request; each is in `errors`."""

    def __init__(self, errors: list[HawkFishError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


class QueryNotSupported(InvalidRequest):
    """A query parameter that begins with `$` and that the service does not know. Data: `parameter`."""


class QueryInvalid(InvalidRequest):
    """A query parameter with a value that cannot be used. Data: `parameter`, `value`."""


class ActionNotSupported(InvalidRequest):
    """The action is not offered by this resource in its state or on its host. Data: `action`."""


class ActionParameterUnknown(InvalidRequest):
    """The action has no such parameter. Data: `action`, `parameter`."""


class ActionParameterMissing(InvalidRequest):
    """The action needs a parameter that is absent. Data: `action`, `parameter`."""


class ActionParameterInvalid(InvalidRequest):
    """The value of a parameter is not allowed. Data: `action`, `parameter`, `value`, `allowed`."""


# --- who the caller is -----------------------------------------------------------------------------------------------


class NotAuthenticated(HawkFishError):
    """No credentials, or credentials that are not valid."""


class NotPermitted(HawkFishError):
    """The caller may see the subject and may not do this to it. Data: `verb`."""


class PasswordChangeRequired(NotPermitted):
    """The account must be given a new password before anything else. Data: `account_id`."""


class TooManySessions(NotPermitted):
    """The account has as many sessions as it may have, and none that could be dropped."""


# --- the state of things ---------------------------------------------------------------------------------------------


class NotFound(HawkFishError):
    """There is no such thing, or the caller may not see it. Data: `kind`, `id`."""


class AlreadyExists(HawkFishError):
    """A thing of that name exists. Data: `kind`, `property`, `value`."""


class Conflict(HawkFishError):
    """The thing is in a state that does not allow this now."""


class InUse(Conflict):
    """The thing is needed by others. Data: `by`."""


class PreconditionFailed(HawkFishError):
    """The thing was changed by another since the caller read it."""


class Aborted(HawkFishError):
    """The work was cancelled by request before it was done, and what had been done was undone."""


class LeaseLost(HawkFishError):
    """Another worker has taken over this task; nothing more may be written or undone by this one."""


# --- capacity --------------------------------------------------------------------------------------------------------


class QuotaExceeded(HawkFishError):
    """A limit of the project or a quota checker refuses. Data: `resource`, `limit`, `used`, `requested`, `checker`."""


class NoRoom(HawkFishError):
    """No host can take the machine. Data: `reasons`, a dict from host name to what was short."""


# --- hosts, drivers, plugins -----------------------------------------------------------------------------------------


class BackendError(HawkFishError):
    """A hypervisor or storage operation failed. Data: `operation`, `host`, `reason`."""


class BackendTimeout(BackendError):
    """An operation did not end before its deadline; whether it took effect is not known. Data: `seconds`."""

    retryable = True


class HostUnavailable(BackendError):
    """The host cannot be reached now."""

    retryable = True


class NotSupported(HawkFishError):
    """The driver, the pool or this host cannot do that. Data: `operation`."""


class MachineNotFound(BackendError):
    """The hypervisor has no such machine. Data: `machine`."""


class ForeignObject(BackendError):
    """A machine, file or pool of that name exists and was not made by this installation; it is left alone."""


class PluginError(HawkFishError):
    """A plugin cannot be loaded or broke its promises. Data: `plugin`."""


class PluginConfigInvalid(PluginError):
    """The configuration of a plugin is not valid. Data: `plugin`, `field`."""


class StorageFull(BackendError):
    """A pool has no room for what was asked. Data: `pool`, `requested`, `available`, all in bytes."""


# --- images -----------------------------------------------------------------------------------------------------------


class DownloadFailed(HawkFishError):
    """A server does not give a file as it should. Data: `url` (without its query), `reason`."""


class ImageRefused(HawkFishError):
    """A content is not what was announced, or is no image that can be used. Data: `reason`."""


# --- the service itself ----------------------------------------------------------------------------------------------


class ConfigurationError(HawkFishError):
    """A setting, a file or the environment is not as the service needs it. Data: `setting`."""


class ServiceBusy(HawkFishError):
    """The service cannot take the request now. Data: `retry_after` in seconds."""

    retryable = True


class DatabaseUnavailable(ServiceBusy):
    """The database does not answer or is locked for too long."""


class SchemaOutdated(ConfigurationError):
    """The database schema is older or newer than this version of the service needs. Data: `found`, `needed`."""


class WorkerAlreadyRunning(ConfigurationError):
    """Another worker holds the lock of this database."""
