"""Logs of every process: structlog and the standard library end in one handler on stderr, as text or as JSON, without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import structlog

from hawkfish.locks import native_locks

HIDDEN = "(hidden)"
_HEAD = frozenset({"timestamp", "level", "event", "logger"})
_QUOTED = re.compile(r"[ ='\"]")

_SECRET_KEY = re.compile(r"(?i)password|passphrase|secret|token|authorization|cookie|private_?key|credential")
_SECRET_TEXT = (
    # the words of a header or of a JSON body, wherever they come by in a sentence
    re.compile(r"(?i)((?:x-auth-token|authorization)['\"]?\s*[:=]\s*['\"]?(?:basic |bearer )?)[^\s'\",]+"),
    re.compile(r"(?i)(['\"]?(?:password|passphrase|secret|token)['\"]?\s*[:=]\s*['\"]?)[^\s'\",}]+"),
    # the password of a URL
    re.compile(r"(://[^/\s:@]+:)[^/\s@]+(?=@)"),
)


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: values under secret names, and secrets inside sentences, are replaced by `(hidden)`."""
    return {key: _hidden(key, value) for key, value in event.items()}


def _hidden(key: str, value: Any) -> Any:
    if key.startswith("_"):
        return value  # structlog's own, taken out before anything is rendered
    if value is not None and _is_secret_name(key):
        return HIDDEN
    if isinstance(value, str):
        return hide_in_text(value)
    if isinstance(value, Mapping):
        return {name: _hidden(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden("", item) for item in value]
    return value


@lru_cache(maxsize=1024)
def _is_secret_name(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def hide_in_text(text: str) -> str:
    """The text with what looks like a secret replaced."""
    if ":" not in text and "=" not in text:
        return text  # every pattern needs one of them, and most texts of a log have neither
    for pattern in _SECRET_TEXT:
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


def write_known(logger: logging.Logger, event: str, fields: Mapping[str, Any]) -> None:
    """Writes a line at `info` by a short way, which leaves out the search for secrets; for what is written at every request.

    Args:
        logger: Where to.
        event: What happened.
        fields: What is to be told, nothing nested; texts that a stranger chose have been through `hide_in_text`.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    handlers = logging.root.handlers
    if len(handlers) == 1 and isinstance(handlers[0], _Handler) and handlers[0].short is not None:
        handlers[0].write(handlers[0].short, logger.name, event, fields)
    else:  # somebody else listens, or people are to read it in colours
        logger.info(event, extra=dict(fields))


class _Handler(logging.StreamHandler[TextIO]):
    """The library's, with a short way for lines of `write_known` that look the same.

    Args:
        stream: Where to.
        short: Makes such a line; None where the short way cannot.
    """

    def __init__(self, stream: TextIO, short: Callable[[Mapping[str, Any]], str] | None) -> None:
        super().__init__(stream)
        self.short = short

    def write(
        self, short: Callable[[Mapping[str, Any]], str], name: str, event: str, fields: Mapping[str, Any]
    ) -> None:
        """Writes one line of `info`."""
        timestamp = f"{datetime.now(UTC).isoformat()[:-6]}Z"
        line = short({**fields, "event": event, "logger": name, "level": "info", "timestamp": timestamp})
        self.acquire()
        try:
            self.stream.write(line + self.terminator)
            self.flush()
        except (OSError, ValueError):
            pass  # nobody reads the logs any more, which is no fault of the request
        finally:
            self.release()


def _as_text(line: Mapping[str, Any]) -> str:
    """A line as the console's renderer writes it without colours."""
    head = f"{line['timestamp']} [{line['level']:<9}] {line['event']} [{line['logger']}]"
    return " ".join([head, *[f"{name}={_value(line[name])}" for name in _after_head(tuple(line))]])


@lru_cache(maxsize=64)
def _after_head(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if name not in _HEAD))


def _value(value: object) -> str:
    if isinstance(value, str):
        return repr(value) if not value.isprintable() or _QUOTED.search(value) else value
    return repr(value)


def configure(*, log_format: str = "console", level: str = "info", stream: TextIO | None = None) -> None:
    """Sets up the logs of this process; a second call replaces the first.

    Args:
        log_format: `console` for people, `json` for programs (one object a line).
        level: `debug`, `info`, `warning` or `error`.
        stream: Where to; default stderr.
    """
    stream = sys.stderr if stream is None else stream
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    if log_format == "json":
        ending: list[Any] = [structlog.processors.format_exc_info, hide_secrets, structlog.processors.JSONRenderer()]
        short: Callable[[Mapping[str, Any]], str] | None = json.dumps
    else:
        short = None if stream.isatty() else _as_text
        ending = [
            structlog.processors.format_exc_info,
            hide_secrets,
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0),
        ]
    with native_locks():  # requests log from greenlets, and what they ask of the database from real threads
        handler = _Handler(stream, short)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpcore", "alembic", "stevedore", "geventwebsocket.handler"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared[:-1],
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
