"""Finding the service, and what to show to it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hawkfish.cli.contexts import Context, Contexts, ContextStore
from hawkfish.cli.errors import CommandError, ExitCode


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A user name and a password, from the environment or a prompt."""

    user_name: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A service to talk to.

    Attributes:
        ca_file: The CA to trust; None means those that the machine trusts.
        context: The saved context that belongs to it.
        credentials: With these a session is made where there is none.
        user_name: Who is likely to log in.
        found_by: Where the address is from, for messages.
    """

    url: str
    found_by: str
    ca_file: Path | None = None
    context: Context | None = None
    credentials: Credentials | None = None
    user_name: str = ""


def find_target(options: argparse.Namespace, environment: Mapping[str, str] | None = None) -> Target:
    """Finds the service: options, HF_URL, the context in use, then the service that runs on this machine.

    Raises:
        CommandError: There is none, or what was named does not exist.
    """
    variables = os.environ if environment is None else environment
    contexts = ContextStore().load()
    local = read_ready_file(variables)
    url, found_by, context = _choose(options, variables, contexts, local)
    is_local = url == local.get("url")
    if context is None:
        context = contexts.at(url)
    ca_file = (
        options.ca_file
        or variables.get("HF_CA_FILE")
        # What runs here now knows best: a saved context may be of an installation whose data directory is gone.
        or (local.get("ca_file") if is_local else None)
        or (context.ca_file if context else None)
    )
    return Target(
        url=url,
        found_by=found_by,
        ca_file=Path(ca_file).expanduser().absolute() if ca_file else None,
        context=context,
        credentials=_credentials(variables),
        user_name=(context.user_name if context else "") or (str(local.get("username") or "") if is_local else ""),
    )


def _choose(
    options: argparse.Namespace, variables: Mapping[str, str], contexts: Contexts, local: Mapping[str, Any]
) -> tuple[str, str, Context | None]:
    if options.context:
        context = contexts.get(options.context)
        return context.url, f"the context {context.name!r}", context
    if options.url:
        return check_url(options.url), "--url", None
    if variables.get("HF_URL"):
        return check_url(variables["HF_URL"]), "HF_URL", None
    if contexts.current in contexts.contexts:
        context = contexts.get(contexts.current or "")
        return context.url, f"the context {context.name!r}", context
    if local:
        return check_url(str(local["url"])), "the service on this machine", None
    raise CommandError(
        "No service is known: start one with `hawkfish serve`, or name one with --url, HF_URL or `hawkfish login --url URL`.",
        ExitCode.UNREACHABLE,
    )


def check_url(text: str) -> str:
    """The address without what follows the port.

    Raises:
        CommandError: It is no address of a service.
    """
    import httpx

    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise CommandError(f"{text!r} is no address: {error}.", ExitCode.USAGE) from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise CommandError(f"{text!r} is no address of a service; give one like https://host:8443.", ExitCode.USAGE)
    if url.userinfo:
        raise CommandError(
            "The address holds a user name or a password; log in with `hawkfish login` instead.", ExitCode.USAGE
        )
    return f"{url.scheme}://{url.netloc.decode()}"


def _credentials(variables: Mapping[str, str]) -> Credentials | None:
    user_name, password = variables.get("HF_USERNAME"), variables.get("HF_PASSWORD")
    return Credentials(user_name=user_name, password=password) if user_name and password else None


def given_password(user_name: str, environment: Mapping[str, str] | None = None) -> str:
    """The password in HF_PASSWORD; none where HF_USERNAME says that it is another's."""
    variables = os.environ if environment is None else environment
    return variables.get("HF_PASSWORD", "") if variables.get("HF_USERNAME") in {None, "", user_name} else ""


def read_ready_file(variables: Mapping[str, str]) -> Mapping[str, Any]:
    """What `hawkfish serve` has written into its data directory; empty where no service runs here that is yours."""
    from hawkfish.config import _default_data_dir

    folder = Path(variables["HF_DATA_DIR"]).expanduser() if variables.get("HF_DATA_DIR") else _default_data_dir()
    try:
        found = json.loads((folder / "ready.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict) or not isinstance(found.get("url"), str) or not _is_alive(found.get("pid")):
        return {}
    return found


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
