"""Certificates of servers, by an authority of their own that no machine knows."""

from __future__ import annotations

import ssl
from pathlib import Path

from hawkfish.config import load_settings
from hawkfish.services.certificates import ServerCertificate, ensure_certificates


def certificate_of_loopback(folder: Path) -> ServerCertificate:
    """One for a server on loopback; `ca_file` is its authority."""
    return ensure_certificates(load_settings({}, data_dir=folder))


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """What a server shows it with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
