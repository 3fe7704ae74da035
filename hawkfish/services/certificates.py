"""The server's certificate: made and renewed by a certification authority of the installation's own, or one that was given.

Kept in `<data_dir>/tls`: `ca.crt`, `ca.key`, `server.crt`, `server.key`; the keys are readable by their owner only. Clients trust
`ca.crt`, which stays for ten years; the server's certificate is renewed at a start, when it nears its end or lacks a name.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import secrets
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hawkfish.config import Settings
from hawkfish.errors import ConfigurationError
from hawkfish.locks import close_descriptor

log = structlog.get_logger(__name__)

CA_LIFETIME = timedelta(days=3650)
CA_MARGIN = timedelta(days=90)
SERVER_LIFETIME = timedelta(days=397)  # what browsers accept at most
SERVER_MARGIN = timedelta(days=30)
CLOCK_TOLERANCE = timedelta(hours=1)
PRIVATE = 0o600
PUBLIC = 0o644
DNS_LABEL_LIMIT = 63

# Addresses of documentation (RFC 5737, RFC 3849): asking for the way to them sends nothing, and names our own address.
ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


@dataclass(frozen=True)
class ServerCertificate:
    """What a TLS server needs.

    Attributes:
        certificate: PEM chain.
        key: PEM private key.
        ca_file: What clients must trust; None with a certificate that was given.
        renewed: Whether it was made just now.
    """

    certificate: Path
    key: Path
    ca_file: Path | None
    renewed: bool = False


@dataclass(frozen=True)
class _Pair:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_certificates(settings: Settings, *, now: datetime | None = None) -> ServerCertificate:
    """Finds the server's certificate, and makes or renews it where it is our own; of several starters, one makes it.

    Args:
        settings: Where it is kept, which names it needs, or which one to use instead.
        now: The time, for tests.

    Raises:
        ConfigurationError: The certificate that was given, or our own authority, cannot be used.
    """
    if settings.tls_certificate is not None and settings.tls_key is not None:
        _check_given(settings.tls_certificate, settings.tls_key)
        return ServerCertificate(settings.tls_certificate, settings.tls_key, None)
    folder = settings.data_dir / "tls"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder):
            return _ensure_own(folder, server_names(settings), now or datetime.now(UTC))
    except OSError as error:
        raise ConfigurationError(
            f"Cannot keep the server's certificate in {folder}: {error.strerror}. "
            "Make the folder writable, or give HF_TLS_CERTIFICATE and HF_TLS_KEY.",
            setting="data_dir",
        ) from error


def server_names(settings: Settings) -> list[x509.GeneralName]:
    """The names under which clients reach the server: this machine by itself, and the address that it listens on."""
    names = ["localhost", "127.0.0.1", "::1", socket.gethostname(), settings.host]
    if settings.host in {"0.0.0.0", "::"}:  # noqa: S104  compared, not bound
        names[-1:] = _own_addresses()
    found: list[x509.GeneralName] = []
    for name in names:
        general = _general_name(name)
        if general is not None and general not in found:
            found.append(general)
    return found


def _general_name(name: str) -> x509.GeneralName | None:
    """The name as certificates write it; None for what they cannot."""
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name.partition("%")[0]))
    labels = name.lower().rstrip(".").split(".")
    valid = all(
        0 < len(label) <= DNS_LABEL_LIMIT and label.isascii() and label.replace("-", "").replace("_", "").isalnum()
        for label in labels
    )
    return x509.DNSName(".".join(labels)) if valid else None


def _own_addresses() -> list[str]:
    addresses = []
    for family, elsewhere in ELSEWHERE:
        # Without a way to elsewhere there is no such address.
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            addresses.append(str(probe.getsockname()[0]))
    return addresses


def _check_given(certificate: Path, key: Path) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"The TLS certificate {certificate} and the key {key} cannot be used: {error}. "
            "Both must be PEM files, without a pass phrase, that belong together.",
            setting="tls_certificate",
        ) from error


# --- our own -------------------------------------------------------------------------------------------------------


def _ensure_own(folder: Path, names: list[x509.GeneralName], now: datetime) -> ServerCertificate:
    authority = _ensure_authority(folder, now)
    certificate, key = folder / "server.crt", folder / "server.key"
    ready = ServerCertificate(certificate, key, folder / "ca.crt")
    why = _why_renew(_read_pair(certificate, key), authority.certificate, names, now)
    if why is None:
        os.chmod(key, PRIVATE)  # noqa: PTH101  whatever a copy or a restore made of it
        return ready
    pair = _make_server(authority, names, now)
    # Killed between the two, they do not belong together: the next start sees that and makes both anew.
    _write(key, _pem_key(pair.key), PRIVATE)
    _write(certificate, _pem(pair.certificate) + _pem(authority.certificate), PUBLIC)
    log.info("certificates.server_made", reason=why, ends_at=pair.certificate.not_valid_after_utc.isoformat())
    return ServerCertificate(certificate, key, ready.ca_file, renewed=True)


def _ensure_authority(folder: Path, now: datetime) -> _Pair:
    certificate, key = folder / "ca.crt", folder / "ca.key"
    if not certificate.exists():
        # The key is written first: killed before the certificate is, there is none yet, and both are made anew.
        pair = _make_authority(now)
        _write(key, _pem_key(pair.key), PRIVATE)
        _write(certificate, _pem(pair.certificate), PUBLIC)
        log.info("certificates.authority_made", file=str(certificate))
        return pair
    found = _read_pair(certificate, key)
    if found is None:
        raise ConfigurationError(
            f"{certificate} and {key} cannot be read or do not belong together. Restore them from a backup; "
            f"or delete {folder}, and have all clients trust the new ca.crt.",
            setting="data_dir",
        )
    if found.certificate.not_valid_after_utc - CA_MARGIN <= now:
        pair = _make_authority(now)
        _write(certificate.with_suffix(".crt.old"), _pem(found.certificate), PUBLIC)
        certificate.unlink()
        _write(key, _pem_key(pair.key), PRIVATE)
        _write(certificate, _pem(pair.certificate), PUBLIC)
        log.warning("certificates.authority_renewed", file=str(certificate), note="clients must trust the new one")
        return pair
    os.chmod(key, PRIVATE)  # noqa: PTH101  whatever a copy or a restore made of it
    return found


def _why_renew(
    pair: _Pair | None, authority: x509.Certificate, names: list[x509.GeneralName], now: datetime
) -> str | None:
    """Why the server needs another certificate; None where it does not."""
    if pair is None:
        return "there is none that can be used"
    try:
        pair.certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return "it is not of this authority"
    if pair.certificate.not_valid_after_utc - SERVER_MARGIN <= now:
        return "it nears its end"
    if pair.certificate.not_valid_before_utc > now:
        return "it begins in the future"
    try:
        present = pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return "it has no names"
    missing = [name for name in names if name not in present]
    return f"it lacks the names {', '.join(str(name.value) for name in missing)}" if missing else None


def _make_authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    # The name is unique: clients that trust several installations must not take one authority for another.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"HawkFish CA {secrets.token_hex(4)}")])
    builder = (
        _builder(name, name, key.public_key(), now, now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return _Pair(builder.sign(key, hashes.SHA256()), key)


def _make_server(authority: _Pair, names: list[x509.GeneralName], now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "HawkFish")])
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    until = min(now + SERVER_LIFETIME, issuer.not_valid_after_utc)
    builder = (
        _builder(subject, issuer.subject, key.public_key(), now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
    )
    return _Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


# --- files ---------------------------------------------------------------------------------------------------------


def _read_pair(certificate: Path, key: Path) -> _Pair | None:
    """Certificate and key; None where one is missing, damaged, or does not belong to the other."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or found.public_key() != private.public_key():
        return None
    return _Pair(found, private)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replaces a file whole: whoever reads, and whatever is killed, sees the old or the new one. The lock keeps others away."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)
    partial.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        close_descriptor(directory)
