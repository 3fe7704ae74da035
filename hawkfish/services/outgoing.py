"""Connections to servers that nobody vouches for: to the address that was checked, and for no longer than somebody wants them.

A name may lead to another address at the next look-up, so the address that was checked is the one that is connected to. No proxy of
the environment is asked, since that would do the connecting, and so the checking.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import httpx

from hawkfish.errors import ConfigurationError

LOOK_SECONDS = 0.5
SHOWN_LENGTH = 200
MOST_PORT = 65535
_SERVER = re.compile(rb"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
"""A name, whose other letters are encoded by IDNA, or an address."""

FORBIDDEN = tuple(
    ipaddress.ip_network(item)
    for item in (
        # Where clouds answer their machines, link-local addresses (which hold most of these) aside.
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
    )
)
PRIVATE = tuple(ipaddress.ip_network(item) for item in ("fec0::/10", "64:ff9b:1::/48"))
"""Networks that `ipaddress` takes for global: site-local addresses (RFC 3879), and NAT64 of one's own (RFC 8215)."""
_EMBEDDING = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in an IPv6 one

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class ServerUnknown(Exception):
    """The name of a server leads nowhere now."""


class AddressRefused(Exception):
    """The name of a server leads to an address that is not connected to.

    Attributes:
        address: It.
        reason: Why, as the end of a sentence.
    """

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"{address} {reason}")
        self.address = address
        self.reason = reason


# --- addresses -------------------------------------------------------------------------------------------------------


def plain_address(address: str) -> IpAddress:
    """An address as it is connected to in the end: an IPv4 one may be wrapped in an IPv6 one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _EMBEDDING:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return inner
    return ip


def is_forbidden(address: str) -> bool:
    """Whether an address is one that only this machine's own network offers, or none of a server at all."""
    ip = plain_address(address)
    return ip.is_link_local or ip.is_multicast or ip.is_unspecified or any(ip in network for network in FORBIDDEN)


def is_internal(address: str) -> bool:
    """Whether an address is of this machine or of a private network: one that the world does not reach."""
    ip = plain_address(address)
    return not ip.is_global or any(ip in network for network in PRIVATE)


def addresses_of(host: str, port: int, refusal: Callable[[str], str | None]) -> list[str]:
    """The addresses of a server, all of which may be connected to.

    Args:
        host: Its name or address.
        port: Its port.
        refusal: Tells why an address may not be connected to; None if it may.

    Raises:
        ServerUnknown: There is none of that name.
        AddressRefused: One of them may not.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerUnknown(f"there is no server {host} ({getattr(error, 'strerror', None) or error})") from error
    addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
    for address in addresses:
        reason = refusal(address)
        if reason is not None:
            raise AddressRefused(address, reason)
    return addresses


def build_request(
    client: httpx.Client,
    method: str,
    url: httpx.URL,
    address: str,
    *,
    headers: Mapping[str, str],
    connection: Connection,
    content: bytes | None = None,
) -> httpx.Request:
    """A request to one address of a server, which is still called by its name."""
    return client.build_request(
        method,
        url.copy_with(host=address),
        headers={**headers, "Host": url.netloc.decode("ascii")},
        content=content,
        extensions={"sni_hostname": url.raw_host.decode("ascii"), "trace": connection.trace},
    )


def names_a_server(url: httpx.URL) -> bool:
    """Whether the host of a URL can be a name or an address; httpx takes what is neither and encodes it, such as "[" as %5B."""
    try:
        return _SERVER.fullmatch(url.raw_host) is not None and bool(url.host)
    except UnicodeError:  # it begins as an encoded name (xn--) and is none
        return False


def wrong_port(url: httpx.URL) -> str | None:
    """What is wrong with the port that a URL names; None if nothing is. httpx takes any number, and the system some bits of it."""
    if url.port is None or 0 < url.port <= MOST_PORT:
        return None
    return f"names the port {url.port}; ports are numbers from 1 to {MOST_PORT}"


def port_of(url: httpx.URL) -> int:
    """The port that a URL means."""
    return url.port or {"http": 80, "https": 443}[url.scheme]


# --- connections -----------------------------------------------------------------------------------------------------


def tls_context(verify: bool, trusted_ca_file: Path | None = None) -> ssl.SSLContext:
    """How servers prove who they are; not at all without `verify`.

    Reading the certificates of all authorities takes longer than many a request, so that it is done again only when they change.

    Args:
        verify: Whether they have to.
        trusted_ca_file: PEM certificates of authorities that are trusted beside those of this machine.

    Raises:
        ConfigurationError: That file cannot be used.
    """
    paths = ssl.get_default_verify_paths()
    files = (paths.cafile, paths.capath, trusted_ca_file)
    return _context(verify, trusted_ca_file, tuple((path, _changed_at(path)) for path in files if path))


def _changed_at(path: str | Path) -> int | None:
    with contextlib.suppress(OSError):
        return Path(path).stat().st_mtime_ns
    return None


@lru_cache(maxsize=4)
def _context(
    verify: bool, trusted_ca_file: Path | None, _authorities: tuple[tuple[str | Path, int | None], ...]
) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trusted_ca_file is not None:
        try:
            context.load_verify_locations(trusted_ca_file)
        except OSError as error:  # that of TLS, which a file without a certificate raises, is one
            reason = "it holds no PEM certificate" if isinstance(error, ssl.SSLError) else error.strerror
            raise ConfigurationError(
                f"HF_TRUSTED_CA_FILE names {trusted_ca_file}, which cannot be used: {reason}. "
                "Give a file with the certificates of authorities, or leave it out.",
                setting="trusted_ca_file",
            ) from error
    return context


class Connection:
    """A connection that is closed under its user when `check` raises, or what is awaited is late: nobody waits for ever.

    Attributes:
        unwanted: Whether it was closed so.
        late: Whether that was since what was awaited did not come.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._due = math.inf
        self._ended = threading.Event()
        self.unwanted = self.late = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._watcher = threading.Thread(target=self._watch, name="connection-watch", daemon=True)

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()

    def await_within(self, seconds: float) -> None:
        """Says by when something is to come that its user can use; one that talks without saying anything is not silent."""
        self._due = time.monotonic() + seconds

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Hears from httpcore what it does, and so of each new socket, before and after TLS."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                if self.unwanted:
                    self._shut_down()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            late = time.monotonic() > self._due
            if late or self._is_unwanted():
                with self._lock:
                    self.late, self.unwanted = late, True
                    self._shut_down()
                return

    def _is_unwanted(self) -> bool:
        try:
            self._check()
        except Exception:  # noqa: BLE001  whatever it is, the user meets it again by its own call
            return True
        return False

    def _shut_down(self) -> None:
        if self._socket is not None:
            # TLS would say good-bye first, to somebody who does not listen.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def is_untrusted(error: httpx.TransportError) -> bool:
    """Whether a server could not prove who it is, which it will not be able to in a moment either."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def reason_of(error: httpx.TransportError) -> str:
    """Why a server could not be spoken with, for people."""
    text = str(error)
    if is_untrusted(error):
        why = re.sub(r"\.? \(_ssl\.c:\d+\)$", "", text.rpartition("] ")[2].partition(": ")[2])
        unknown = "issuer" in why or "self-signed" in why
        advice = "; name a file with the certificate of its CA in HF_TRUSTED_CA_FILE" if unknown else ""
        return f"its certificate is not trusted ({why}){advice}"
    if isinstance(error, httpx.ConnectTimeout):
        return "the server does not answer"
    text = re.sub(r"^\[Errno -?\d+\] ", "", text)  # the number of an error of the system, whose words follow
    return {"": type(error).__name__}.get(text, text)[:SHOWN_LENGTH].rstrip(".")
