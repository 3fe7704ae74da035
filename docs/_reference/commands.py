"""The page of the commands."""

from __future__ import annotations

import argparse
import inspect
import io
from collections.abc import Iterator

from hawkfish.cli.commands import COMMANDS
from hawkfish.cli.help import summary_of
from hawkfish.cli.main import HawkFishApp

DISPLAY_OPTIONS = {"output formatters", "table formatter", "CSV Formatter", "json formatter", "shell formatter"}
"""Groups of options that cliff gives to every command that shows something; they are told of once."""


def commands_page() -> Iterator[str]:
    """Every command of core, with its arguments and options."""
    app = HawkFishApp(stdout=io.StringIO(), stderr=io.StringIO())
    yield from (
        "# Commands",
        "",
        "`hawkfish [OPTIONS] COMMAND [ARGUMENTS]`. These options come before the command:",
        "",
        *_options(app.parser),
        "",
        "Commands that show something take `-f table|json|yaml|csv|value` for the form of the output and `-c COLUMN` (repeatable)",
        "for the columns; `json`, `yaml`, `csv` and `value` give sizes in bytes. Exit codes are listed in [](../exit-codes.md).",
        "",
    )
    noun = ""
    for words in sorted(COMMANDS, key=lambda item: (" " not in item, item)):
        entry = app.manager.commands[words]
        above = words.split()[0] if " " in words else "other commands"
        if above != noun:
            noun = above
            yield from (f"## {noun}", "")
        found = entry.load()
        parser = found(app, None).get_parser(f"hawkfish {words}")
        rest = (inspect.getdoc(found) or "").partition("\n")[2].strip()
        yield from (f"### hawkfish {words}", "", f"{summary_of(entry)}.", "")
        if rest:
            yield from (rest, "")
        yield from ("```text", _usage(words, parser), "```", "", *_arguments(parser), *_options(parser), "")
        if found.epilog:
            yield from (f"`{found.epilog}`" if "`" not in found.epilog else found.epilog, "")


def _usage(words: str, parser: argparse.ArgumentParser) -> str:
    """The command line, without what every command that shows something takes."""
    parts = [f"hawkfish {words}"]
    for group in parser._action_groups:
        if group.title in DISPLAY_OPTIONS:
            continue
        for action in group._group_actions:
            if action.dest == "help" or action.help == argparse.SUPPRESS:
                continue
            if action.option_strings:
                shown = action.option_strings[-1] + ("" if action.nargs == 0 else f" {_value(action)}")
                parts.append(shown if action.required else f"[{shown}]")
    for action in parser._actions:
        if not action.option_strings:
            name = _value(action)
            parts.append({"+": f"{name}...", "*": f"[{name}...]", "?": f"[{name}]"}.get(str(action.nargs), name))
    return " ".join(parts)


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # argparse shows them in help only
        if not action.option_strings:
            yield f"- `{_value(action)}`: {_help(action)}"


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for group in parser._action_groups:
        if group.title in DISPLAY_OPTIONS:
            continue
        for action in group._group_actions:
            if not action.option_strings or action.dest == "help" or action.help == argparse.SUPPRESS:
                continue
            value = "" if action.nargs == 0 else f" {_value(action)}"
            names = ", ".join(f"`{name}{value}`" for name in action.option_strings)
            yield f"- {names}: {_help(action)}"


def _value(action: argparse.Action) -> str:
    if action.choices:
        return "|".join(str(choice) for choice in action.choices)
    metavar = action.metavar or action.dest.upper()
    return " ".join(metavar) if isinstance(metavar, tuple) else str(metavar)


def _help(action: argparse.Action) -> str:
    text = (action.help or "").replace("%(default)s", str(action.default)).strip()
    return f"{text}." if text and not text.endswith(".") else text
