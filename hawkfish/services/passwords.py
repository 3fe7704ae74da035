"""Rules for user names and passwords, their hashes, and the short memory of passwords that were right."""

from __future__ import annotations

import secrets
import string
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hawkfish.errors import PropertyInvalidFormat, PropertyOutOfRange

USER_NAME_LENGTH = 32
PASSWORD_LENGTHS = (8, 128)
GENERATED_LENGTH = 20
GENERATED_ALPHABET = "".join(sorted(set(string.ascii_letters + string.digits) - set("0O1lI")))
CACHE_SIZE = 1024

# 19 MiB and two passes: the least that OWASP advises, so that ten logins at once neither fill memory nor take seconds.
TIME_COST = 2
MEMORY_KIB = 19 * 1024
PARALLELISM = 1


def name_key(user_name: str) -> str:
    """The form under which a name is unique: without case."""
    return user_name.casefold()


def is_user_name(user_name: str) -> bool:
    """Whether an account may bear this name."""
    return (
        1 <= len(user_name) <= USER_NAME_LENGTH
        and user_name.strip() == user_name
        and ":" not in user_name  # it ends the name in Basic authentication
        and user_name.isprintable()  # of the spaces only the plain one
        and (user_name.isascii() or _shows_all(user_name))  # of ASCII nothing that is printable hides
    )


def _shows_all(user_name: str) -> bool:
    """Whether it has no letters that only look different, which would make twins, and none that are not seen."""
    return unicodedata.is_normalized("NFKC", user_name) and not any(_is_hidden(character) for character in user_name)


def check_user_name(user_name: str) -> None:
    """Refuses a name that no account may bear.

    Raises:
        PropertyOutOfRange: It is empty or too long.
        PropertyInvalidFormat: It has characters that are not allowed.
    """
    if not 1 <= len(user_name) <= USER_NAME_LENGTH:
        raise PropertyOutOfRange(
            f"The user name has {len(user_name)} characters; give it 1 to {USER_NAME_LENGTH}.",
            property="UserName",
            value=user_name[:USER_NAME_LENGTH],
        )
    if not is_user_name(user_name):
        raise PropertyInvalidFormat(
            "The user name has a colon, a control character, a letter in a compatibility form, an unusual space, or a space at an "
            "end; choose one without.",
            property="UserName",
            value="".join("?" if _is_hidden(character) else character for character in user_name),
        )


def check_password(password: str, user_name: str) -> None:
    """Refuses a password that is too weak or that cannot be typed; the message never holds it.

    Raises:
        PropertyOutOfRange: It is too short or too long.
        PropertyInvalidFormat: It has control characters, or is the user name.
    """
    shortest, longest = PASSWORD_LENGTHS
    if not shortest <= len(password) <= longest:
        raise PropertyOutOfRange(
            f"The password has {'fewer' if len(password) < shortest else 'more'} characters than allowed; "
            f"give it {shortest} to {longest}.",
            property="Password",
        )
    if any(_is_hidden(character) for character in password):
        raise PropertyInvalidFormat(
            "The password has a control character; use letters, digits, signs and spaces.", property="Password"
        )
    if name_key(password) == name_key(user_name):
        raise PropertyInvalidFormat("The password is the user name; choose another.", property="Password")


def _is_hidden(character: str) -> bool:
    """Control, format, surrogate, private and unassigned characters, and the separators of lines."""
    category = unicodedata.category(character)
    return category[0] == "C" or category in {"Zl", "Zp"}


def generate_password() -> str:
    """A random password without characters that are easily mistaken for each other."""
    return "".join(secrets.choice(GENERATED_ALPHABET) for _ in range(GENERATED_LENGTH))


class Passwords:
    """Makes and checks hashes with argon2id; a check takes the same time whether or not there is such an account."""

    def __init__(
        self, *, time_cost: int = TIME_COST, memory_kib: int = MEMORY_KIB, parallelism: int = PARALLELISM
    ) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    def hash(self, password: str) -> str:
        """The hash to be stored, with its salt and its cost."""
        return self._hasher.hash(password)

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the one of the hash; None, for an account that is not there, takes as long and is False."""
        try:
            matches = self._hasher.verify(password_hash or self._nobody, password.encode("utf-8", "surrogatepass"))
        except (VerificationError, InvalidHashError):
            return False
        return matches and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with another cost than today's."""
        return self._hasher.check_needs_rehash(password_hash)


@dataclass(frozen=True, slots=True)
class _Verified:
    account_id: UUID
    version: int
    until: datetime


class VerifiedPasswords:
    """Remembers, in this process and for a short time, that a password was right for a version of an account.

    Kept is a keyed hash only, under a key that dies with the process. Whoever asks gives the account as it is now, so that a changed
    password, made by whatever process, is forgotten at once. Single operations of a dict are atomic: no lock is needed.
    """

    def __init__(self, seconds: int, clock: Callable[[], datetime]) -> None:
        self._lifetime = timedelta(seconds=seconds)
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._entries: dict[bytes, _Verified] = {}

    def knows(self, key: str, password: str, account_id: UUID, version: int) -> bool:
        """Whether this password was right a moment ago, for the account as it is now."""
        entry = self._entries.get(self._digest(key, password))
        return (
            entry is not None
            and (entry.account_id, entry.version) == (account_id, version)
            and (entry.until > self._clock())
        )

    def remember(self, key: str, password: str, account_id: UUID, version: int) -> None:
        """Notes that this password was right just now."""
        if not self._lifetime:
            return
        if len(self._entries) >= CACHE_SIZE:
            self._make_room()
        self._entries[self._digest(key, password)] = _Verified(account_id, version, self._clock() + self._lifetime)

    def _make_room(self) -> None:
        now = self._clock()
        for digest, entry in list(self._entries.items()):
            if entry.until <= now:
                self._entries.pop(digest, None)
        for digest in list(self._entries)[: max(0, len(self._entries) - CACHE_SIZE // 2)]:
            self._entries.pop(digest, None)

    def _digest(self, key: str, password: str) -> bytes:
        # BLAKE2 has a key of its own, and is made without looking for an implementation first, which takes longer than the hash.
        return blake2b(f"{key}\0{password}".encode("utf-8", "surrogatepass"), key=self._key, digest_size=32).digest()
