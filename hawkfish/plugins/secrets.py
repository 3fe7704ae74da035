"""Reading secrets where they are kept: in an environment variable or in a file, never in a configuration."""

from __future__ import annotations

import os
from pathlib import Path

from hawkfish.errors import ConfigurationError
from hawkfish.plugins.config_fields import SecretReference


def read_secret(reference: SecretReference) -> str:
    """The value that a reference names; read anew each time, so that a changed secret needs no restart.

    Raises:
        ConfigurationError: The variable or the file is not there, cannot be read or is empty.
    """
    scheme, _, place = reference.reference.partition(":")
    if scheme == "env":
        value = os.environ.get(place, "")
        what = f"the environment variable {place}"
    elif scheme == "file":
        value = _first_line(Path(place))
        what = f"the file {place}"
    else:
        raise ConfigurationError(
            "A secret is given by a reference of the form env:NAME or file:/PATH.", setting="secret"
        )
    if not value:
        raise ConfigurationError(
            f"A secret is to be read from {what}, which is empty or not set; put the secret there.",
            setting=reference.reference,
        )
    return value


def _first_line(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as content:
            return content.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(
            f"A secret is to be read from the file {file}, which cannot be read: {reason}.", setting=f"file:{file}"
        ) from error
