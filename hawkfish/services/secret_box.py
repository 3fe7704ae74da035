"""What has to be kept for a while and must not be read: sealed with a key that lies outside the database."""

from __future__ import annotations

import contextlib
import hmac
import os
from functools import cached_property
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from hawkfish.errors import ConfigurationError

PRIVATE = 0o600


class SecretBox:
    """Seals and opens texts (Fernet: AES-128-CBC with HMAC-SHA256).

    Args:
        file: Where the key lies; made, readable by its owner only, when it is first needed.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def seal(self, text: str) -> str:
        """What can be kept in place of the text."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """The text.

        Raises:
            ConfigurationError: It was sealed with another key.
        """
        try:
            return self._fernet.decrypt(sealed.encode("ascii")).decode()
        except InvalidToken as error:
            raise ConfigurationError(
                f"What was kept sealed cannot be opened with the key in {self._file}: it was sealed with another one. Give all "
                "processes of the installation the same key (HF_SECRET_KEY_FILE).",
                setting="secret_key_file",
            ) from error

    def fingerprint(self, text: str) -> str:
        """Tells one text from another, in 64 hexadecimal digits that can be tried out by nobody without the key."""
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()

    @cached_property
    def _fernet(self) -> Fernet:
        try:
            return Fernet(self._key)
        except ValueError as error:
            raise ConfigurationError(
                f"The file {self._file} holds no key: it takes 32 bytes in URL-safe base64. Move it away to get a new one, or "
                "put back the right one.",
                setting="secret_key_file",
            ) from error

    @cached_property
    def _key(self) -> bytes:
        with contextlib.suppress(FileExistsError):
            self._make()
        try:
            return self._file.read_bytes().strip()
        except OSError as error:
            raise self._unusable(error) from error

    def _make(self) -> None:
        """Whole or not at all, and never over one that is there: another process may be making it, too."""
        if self._file.exists():
            return
        draft = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(Fernet.generate_key() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, self._file)
        except FileExistsError:
            raise
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            draft.unlink(missing_ok=True)

    def _unusable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"The key file {self._file} cannot be used: {error.strerror}. Correct its owner or HF_SECRET_KEY_FILE.",
            setting="secret_key_file",
        )
