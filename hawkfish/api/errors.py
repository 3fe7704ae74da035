"""From our errors to Redfish's: one table, and the one place where error bodies are built."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import falcon
import structlog

from hawkfish import errors
from hawkfish.api.messages import BASE, render

log = structlog.get_logger(__name__)

SHOWN_LENGTH = 120
"""Longest value of a caller's that is shown back to it."""

MESSAGES_LIMIT = 50
"""Most messages in one answer."""


class ProtocolError(Exception):
    """Something about HTTP itself, which the services below know nothing of.

    Attributes:
        name: A message of the Base registry.
        arguments: The message's arguments.
        text: What was tried, on what, and what to do next.
        headers: To be sent with the answer.
    """

    def __init__(
        self, status: int, name: str, *arguments: str, text: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text or name)
        self.status = status
        self.name = name
        self.arguments = arguments
        self.text = text
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Mapped:
    """How one class of our errors is answered.

    Attributes:
        status: The HTTP status.
        name: A message of the Base registry.
        arguments: The message's arguments, made from the error.
    """

    status: int
    name: str
    arguments: Callable[[errors.HawkFishError], Sequence[str]] = field(default=lambda _error: ())


def shown(value: object) -> str:
    """A value as it is shown in a message: short, and never with control characters."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = "".join(character if character.isprintable() else "?" for character in text[: SHOWN_LENGTH + 1])
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}..."


def _data(*keys: str) -> Callable[[errors.HawkFishError], Sequence[str]]:
    """Takes the arguments from the error's data."""
    return lambda error: tuple(shown(error.data.get(key, "")) for key in keys)


def _account_uri(error: errors.HawkFishError) -> Sequence[str]:
    return (f"/redfish/v1/AccountService/Accounts/{error.data.get('account_id', '')}",)


def _retry(error: errors.HawkFishError) -> Sequence[str]:
    return (str(error.data.get("retry_after", 1)),)


TABLE: dict[type[errors.HawkFishError], Mapped] = {
    errors.HawkFishError: Mapped(500, "InternalError"),
    # what the caller sent
    errors.InvalidRequest: Mapped(400, "GeneralError"),
    errors.MalformedJson: Mapped(400, "MalformedJSON"),
    errors.BodyTooLarge: Mapped(413, "PayloadTooLarge"),
    errors.UnsupportedMediaType: Mapped(415, "HeaderInvalid", lambda _error: ("Content-Type",)),
    errors.NoOperation: Mapped(400, "NoOperation"),
    errors.PropertyError: Mapped(400, "PropertyValueError", _data("property")),
    errors.PropertyUnknown: Mapped(400, "PropertyUnknown", _data("property")),
    errors.PropertyNotWritable: Mapped(400, "PropertyNotWritable", _data("property")),
    errors.PropertyMissing: Mapped(400, "PropertyMissing", _data("property")),
    errors.PropertyWrongType: Mapped(400, "PropertyValueTypeError", _data("value", "property")),
    errors.PropertyOutOfRange: Mapped(400, "PropertyValueOutOfRange", _data("value", "property")),
    errors.PropertyNotInList: Mapped(400, "PropertyValueNotInList", _data("value", "property")),
    errors.PropertyInvalidFormat: Mapped(400, "PropertyValueFormatError", _data("value", "property")),
    errors.PropertyConflict: Mapped(400, "PropertyValueIncorrect", _data("property", "value")),
    errors.SeveralErrors: Mapped(400, "GeneralError"),
    errors.QueryNotSupported: Mapped(501, "QueryParameterUnsupported", _data("parameter")),
    errors.QueryInvalid: Mapped(400, "QueryParameterValueFormatError", _data("value", "parameter")),
    errors.ActionNotSupported: Mapped(400, "ActionNotSupported", _data("action")),
    errors.ActionParameterUnknown: Mapped(400, "ActionParameterUnknown", _data("action", "parameter")),
    errors.ActionParameterMissing: Mapped(400, "ActionParameterMissing", _data("action", "parameter")),
    errors.ActionParameterInvalid: Mapped(400, "ActionParameterValueNotInList", _data("value", "parameter", "action")),
    # who the caller is
    errors.NotAuthenticated: Mapped(401, "NoValidSession"),
    errors.NotPermitted: Mapped(403, "InsufficientPrivilege"),
    errors.PasswordChangeRequired: Mapped(403, "PasswordChangeRequired", _account_uri),
    errors.TooManySessions: Mapped(503, "SessionLimitExceeded"),
    # the state of things
    errors.NotFound: Mapped(404, "ResourceNotFound", _data("kind", "id")),
    errors.AlreadyExists: Mapped(409, "ResourceAlreadyExists", _data("kind", "property", "value")),
    errors.Conflict: Mapped(409, "ResourceInUse"),
    errors.InUse: Mapped(409, "ResourceInUse"),
    errors.PreconditionFailed: Mapped(412, "PreconditionFailed"),
    errors.Aborted: Mapped(409, "OperationFailed"),
    errors.LeaseLost: Mapped(503, "ServiceTemporarilyUnavailable", _retry),
    # capacity: the service is well, it is the request that does not fit; 4xx, so that no client repeats it blindly
    errors.QuotaExceeded: Mapped(403, "ResourceExhaustion", _data("resource")),
    errors.NoRoom: Mapped(409, "ResourceExhaustion", lambda _error: ("Hosts",)),
    errors.StorageFull: Mapped(409, "InsufficientStorage"),
    # hosts, drivers, plugins
    errors.BackendError: Mapped(502, "OperationFailed"),
    errors.BackendTimeout: Mapped(504, "OperationTimeout"),
    errors.HostUnavailable: Mapped(503, "ServiceTemporarilyUnavailable", _retry),
    errors.NotSupported: Mapped(400, "ActionNotSupported", _data("operation")),
    errors.MachineNotFound: Mapped(409, "ResourceInUse"),
    errors.ForeignObject: Mapped(409, "ResourceInUse"),
    errors.PluginError: Mapped(502, "OperationFailed"),
    errors.PluginConfigInvalid: Mapped(400, "PropertyValueError", _data("field")),
    # images
    errors.DownloadFailed: Mapped(502, "OperationFailed"),
    errors.ImageRefused: Mapped(400, "OperationFailed"),
    # the service itself
    errors.ConfigurationError: Mapped(500, "InternalError"),
    errors.ServiceBusy: Mapped(503, "ServiceTemporarilyUnavailable", _retry),
    errors.DatabaseUnavailable: Mapped(503, "ServiceTemporarilyUnavailable", _retry),
    errors.SchemaOutdated: Mapped(503, "ServiceTemporarilyUnavailable", _retry),
    errors.WorkerAlreadyRunning: Mapped(500, "InternalError"),
}
"""Each class of `hawkfish.errors`; a test demands that none is missing. A subclass of a plugin's takes its parent's entry."""


@dataclass(frozen=True)
class Answer:
    """An error ready to be sent."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def mapped(kind: type[errors.HawkFishError]) -> Mapped:
    """The entry of a class, or of its nearest parent that has one."""
    return next(TABLE[parent] for parent in kind.__mro__ if parent in TABLE)


def entries(error: errors.HawkFishError) -> list[dict[str, Any]]:
    """The `@Message.ExtendedInfo` of an error, one entry for each thing that is wrong."""
    if isinstance(error, errors.SeveralErrors):
        return [entry for inner in error.errors[:MESSAGES_LIMIT] for entry in entries(inner)]
    found = mapped(type(error))
    name, arguments = found.name, found.arguments(error)
    if isinstance(error, errors.ActionParameterInvalid) and "allowed" not in error.data:
        name, arguments = "ActionParameterValueError", _data("parameter", "action")(error)
    # What went wrong inside is for the log; callers learn that it did.
    text = error.message if found.status != falcon.http_status_to_code(500) else None
    entry = render(name, arguments, text=text)
    if isinstance(error, errors.PropertyError):
        entry["RelatedProperties"] = [f"#/{error.data['property']}"]
    return [entry]


def error_body(infos: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of an error answer (DSP0266, Error responses)."""
    if len(infos) == 1:
        code, text = infos[0]["MessageId"], infos[0]["Message"]
    else:
        code, text = f"{BASE}.GeneralError", " ".join(info["Message"] for info in infos)
    return {"error": {"code": code, "message": text, "@Message.ExtendedInfo": infos}}


def answer_of(error: BaseException) -> Answer:
    """The answer to any exception."""
    if isinstance(error, errors.HawkFishError):
        return Answer(_status(error), error_body(entries(error)))
    if isinstance(error, ProtocolError):
        infos = [render(error.name, error.arguments, text=error.text or None)]
        return Answer(error.status, error_body(infos), error.headers)
    if isinstance(error, falcon.HTTPError):
        return _of_falcon(error)
    return Answer(500, error_body([render("InternalError")]))


def _status(error: errors.HawkFishError) -> int:
    if isinstance(error, errors.SeveralErrors) and error.errors:
        statuses = {mapped(type(inner)).status for inner in error.errors}
        return statuses.pop() if len(statuses) == 1 else 400
    return mapped(type(error)).status


def _of_falcon(error: falcon.HTTPError) -> Answer:
    """What falcon itself refuses: malformed headers, mostly."""
    status = error.status_code
    text = " ".join(part for part in (error.title, error.description) if part)
    if isinstance(error, (falcon.HTTPInvalidHeader, falcon.HTTPMissingHeader)):
        info = render("HeaderInvalid", (shown(text),), text=text)
    else:
        info = render("GeneralError" if status < 500 else "InternalError", text=text)  # noqa: PLR2004  server errors
    headers = error.headers.items() if isinstance(error.headers, Mapping) else error.headers or ()
    return Answer(status, error_body([info]), dict(headers))


def send_error(resp: falcon.Response, answer: Answer) -> None:
    """Writes an error into a response and takes back what a half-done success had put there."""
    for name in ("Location", "ETag", "X-Auth-Token", "Link"):
        resp.delete_header(name)
    resp.status = answer.status
    resp.content_type = "application/json"
    resp.data = json.dumps(answer.body, separators=(",", ":")).encode()
    resp.text = None
    resp.stream = None
    for name, value in answer.headers.items():
        resp.set_header(name, value)


def handle_error(_req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]) -> None:
    """Falcon's handler for every exception."""
    answer = answer_of(error)
    resp.context.error = error
    if answer.status >= 500 and answer.status != 501:  # noqa: PLR2004  501 tells of an option that is not there
        expected = isinstance(error, errors.HawkFishError)
        log.error("request.failed", error=str(error), kind=type(error).__name__, exc_info=None if expected else error)
    if answer.status == 401:  # noqa: PLR2004  Unauthorized
        resp.set_header("WWW-Authenticate", 'Basic realm="HawkFish"')
    send_error(resp, answer)
