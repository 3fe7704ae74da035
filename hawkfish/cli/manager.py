"""Finding the class of a command: core's table first, then what plugins offer."""

from __future__ import annotations

import difflib
import importlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cliff.command import Command
from cliff.commandmanager import CommandManager

from hawkfish.cli.commands import ALIASES, COMMANDS
from hawkfish.cli.errors import CommandError, ExitCode, one_line

if TYPE_CHECKING:
    from hawkfish.plugins.loader import PluginHost


@dataclass(frozen=True)
class LazyCommand:
    """A command that is imported when it is asked for; looks like an entry point to cliff."""

    name: str
    value: str

    def load(self) -> type[Command]:
        """Imports the class."""
        module, _, name = self.value.partition(":")
        found: type[Command] = getattr(importlib.import_module(module), name)
        return found


@dataclass(frozen=True)
class PluginCommand:
    """A command of a plugin. Its record's summary is shown, so that help imports nothing of it."""

    name: str
    value: str
    summary: str
    host: PluginHost

    def load(self) -> type[Command]:
        """Asks the record's factory for the class."""
        found = self.host.create_cli_command(self.name)
        if not issubclass(found, Command):
            raise CommandError(f"The command {self.name!r} of a plugin is no cliff command; report it to its author.")
        return found


class LazyCommandManager(CommandManager):
    """Commands by their exact words.

    A prefix of a word is not taken for the word, as cliff would: what a script means must not change with the next plugin.

    Args:
        warn: Told one line about each plugin whose commands cannot be used.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__("hawkfish.cli", convert_underscores=False)
        self._warn = warn
        self._plugins_loaded = False

    def load_commands(self, namespace: str) -> None:
        """Reads core's table; nothing is imported."""
        self.group_list.append(namespace)
        self.commands.update({words: LazyCommand(words, value) for words, value in COMMANDS.items()})  # type: ignore[misc]
        for alias, words in ALIASES.items():
            self.add_legacy_command(alias, words)

    def find_command(self, argv: list[str]) -> tuple[type[Command], str, list[str]]:
        """Finds the longest run of first words that is a command.

        Returns:
            The class, its words, and the arguments that are left.

        Raises:
            CommandError: There is no such command.
        """
        found = self._lookup(argv)
        if found is None:
            self.load_plugin_commands()
            found = self._lookup(argv)
        if found is None:
            raise CommandError(self._unknown(argv), ExitCode.USAGE)
        words, rest = found
        return self.commands[words].load(), words, rest

    def _lookup(self, argv: list[str]) -> tuple[str, list[str]] | None:
        for count in range(self._get_last_possible_command_index(argv), 0, -1):
            words = " ".join(argv[:count])
            words = self._legacy.get(words, words)
            if words in self.commands:
                return words, argv[count:]
        return None

    def below(self, words: list[str]) -> list[str]:
        """Commands that begin with those words."""
        prefix = " ".join(words) + " "
        return sorted(name for name in self.commands if name.startswith(prefix))

    def _unknown(self, argv: list[str]) -> str:
        words = argv[: self._get_last_possible_command_index(argv)]
        shown = " ".join(words)
        for count in range(len(words), 0, -1):
            if known := self.below(words[:count]):
                return f"{shown!r} is not a command. Commands of {' '.join(words[:count])!r}: {', '.join(known)}."
        close = difflib.get_close_matches(words[0] if words else "", {name.split()[0] for name in self.commands})
        hint = f" Did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
        return f"{shown!r} is not a command.{hint} `hawkfish --help` lists all."

    def load_plugin_commands(self) -> None:
        """Adds the commands of plugins. A bad plugin costs one line of warning, and the rest work."""
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        try:
            host = load_plugins()
        except Exception as error:  # noqa: BLE001  help must come whatever a plugin or a settings file does
            self._warn(f"the commands of plugins are left out: {one_line(error)}")
            return
        for report in host.reports:
            if report.status in {"failed", "incompatible"}:
                self._warn(
                    f"plugin {report.label} is left out: {one_line(report.reason)} (hawkfish plugins show {report.name})"
                )
        for name, record in host.cli_commands.items():
            if name in self.commands or name in self._legacy:
                self._warn(f"the plugins' command {name!r} is left out: HawkFish has a command of that name")
                continue
            self.commands[name] = PluginCommand(name, "", one_line(record.summary), host)  # type: ignore[assignment]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(sorted(self.commands.items()))


def load_plugins() -> PluginHost:
    """Loads all plugins for listing; what the settings block is not loaded.

    Raises:
        ConfigurationError: The settings cannot be read.
    """
    from hawkfish.config import load_settings
    from hawkfish.plugins.loader import PluginHost

    settings = load_settings()
    # Its warnings are for the log of the service; a command says what concerns it itself.
    log = logging.getLogger("hawkfish.plugins")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        return PluginHost.load(blocked=settings.plugins_blocked, settings=settings.plugin_settings)
    finally:
        log.setLevel(level)
