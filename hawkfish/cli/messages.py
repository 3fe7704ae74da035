"""Redfish messages as sentences for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hawkfish.cli.errors import one_line


def refusal(status: int, body: Mapping[str, Any], url: str) -> str:
    """What an error answer says, in one line: each message with its resolution."""
    error = body.get("error")
    error = error if isinstance(error, dict) else {}
    parts = sentences(error.get("@Message.ExtendedInfo") or []) or [one_line(error.get("message") or "")]
    text = " ".join(part for part in parts if part)
    return text or f"{url} answered with HTTP {status} and no explanation."


def sentences(messages: list[dict[str, Any]]) -> list[str]:
    """Messages of a registry as sentences, each followed by what to do."""
    found: list[str] = []
    for message in messages:
        for key in ("Message", "Resolution"):
            text = one_line(message.get(key) or "")
            if text and text not in {"None.", "None"} and text not in found:
                found.append(text if text[-1] in ".!?" else f"{text}.")
    return found
