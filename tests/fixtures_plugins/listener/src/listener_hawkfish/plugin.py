"""Writes each event as a line to `heard.jsonl` in the data directory; while there is a file `hold` there, it hangs instead."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from hawkfish.plugins import hookimpl
from hawkfish.plugins.context import PluginContext
from hawkfish.plugins.records import Event

HAWKFISH_PLUGIN_API = 1

_folders: list[Path] = []


@hookimpl
def hawkfish_startup(context: PluginContext) -> None:
    _folders.append(context.data_dir)


@hookimpl
def hawkfish_event(event: Event) -> None:
    folder = _folders[0]
    pause = threading.Event()
    while (folder / "hold").exists():
        pause.wait(0.05)
    line = {"id": event.id, "message": event.message_id, "subject": event.subject, "arguments": event.arguments}
    with (folder / "heard.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
