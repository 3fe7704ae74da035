"""What messages of events say, for people.

The sentences of standard messages are those of DMTF's message registries TaskEvent 1.0, ResourceEvent 1.4 and ManagerEvent 1.0 (BSD
3-Clause, Copyright 2014-2025 DMTF); the registries themselves are referred to, never served. A test compares every entry with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hawkfish.domain.messages import MANAGER_EVENT, OWN_MESSAGES, RESOURCE_EVENT, TASK_EVENT


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a registry; `text` has the places `%1`, `%2`, ... for its arguments."""

    text: str
    severity: str
    resolution: str
    arguments: int = 0


TASK_MESSAGES: dict[str, Message] = {
    "TaskStarted": Message("The task with Id '%1' has started.", "OK", "None.", 1),
    "TaskCompletedOK": Message("The task with Id '%1' has completed.", "OK", "None.", 1),
    "TaskAborted": Message("The task with Id '%1' has completed with errors.", "Critical", "None.", 1),
    "TaskCancelled": Message(
        "Work on the task with Id '%1' was halted prior to completion due to an explicit request.",
        "Warning",
        "None.",
        1,
    ),
    "TaskPaused": Message("The task with Id '%1' was paused.", "Warning", "None.", 1),
    "TaskResumed": Message("The task with Id '%1' was resumed.", "OK", "None.", 1),
    "TaskRemoved": Message("The task with Id '%1' was removed.", "Warning", "None.", 1),
    "TaskProgressChanged": Message(
        "The task with Id '%1' has changed to progress %2 percent complete.", "OK", "None.", 2
    ),
}

RESOURCE_MESSAGES: dict[str, Message] = {
    "ResourceCreated": Message("The resource was created successfully.", "OK", "None."),
    "ResourceRemoved": Message("The resource was removed successfully.", "OK", "None."),
    "ResourceChanged": Message("One or more resource properties have changed.", "OK", "None."),
    "ResourceStateChanged": Message("The state of resource '%1' has changed to %2.", "OK", "None.", 2),
    "ResourceStatusChangedOK": Message("The health of resource '%1' has changed to %2.", "OK", "None.", 2),
    "ResourceStatusChangedWarning": Message("The health of resource '%1' has changed to %2.", "Warning", "None.", 2),
    "ResourceStatusChangedCritical": Message("The health of resource '%1' has changed to %2.", "Critical", "None.", 2),
    "ResourcePoweringOn": Message("The resource '%1' is powering on.", "OK", "None.", 1),
    "ResourcePoweredOn": Message("The resource '%1' has powered on.", "OK", "None.", 1),
    "ResourcePoweringOff": Message("The resource '%1' is powering off.", "OK", "None.", 1),
    "ResourcePoweredOff": Message("The resource '%1' has powered off.", "OK", "None.", 1),
    "ResourcePaused": Message("The resource '%1' was paused.", "OK", "None.", 1),
}

MANAGER_MESSAGES: dict[str, Message] = {
    "ManagerReset": Message("Manager `%1` performed a '%2' type of reset.", "OK", "None.", 2),
}

_SENTENCES: dict[str, str] = {
    **{f"{TASK_EVENT}.{name}": message.text for name, message in TASK_MESSAGES.items()},
    **{f"{RESOURCE_EVENT}.{name}": message.text for name, message in RESOURCE_MESSAGES.items()},
    **{f"{MANAGER_EVENT}.{name}": message.text for name, message in MANAGER_MESSAGES.items()},
    **{message.id: message.text for message in OWN_MESSAGES},
}


def sentence(message_id: str, arguments: Sequence[str]) -> str | None:
    """What an event says, for people; None for a message that is not known (any more)."""
    text = _SENTENCES.get(message_id)
    return None if text is None else fill(text, arguments)


def fill(text: str, arguments: Sequence[str]) -> str:
    """The sentence with its arguments; a place without one stays as it is."""
    return re.sub(r"%(\d)", lambda place: ("", *arguments, *[place[0]] * 9)[int(place[1])], text)
