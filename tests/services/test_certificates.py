"""The certificate of the service's own authority, as TLS clients judge it."""

from __future__ import annotations

import http.server
import shutil
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from hawkfish.config import Settings, load_settings
from hawkfish.errors import ConfigurationError
from hawkfish.services.certificates import ServerCertificate, ensure_certificates
from tests.services.access import at_once


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({}, data_dir=tmp_path / "data")


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names(made: ServerCertificate) -> set[str]:
    found = load(made.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in found}


def strict_client(ca_file: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca_file))
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def https_server(made: ServerCertificate, address: str = "127.0.0.1") -> Iterator[int]:
    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

        def handle_error(self, *_: Any) -> None:
            """A client that does not trust us goes away; that is no error here."""

    with Server((address, 0), Hello) as server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(made.certificate, made.key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(timeout=30)


def test_clients_that_trust_the_authority_connect_by_name_and_by_address(settings: Settings) -> None:
    made = ensure_certificates(settings)
    assert made.renewed
    assert made.ca_file == settings.ca_file
    with https_server(made) as port, httpx.Client(verify=strict_client(settings.ca_file), trust_env=False) as client:
        for name in ("localhost", "127.0.0.1"):
            assert client.get(f"https://{name}:{port}/").text == "hello"


def test_clients_connect_over_ipv6(settings: Settings) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 on its loopback: {error}")
    made = ensure_certificates(settings)
    with (
        https_server(made, "::1") as port,
        httpx.Client(verify=strict_client(settings.ca_file), trust_env=False) as client,
    ):
        assert client.get(f"https://[::1]:{port}/").text == "hello"


def test_clients_that_trust_others_or_ask_for_another_name_refuse(settings: Settings, tmp_path: Path) -> None:
    made = ensure_certificates(settings)
    other = ensure_certificates(load_settings({}, data_dir=tmp_path / "other"))
    assert other.ca_file is not None
    with https_server(made) as port:
        for ca_file, name in ((other.ca_file, "localhost"), (settings.ca_file, "example.org")):
            with (
                socket.create_connection(("127.0.0.1", port), timeout=30) as connection,
                pytest.raises(ssl.SSLCertVerificationError),
            ):
                strict_client(ca_file).wrap_socket(connection, server_hostname=name)


def test_openssl_finds_nothing_to_blame(settings: Settings) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (apt-get install openssl)")
    made = ensure_certificates(settings)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost"]
    result = subprocess.run(
        [*command, "-CAfile", settings.ca_file, made.certificate],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr


def test_the_certificates_say_what_they_are_for(settings: Settings) -> None:
    made = ensure_certificates(settings)
    authority, server = load(settings.ca_file), load(made.certificate)
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)
    assert not server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    for certificate in (authority, server):
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
    assert server.not_valid_after_utc - server.not_valid_before_utc < timedelta(days=399)


def test_the_names_are_this_machine_and_the_address_listened_on(tmp_path: Path) -> None:
    made = ensure_certificates(load_settings({}, data_dir=tmp_path, bind="192.0.2.55:8443"))
    assert {"localhost", "127.0.0.1", "::1", "192.0.2.55"} <= names(made)
    wild = ensure_certificates(load_settings({}, data_dir=tmp_path / "wild", bind="0.0.0.0:8443"))
    assert "0.0.0.0" not in names(wild)


def test_keys_are_readable_by_their_owner_only_and_nothing_partial_stays(settings: Settings) -> None:
    made = ensure_certificates(settings)
    folder = made.key.parent
    for key in (made.key, folder / "ca.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        key.chmod(0o644)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "ca.crt", "ca.key", "server.crt", "server.key"]
    ensure_certificates(settings)
    for key in (made.key, folder / "ca.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_second_start_changes_nothing(settings: Settings) -> None:
    made = ensure_certificates(settings)
    before = [path.read_bytes() for path in (made.certificate, made.key, settings.ca_file)]
    again = ensure_certificates(settings)
    assert not again.renewed
    assert [path.read_bytes() for path in (made.certificate, made.key, settings.ca_file)] == before


def test_it_is_renewed_near_its_end_by_the_same_authority(settings: Settings) -> None:
    made = ensure_certificates(settings)
    authority, end = settings.ca_file.read_bytes(), load(made.certificate).not_valid_after_utc
    assert not ensure_certificates(settings, now=end - timedelta(days=31)).renewed
    assert ensure_certificates(settings, now=end - timedelta(days=29)).renewed
    assert settings.ca_file.read_bytes() == authority
    assert load(made.certificate).not_valid_after_utc > end


def test_it_is_renewed_when_the_address_changes(settings: Settings) -> None:
    made = ensure_certificates(settings)
    moved = load_settings({}, data_dir=settings.data_dir, bind="192.0.2.55:8443")
    assert ensure_certificates(moved).renewed
    assert "192.0.2.55" in names(made)


def test_the_authority_is_renewed_before_it_ends_and_the_old_one_is_kept(settings: Settings) -> None:
    ensure_certificates(settings)
    old = settings.ca_file.read_bytes()
    late = load(settings.ca_file).not_valid_after_utc - timedelta(days=89)
    made = ensure_certificates(settings, now=late)
    assert made.renewed
    assert settings.ca_file.read_bytes() != old
    assert settings.ca_file.with_suffix(".crt.old").read_bytes() == old
    load(made.certificate).verify_directly_issued_by(load(settings.ca_file))


def test_a_certificate_does_not_outlive_its_authority(settings: Settings) -> None:
    ensure_certificates(settings)
    end = load(settings.ca_file).not_valid_after_utc
    made = ensure_certificates(settings, now=end - timedelta(days=100))
    assert load(made.certificate).not_valid_after_utc == end


@pytest.mark.parametrize("damaged", ["server.key", "server.crt"])
@pytest.mark.parametrize("how", ["missing", "cut short", "of another"])
def test_a_killed_or_damaged_renewal_is_made_anew(settings: Settings, tmp_path: Path, damaged: str, how: str) -> None:
    made = ensure_certificates(settings)
    file = made.key.parent / damaged
    if how == "missing":
        file.unlink()
    elif how == "cut short":
        file.write_bytes(file.read_bytes()[:60])
    else:
        other = ensure_certificates(load_settings({}, data_dir=tmp_path / "other"))
        shutil.copy(other.key.parent / damaged, file)
    (file.parent / f".{damaged}.partial").write_text("left by a kill")
    assert ensure_certificates(settings).renewed
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(made.certificate, made.key)


def test_an_authority_that_lost_its_key_is_reported_and_not_replaced(settings: Settings) -> None:
    ensure_certificates(settings)
    before = settings.ca_file.read_bytes()
    (settings.ca_file.parent / "ca.key").unlink()
    with pytest.raises(ConfigurationError, match=r"ca\.key"):
        ensure_certificates(settings)
    assert settings.ca_file.read_bytes() == before


def test_of_several_starters_one_makes_it(settings: Settings) -> None:
    outcomes = at_once(*[lambda: ensure_certificates(settings)] * 4)
    assert sorted(outcome.renewed for outcome in outcomes) == [False, False, False, True]


def test_a_given_certificate_is_used_and_checked(settings: Settings, tmp_path: Path) -> None:
    made = ensure_certificates(settings)
    given = load_settings({}, data_dir=tmp_path / "b", tls_certificate=made.certificate, tls_key=made.key)
    assert ensure_certificates(given) == ServerCertificate(made.certificate, made.key, None)
    assert not (tmp_path / "b" / "tls").exists()
    other = ensure_certificates(load_settings({}, data_dir=tmp_path / "c"))
    for key in (other.key, tmp_path / "absent.key"):
        wrong = load_settings({}, data_dir=tmp_path / "d", tls_certificate=made.certificate, tls_key=key)
        with pytest.raises(ConfigurationError, match="cannot be used"):
            ensure_certificates(wrong)


def test_a_folder_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("a file where the folder belongs")
    with pytest.raises(ConfigurationError, match="tls"):
        ensure_certificates(load_settings({}, data_dir=tmp_path), now=datetime.now(UTC))
