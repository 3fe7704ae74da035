"""Pages of the reference that are made from the code when the documentation is built, so that they cannot be out of date."""

from __future__ import annotations

from pathlib import Path

from _reference.api import api_page
from _reference.commands import commands_page
from _reference.errors import errors_page


def write(folder: Path) -> None:
    """Writes all of them into a folder; a file whose content stays is left alone, so that builds stay quick."""
    folder.mkdir(exist_ok=True)
    for name, lines in {"api": api_page(), "commands": commands_page(), "errors": errors_page()}.items():
        text = "\n".join(lines) + "\n"
        file = folder / f"{name}.md"
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")
