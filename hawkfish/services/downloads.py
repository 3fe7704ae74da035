"""Fetches files from servers that nobody vouches for.

Bounded in size and patience, resumed where it broke off, and never from an address that only this machine's own network offers. What
is known of servers: some end a body early, some never, some send a byte a minute, some redirect to the address where clouds keep
their secrets, and some change the file while it is being resumed. Each of these ends with a reason.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import math
import os
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import httpx

from hawkfish.config import Settings
from hawkfish.errors import DownloadFailed, PropertyInvalidFormat
from hawkfish.services.outgoing import (
    SHOWN_LENGTH,
    AddressRefused,
    Connection,
    ServerUnknown,
    addresses_of,
    build_request,
    is_forbidden,
    is_untrusted,
    names_a_server,
    port_of,
    reason_of,
    tls_context,
    wrong_port,
)

MOST_REDIRECTS = 5
ATTEMPTS = 4
"""Tries in a row that bring nothing new."""
CONNECT_SECONDS = 10.0
TALK_SECONDS = 0.5
"""So much longer than it may be silent may a server talk without giving anything of the file, such as that it works on it."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_URL = 4096
LONGEST_VALIDATOR = 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d*/(\d+|\*)")


@dataclass(frozen=True, kw_only=True)
class DownloadLimits:
    """What a server may ask of us.

    Attributes:
        most_bytes: Largest file.
        stall_seconds: Longest silence; also the time over which the rate is measured.
        least_rate: Bytes a second below which a download is given up.
    """

    most_bytes: int
    stall_seconds: float
    least_rate: int


@dataclass(frozen=True, kw_only=True)
class Validators:
    """What a server said of the state of a file (RFC 9110, 8.8)."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, response: httpx.Response) -> Validators:
        """Those of an answer; what cannot be sent back, or would not be taken, counts as not said."""

        def said(name: str) -> str | None:
            value = response.headers.get(name)
            return value if value is not None and value.isascii() and len(value) <= LONGEST_VALIDATOR else None

        date = said("Last-Modified")
        # A file of this very second may become another before it is over (RFC 9110, 8.8.2.2).
        return cls(etag=said("ETag"), last_modified=None if date == response.headers.get("Date") else date)

    def conditions(self) -> dict[str, str]:
        """Headers that ask for the file only if it is another by now.

        A date is no such condition: many servers take it for "if there is a newer one", and one of an older date, which has taken
        the place of a newer one, is another as well.
        """
        return {} if self.etag is None else {"If-None-Match": self.etag}

    def are_told_by(self, response: httpx.Response) -> bool:
        """Whether an answer says that the file is the same, which one with a date alone does by giving it."""
        by_date = response.status_code == httpx.codes.OK and self.etag is None and self.last_modified is not None
        return response.status_code == httpx.codes.NOT_MODIFIED or (by_date and Validators.of(response) == self)

    @property
    def for_range(self) -> str | None:
        """What makes sure that a part belongs to the same file; a weak ETag does not."""
        return self.etag if self.etag is not None and not self.etag.startswith("W/") else self.last_modified

    def deny(self, others: Validators) -> bool:
        """Whether both say the same of a file, and not the same thing."""
        pairs = ((self.etag, others.etag), (self.last_modified, others.last_modified))
        return any(mine != other for mine, other in pairs if mine is not None and other is not None)


@dataclass(frozen=True, kw_only=True)
class Login:
    """Who asks a server, as RFC 7617 tells it."""

    user_name: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """The value of the header `Authorization`."""
        return "Basic " + base64.b64encode(f"{self.user_name}:{self.password}".encode()).decode()


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file that was fetched whole."""

    digest: str
    file_bytes: int
    validators: Validators


Tell = Callable[[int, int | None], None]
"""Called with the bytes that are there and the whole length where it is known; what it raises ends the download."""


def url_key(url: str) -> str:
    """What a URL is known by where it must not be kept itself."""
    return hashlib.sha256(url.encode()).hexdigest()


def shown_url(url: str | httpx.URL) -> str:
    """A URL as it may be shown and logged: what is behind `?` may be a secret."""
    text = str(url).partition("?")[0].partition("#")[0]
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}..."


def check_url(text: str, *, property_path: str = "URL") -> httpx.URL:
    """The URL, if files are fetched from such.

    Raises:
        PropertyInvalidFormat: It is none, is not http or https, or holds a password.
    """

    def refuse(rule: str) -> PropertyInvalidFormat:
        shown = shown_url(re.sub(r"//[^/@]*@", "//", text))
        return PropertyInvalidFormat(f"{property_path} {rule}.", property=property_path, value=shown)

    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise refuse("is no URL") from error
    if len(text) > LONGEST_URL or not text.isprintable():
        raise refuse(f"must have at most {LONGEST_URL} printable characters")
    if url.scheme not in {"http", "https"} or not names_a_server(url):
        raise refuse("must begin with http:// or https:// and name a server; files are not read from other addresses")
    if url.userinfo:
        raise refuse("holds a user name or a password, which would be kept in clear; take them out")
    if wrong := wrong_port(url):
        raise refuse(wrong)
    return url


class Downloader:
    """Fetches files.

    Args:
        limits: What a server may ask of us.
        trusted_ca_file: Authorities of servers beside those that this machine trusts.
    """

    def __init__(self, limits: DownloadLimits, trusted_ca_file: Path | None = None) -> None:
        self._limits = limits
        self._trusted_ca_file = trusted_ca_file

    @classmethod
    def of(cls, settings: Settings, most_bytes: int) -> Downloader:
        """One that bears with slow servers as the settings say, and takes files up to a size."""
        return cls(
            DownloadLimits(
                most_bytes=most_bytes,
                stall_seconds=settings.download_stall_seconds,
                least_rate=settings.download_least_rate,
            ),
            settings.trusted_ca_file,
        )

    def fetch(
        self,
        url: str,
        target: Path,
        tell: Tell,
        *,
        verify_certificate: bool = True,
        login: Login | None = None,
        known: Validators | None = None,
        pause: Callable[[float], None] = time.sleep,
        check: Callable[[], None] = lambda: None,
    ) -> Download | None:
        """Fetches a file, or goes on with what is in `target` already.

        Args:
            url: http or https; see `check_url`.
            target: The file to write; beside it, with the ending `.json`, lies what is needed to go on later.
            tell: Hears of each piece.
            verify_certificate: Whether a https server has to prove who it is.
            login: What the server of `url` is told, and no server that it redirects to.
            known: The state in which the caller has the file already.
            pause: Waits between two tries; may raise to end the download.
            check: Called twice a second, also while the server is silent, by another thread; what it raises ends the try.

        Returns:
            What was fetched; None if the file is still as the caller has it.

        Raises:
            DownloadFailed: The server refuses, sends too much, too little or too slowly; says what is the matter.
            ConfigurationError: The file of trusted authorities cannot be used.
            OSError: The file cannot be written.
        """
        check_url(url)
        with _Target(target, url) as file:
            context = tls_context(verify_certificate, self._trusted_ca_file)
            failures = 0
            most = file.size
            while True:
                try:
                    with Connection(check) as connection:
                        return self._try(
                            url, file, tell, context, known if file.size == 0 else None, login, failures, connection
                        )
                except _Broken as broken:
                    check()
                    failures = 0 if file.size > most else failures + 1
                    most = max(most, file.size)
                    if failures >= ATTEMPTS:
                        raise _failed(url, f"{broken} (tried {ATTEMPTS} times)") from broken
                    pause(FIRST_PAUSE_SECONDS * 2 ** min(failures, ATTEMPTS))

    def _try(  # noqa: PLR0917  one try has no defaults
        self,
        url: str,
        file: _Target,
        tell: Tell,
        context: ssl.SSLContext,
        known: Validators | None,
        login: Login | None,
        failures: int,
        connection: Connection,
    ) -> Download | None:
        tell(file.size, file.total)
        headers = {"Accept-Encoding": "identity", **({} if known is None else known.conditions())}
        if file.size and file.validators.for_range is not None:
            headers |= {"Range": f"bytes={file.size}-", "If-Range": file.validators.for_range}
        stall = self._limits.stall_seconds
        timeout = httpx.Timeout(stall, connect=min(CONNECT_SECONDS, stall))
        patience = min(CONNECT_SECONDS, stall) + stall + TALK_SECONDS
        try:
            # Proxies of the environment would do the connecting, and so the checking of addresses.
            with (
                httpx.Client(verify=context, timeout=timeout, trust_env=False) as client,
                _answer(client, url, headers, login, failures, connection, patience) as response,
            ):
                if known is not None and known.are_told_by(response):
                    return None
                self._begin(url, response, file)
                self._receive(url, response, file, tell, connection)
        except httpx.ReadTimeout as error:
            raise _Broken(f"the server sent nothing for {self._limits.stall_seconds:g} s") from error
        except httpx.TransportError as error:
            if connection.late:
                raise self._given_up(url) from error
            if is_untrusted(error):
                raise _failed(url, reason_of(error)) from error
            raise _Broken(reason_of(error)) from error
        if connection.late:
            raise self._given_up(url)
        if connection.unwanted:  # what looks like the end of a file without a length was our own doing
            raise _Broken("nobody wants it any more")
        if file.total is not None and file.size != file.total:
            raise _Broken(f"the server ended the file after {file.size} of {file.total} bytes")
        return file.finish()

    def _given_up(self, url: str) -> DownloadFailed:
        return _failed(url, f"the server talks, and gave nothing of the file for {self._limits.stall_seconds:g} s")

    def _begin(self, url: str, response: httpx.Response, file: _Target) -> None:
        """Judges the head of an answer, and sets the file to where its body belongs."""
        status = response.status_code
        if status in _TRY_AGAIN:
            raise _Broken(f"the server answers {status} {response.reason_phrase}".rstrip())
        part = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if status == httpx.codes.PARTIAL_CONTENT and part is not None and self._goes_on(part, response, file):
            start = file.size
        elif status == httpx.codes.OK:
            start = 0
        elif status in {httpx.codes.PARTIAL_CONTENT, httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE} and file.size:
            file.restart(Validators(), None)
            raise _Broken("the server cannot go on where the file broke off")
        else:
            raise _failed(url, f"the server answers {status} {response.reason_phrase}".rstrip())
        if response.headers.get("Content-Encoding", "identity").lower() not in {"", "identity"}:
            raise _failed(url, "the server sends it compressed although it was asked not to")
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None and length.isascii() and length.isdigit() else None
        if total is not None and total > self._limits.most_bytes:
            raise _failed(url, f"it has {total} bytes and at most {self._limits.most_bytes} are taken")
        if start == 0:
            file.restart(Validators.of(response), total)

    @staticmethod
    def _goes_on(part: re.Match[str], response: httpx.Response, file: _Target) -> bool:
        """Whether a part of a file belongs behind what is there: not every server knows `If-Range`."""
        is_same_length = file.total is None or part[2] in {"*", str(file.total)}
        return int(part[1]) == file.size and is_same_length and not file.validators.deny(Validators.of(response))

    def _receive(self, url: str, response: httpx.Response, file: _Target, tell: Tell, connection: Connection) -> None:
        window_end, window_size = time.monotonic() + self._limits.stall_seconds, file.size
        for piece in response.iter_raw():
            connection.await_within(math.inf)  # what we do with it takes its time
            if file.size + len(piece) > self._limits.most_bytes:
                raise _failed(url, f"it has more than {self._limits.most_bytes} bytes, which is the most that is taken")
            tell(file.size + len(piece), file.total)
            file.write(piece)
            connection.await_within(self._limits.stall_seconds + TALK_SECONDS)
            if (now := time.monotonic()) >= window_end:
                rate = (file.size - window_size) / self._limits.stall_seconds
                if rate < self._limits.least_rate:
                    raise _failed(
                        url, f"the server sends {rate:.0f} bytes a second and {self._limits.least_rate} are the least"
                    )
                window_end, window_size = now + self._limits.stall_seconds, file.size


class _Broken(Exception):
    """A try ended early; the next one may go on."""


def _failed(url: str, reason: str) -> DownloadFailed:
    return DownloadFailed(f"{shown_url(url)} cannot be downloaded: {reason}.", url=shown_url(url), reason=reason)


# --- addresses and redirections --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _answer(  # noqa: PLR0917  one request has no defaults
    client: httpx.Client,
    given: str,
    headers: Mapping[str, str],
    login: Login | None,
    turn: int,
    connection: Connection,
    seconds: float,
) -> Iterator[httpx.Response]:
    """The answer at the end of all redirections, each of whose addresses is checked like the first."""
    url = httpx.URL(given)
    first = (url.scheme, url.host, port_of(url))
    for _ in range(MOST_REDIRECTS + 1):
        host = url.raw_host.decode("ascii")
        addresses = _addresses(given, host, port_of(url))
        address = addresses[turn % len(addresses)]
        trusted = (url.scheme, url.host, port_of(url)) == first
        told = {"Authorization": login.header} if login is not None and trusted else {}
        request = build_request(client, "GET", url, address, headers={**headers, **told}, connection=connection)
        connection.await_within(seconds)
        response = client.send(request, stream=True)
        try:
            if response.status_code not in _REDIRECTS or "Location" not in response.headers:
                yield response
                return
            url = _redirected(given, url, response.headers["Location"])
        finally:
            response.close()
    raise _failed(given, f"it is redirected more than {MOST_REDIRECTS} times")


def _redirected(given: str, url: httpx.URL, location: str) -> httpx.URL:
    try:
        target = check_url(str(url.join(location)))
    except (PropertyInvalidFormat, httpx.InvalidURL, ValueError) as error:
        reason = error.message if isinstance(error, PropertyInvalidFormat) else "that is no URL"
        raise _failed(given, f"it is redirected to an address that is not taken: {reason.rstrip('.')}") from error
    if url.scheme == "https" and target.scheme == "http":
        raise _failed(given, f"it is redirected from https to {shown_url(target)}, where nobody proves who they are")
    return target


def _addresses(given: str, host: str, port: int) -> list[str]:
    try:
        return addresses_of(host, port, _refusal)
    except ServerUnknown as error:
        raise _Broken(str(error)) from error
    except AddressRefused as error:
        raise _failed(given, f"its server {host} has the address {error.address}, {error.reason}") from error


def _refusal(address: str) -> str | None:
    return "from which nothing is fetched (link-local or metadata)" if is_forbidden(address) else None


# --- the file --------------------------------------------------------------------------------------------------------


@dataclass
class _Target:
    """The file that is being fetched, its digest so far, and the note beside it that lets another process go on.

    Attributes:
        total: Its whole length, where the server told it.
    """

    path: Path
    url: str
    size: int = 0
    total: int | None = None
    validators: Validators = field(default_factory=Validators)

    def __enter__(self) -> Self:
        self._digest = hashlib.sha256()
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file: BinaryIO = os.fdopen(os.open(self.path, flags, 0o600), "r+b")
        note = self._read_note()
        if note is None:
            self.restart(Validators(), None)
            return self
        while piece := self._file.read(1 << 20):
            self._digest.update(piece)
            self.size += len(piece)
        self.total = note["total"]
        self.validators = Validators(etag=note["etag"], last_modified=note["last_modified"])
        if self.validators.for_range is None:
            self.restart(Validators(), None)
        return self

    def __exit__(self, *_: object) -> None:
        # What the disk refuses has been told already, by `write` or `finish`.
        with contextlib.suppress(OSError):
            self._file.close()

    @property
    def _note(self) -> Path:
        return note_of(self.path)

    def _read_note(self) -> dict[str, Any] | None:
        try:
            note = json.loads(self._note.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return note if isinstance(note, dict) and note.get("url_key") == url_key(self.url) else None

    def restart(self, validators: Validators, total: int | None) -> None:
        """Empties the file for another try from the beginning."""
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self.size, self.total, self.validators = 0, total, validators
        note = {"url_key": url_key(self.url), "total": total, **asdict(validators)}
        self._note.write_text(json.dumps(note), "utf-8")

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._file.flush()
        self._digest.update(piece)
        self.size += len(piece)

    def finish(self) -> Download:
        os.fsync(self._file.fileno())
        return Download(digest=self._digest.hexdigest(), file_bytes=self.size, validators=self.validators)


def note_of(target: Path) -> Path:
    """The file beside a file that is being fetched."""
    return target.with_name(f"{target.name}.json")
