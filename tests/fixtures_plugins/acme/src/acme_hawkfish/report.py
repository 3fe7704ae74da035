from __future__ import annotations

from typing import Any

from cliff.lister import Lister


class Report(Lister):
    """What Acme thinks of your machines."""

    def take_action(self, parsed_args: Any) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        return ("Machine", "Opinion"), [("all", "fine")]
