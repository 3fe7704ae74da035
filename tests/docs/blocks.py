"""The code blocks of a page, as a reader meets them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    if not {"_build", "generated"} & set(path.parts)
)

FENCE = re.compile(r"^(?P<fence>```+|:::+)(?P<kind>.*)$")
NOT_RUN = re.compile(r"^(?:% not run: (?P<comment>.+)|<!-- not run: (?P<html>.+) -->)$")
HERE_DOCUMENT = re.compile(r"<<-?\s*'?(?P<end>\w+)'?")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Path of the page in the repository.
        line: Number of the line of its fence.
        kind: The info string.
        not_run: The reason why it is not run, as the page gives it; empty for a block that is.
        follows: Kind of the block that ends right before it; empty where text stands between them.
    """

    page: str
    line: int
    kind: str
    text: str
    not_run: str = ""
    follows: str = ""

    def __str__(self):
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the output that the page shows below it."""

    text: str
    output: str


def blocks_of(page, text=None):
    """The blocks of a page in their order."""
    lines = ((ROOT / page).read_text("utf-8") if text is None else text).splitlines()
    found, number, before, previous = [], 0, "", ""
    while number < len(lines):
        match = FENCE.match(lines[number])
        if match is None:
            if lines[number].strip():
                before, previous = lines[number], ""
            number += 1
            continue
        end = next((i for i in range(number + 1, len(lines)) if lines[i] == match["fence"]), None)
        assert end is not None, f"{page}:{number + 1}: the block has no end"
        reason = NOT_RUN.match(before)
        not_run = (reason["comment"] or reason["html"]) if reason else ""
        body = "".join(f"{line}\n" for line in lines[number + 1 : end])
        found.append(Block(page, number + 1, match["kind"].strip(), body, not_run, previous))
        before, previous, number = "", match["kind"].strip(), end + 1
    return found


def commands_of(text):
    """The commands of a console block; a backslash at the end of a line and a here-document go on."""
    lines, found = text.splitlines(), []
    assert lines, "a console block is empty"
    assert lines[0].startswith("$ "), f"a console block begins with its first command, not with {lines[0]!r}"
    while lines:
        command = [lines.pop(0).removeprefix("$ ")]
        while command[-1].endswith("\\"):
            command.append(lines.pop(0))
        if here := HERE_DOCUMENT.search(command[-1]):
            while command[-1] != here["end"]:
                command.append(lines.pop(0))
        output = []
        while lines and not lines[0].startswith("$ "):
            output.append(lines.pop(0))
        found.append(Command("\n".join(command), "\n".join(output)))
    return found


def matches(shown, real):
    """Whether output is what the page shows: `...` stands for anything, widths of columns do not count."""
    parts = []
    for line in _normal(shown).splitlines():
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*?".join(re.escape(part) for part in line.split("...")) + r"\n")
    return re.fullmatch("".join(parts), _normal(real)) is not None


def _normal(text):
    lines = [re.sub(r" {2,}", " ", re.sub(r"-{3,}", "---", line.rstrip())) for line in text.strip("\n").splitlines()]
    return "".join(f"{line}\n" for line in lines)
