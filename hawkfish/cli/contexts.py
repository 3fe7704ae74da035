"""Saved contexts: which services there are, and the sessions at them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from hawkfish.cli.errors import CommandError, ExitCode


@dataclass(frozen=True, kw_only=True)
class Context:
    """A service, and the session at it.

    Attributes:
        token: What the session is known by; empty after logging out.
        session: URI of the session.
        user_name: Whose session it is.
    """

    name: str
    url: str
    ca_file: str | None = None
    user_name: str = ""
    token: str = field(default="", repr=False)
    session: str = ""


@dataclass(frozen=True, kw_only=True)
class Contexts:
    """All contexts, by name, and the name of the one in use."""

    current: str | None = None
    contexts: Mapping[str, Context] = field(default_factory=lambda: MappingProxyType({}))

    def get(self, name: str) -> Context:
        """The context of that name.

        Raises:
            CommandError: There is none.
        """
        if name not in self.contexts:
            known = ", ".join(sorted(self.contexts)) or "none yet (`hawkfish login` makes one)"
            raise CommandError(f"There is no context {name!r}; there are: {known}.", ExitCode.NOT_FOUND)
        return self.contexts[name]

    def at(self, url: str) -> Context | None:
        """A context of that service; the one in use first."""
        found = [item for item in self.contexts.values() if item.url == url]
        return next((item for item in found if item.name == self.current), found[0] if found else None)

    def with_context(self, context: Context, *, use: bool = False) -> Contexts:
        """The same with one context added or replaced."""
        return Contexts(
            current=context.name if use or self.current is None else self.current,
            contexts={**self.contexts, context.name: context},
        )

    def without(self, name: str) -> Contexts:
        """The same without one context."""
        self.get(name)
        return Contexts(
            current=None if self.current == name else self.current,
            contexts={key: item for key, item in self.contexts.items() if key != name},
        )


class ContextStore:
    """The file `contexts.json`; it holds session tokens, so only its owner may read it."""

    def __init__(self, file: Path | None = None) -> None:
        if file is None:
            from platformdirs import user_config_path

            file = user_config_path("hawkfish") / "contexts.json"
        self.file = file

    def load(self) -> Contexts:
        """Reads the file; none is no contexts.

        Raises:
            CommandError: The file cannot be read.
        """
        try:
            text = self.file.read_text("utf-8")
        except FileNotFoundError:
            return Contexts()
        except OSError as error:
            raise CommandError(f"Cannot read the saved contexts in {self.file}: {error.strerror}.") from error
        try:
            data = json.loads(text)
            found = {name: Context(name=name, **values) for name, values in data["contexts"].items()}
            return Contexts(current=data.get("current"), contexts=found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CommandError(
                f"The saved contexts in {self.file} cannot be understood; remove the file and run `hawkfish login` again."
            ) from error

    @contextlib.contextmanager
    def changing(self) -> Iterator[ContextChange]:
        """Reads the file, lets the caller replace `contexts`, and writes it, while no other command does the same."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.file.with_name("contexts.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CommandError(f"Cannot write the contexts to {self.file}: {error.strerror}.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            change = ContextChange(self.load())
            yield change
            self._write(change.contexts)
        finally:
            os.close(lock)

    def _write(self, contexts: Contexts) -> None:
        rows = {name: asdict(item) for name, item in contexts.contexts.items()}
        for row in rows.values():
            del row["name"]
        # A new file is made with mode 0600, then put in place at once: nobody sees half of it or reads it in between.
        handle, name = tempfile.mkstemp(dir=self.file.parent, prefix=".contexts-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"current": contexts.current, "contexts": rows}, file, indent=2)
            Path(name).replace(self.file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@dataclass
class ContextChange:
    """What `ContextStore.changing` writes back at its end."""

    contexts: Contexts


def save_token(store: ContextStore, name: str, *, token: str, session: str) -> None:
    """Puts another session into a saved context; a context that was removed meanwhile stays removed."""
    with store.changing() as change:
        if name in change.contexts.contexts:
            renewed = replace(change.contexts.contexts[name], token=token, session=session)
            change.contexts = change.contexts.with_context(renewed)
