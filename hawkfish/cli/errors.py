"""Exit codes, and the one way in which a command fails."""

from __future__ import annotations

from enum import IntEnum

from hawkfish import errors


class ExitCode(IntEnum):
    """What the exit code of `hawkfish` says; documented in docs/reference/exit-codes.md."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    CONFLICT = 5
    UNREACHABLE = 6
    TIMEOUT = 7
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "a task failed, or the service met an error",
    ExitCode.USAGE: "the command line, or a value in it that the service refuses, is not right",
    ExitCode.NOT_FOUND: "there is no such thing, or you may not see it",
    ExitCode.NOT_ALLOWED: "not logged in, or not allowed to do this",
    ExitCode.CONFLICT: "the thing is in a state that does not allow this now, exists already, or was changed by another",
    ExitCode.UNREACHABLE: "the service cannot be reached",
    ExitCode.TIMEOUT: "the time given for waiting is over; the work goes on",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C; work that was accepted goes on",
}


class CommandError(Exception):
    """A command cannot do what it was told.

    It is no class of `hawkfish.errors`: those are what the service raises, each with its place in Redfish; this one is
    the client's, and its place is an exit code.

    Attributes:
        code: What the process exits with.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


_STATUS_CODES = {
    400: ExitCode.USAGE,
    401: ExitCode.NOT_ALLOWED,
    403: ExitCode.NOT_ALLOWED,
    404: ExitCode.NOT_FOUND,
    405: ExitCode.USAGE,
    409: ExitCode.CONFLICT,
    410: ExitCode.NOT_FOUND,
    412: ExitCode.CONFLICT,
    413: ExitCode.USAGE,
    428: ExitCode.CONFLICT,
}

_ERROR_CODES: tuple[tuple[type[errors.HawkFishError], ExitCode], ...] = (
    (errors.InvalidRequest, ExitCode.USAGE),
    (errors.PluginConfigInvalid, ExitCode.USAGE),
    (errors.NotFound, ExitCode.NOT_FOUND),
    (errors.NotAuthenticated, ExitCode.NOT_ALLOWED),
    (errors.NotPermitted, ExitCode.NOT_ALLOWED),
    (errors.Conflict, ExitCode.CONFLICT),
    (errors.AlreadyExists, ExitCode.CONFLICT),
    (errors.PreconditionFailed, ExitCode.CONFLICT),
    (errors.WorkerAlreadyRunning, ExitCode.CONFLICT),
)


def code_of_status(status: int) -> ExitCode:
    """The exit code for an HTTP status that says no."""
    return _STATUS_CODES.get(status, ExitCode.FAILED)


def code_of(error: BaseException) -> ExitCode:
    """The exit code for anything that ended a command."""
    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    return next((code for kind, code in _ERROR_CODES if isinstance(error, kind)), ExitCode.FAILED)


def one_line(text: object) -> str:
    """A text without line breaks, doubled spaces and control characters: an error is one line."""
    line = " ".join(str(text).split())
    return "".join(character for character in line if character.isprintable())
