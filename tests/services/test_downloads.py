"""Downloads from servers that are slow, endless, cut off, elsewhere or wrong."""

from __future__ import annotations

import hashlib
import socket
import time

import httpx
import pytest

from hawkfish.bootstrap import Application
from hawkfish.config import load_settings
from hawkfish.errors import ConfigurationError, DownloadFailed, PropertyInvalidFormat
from hawkfish.services.downloads import (
    Downloader,
    DownloadLimits,
    Validators,
    check_url,
    note_of,
    shown_url,
)
from hawkfish.services.outgoing import is_forbidden
from tests.support.file_server import FileServer, Plan
from tests.support.tls import certificate_of_loopback

CONTENT = b"0123456789abcdef" * 16384  # 256 KiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with FileServer() as running:
        yield running


def patient_for(seconds):
    return Downloader(DownloadLimits(most_bytes=4 * len(CONTENT), stall_seconds=seconds, least_rate=1000))


@pytest.fixture
def downloader():
    """One that bears with the server of these tests however loaded the machine is."""
    return patient_for(20)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "partial"


def nothing(done, total):
    pass


def fetch(downloader, url, target, tell=nothing, **options):
    return downloader.fetch(url, target, tell, **{"pause": lambda seconds: None, **options})


def refused(downloader, url, target, **options) -> str:
    with pytest.raises(DownloadFailed) as caught:
        fetch(downloader, url, target, **options)
    assert shown_url(url) in caught.value.message
    return caught.value.message


def test_a_file_is_fetched_with_its_digest_and_what_the_server_says_of_it(server, downloader, target):
    server.plans["/disk.img"] = Plan(CONTENT, etag='"v1"')
    told = []
    fetched = fetch(downloader, server.url("/disk.img"), target, lambda done, total: told.append((done, total)))
    assert (fetched.digest, fetched.file_bytes, fetched.validators.etag) == (DIGEST, len(CONTENT), '"v1"')
    assert target.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_file_without_an_announced_length_is_fetched(server, downloader, target):
    server.plans["/disk.img"] = Plan(CONTENT, chunked=True)
    assert fetch(downloader, server.url("/disk.img"), target).digest == DIGEST


def test_a_known_file_is_fetched_again_only_if_it_is_another(server, downloader, target):
    server.plans["/disk.img"] = Plan(CONTENT, etag='"v1"')
    assert fetch(downloader, server.url("/disk.img"), target, known=Validators(etag='"v1"')) is None
    fetched = fetch(downloader, server.url("/disk.img"), target, known=Validators(etag='"v0"'))
    assert fetched.digest == DIGEST


def test_a_known_file_of_another_date_is_fetched_again_though_that_is_older(server, downloader, target):
    """As one that was put back in the place of a newer one; many servers only look whether there is a newer one."""
    older, newer = "Wed, 25 Nov 2026 08:00:00 GMT", "Thu, 26 Nov 2026 08:00:00 GMT"
    server.plans["/disk.img"] = Plan(CONTENT, modified=older)
    assert fetch(downloader, server.url("/disk.img"), target, known=Validators(last_modified=older)) is None
    fetched = fetch(downloader, server.url("/disk.img"), target, known=Validators(last_modified=newer))
    assert (fetched.digest, fetched.validators) == (DIGEST, Validators(last_modified=older))


def test_the_date_of_a_file_that_may_still_change_within_its_second_says_nothing():
    date = "Thu, 26 Nov 2026 08:00:00 GMT"
    answer = httpx.Response(200, headers={"Date": date, "Last-Modified": date})
    assert Validators.of(answer) == Validators()


def test_a_broken_download_goes_on_where_it_broke_off(server, downloader, target):
    plan = server.plans["/disk.img"] = Plan(CONTENT, etag='"v1"', cut_after=100_000)
    assert fetch(downloader, server.url("/disk.img"), target).digest == DIGEST
    assert [request.get("Range") for request in server.requests] == [None, "bytes=100000-", "bytes=200000-"]
    assert {request.get("If-Range") for request in server.requests[1:]} == {'"v1"'}
    assert plan.sent == len(CONTENT), "no byte was sent twice"


def test_another_process_goes_on_with_what_a_dead_one_left(server, downloader, target):
    class Killed(BaseException):
        pass

    def die(done, total):
        if done > 100_000:
            raise Killed

    server.plans["/disk.img"] = Plan(CONTENT, etag='"v1"')
    with pytest.raises(Killed):
        fetch(downloader, server.url("/disk.img"), target, die)
    there = target.stat().st_size
    assert 0 < there <= 100_000
    assert fetch(downloader, server.url("/disk.img"), target).digest == DIGEST
    assert server.requests[-1]["Range"] == f"bytes={there}-"


@pytest.mark.parametrize("note", [None, "{", '{"url_key": "of another"}', "[]"])
def test_what_is_not_known_to_belong_to_the_file_is_not_built_upon(server, downloader, target, note):
    target.write_bytes(b"something else")
    if note is not None:
        note_of(target).write_text(note)
    server.plans["/disk.img"] = Plan(CONTENT, etag='"v1"')
    assert fetch(downloader, server.url("/disk.img"), target).digest == DIGEST
    assert "Range" not in server.requests[0]


def test_a_file_that_changed_while_it_was_resumed_is_fetched_anew(server, downloader, target):
    plan = server.plans["/disk.img"] = Plan(b"old" * 80_000, etag='"v1"', cut_after=100_000)

    def change():
        plan.content, plan.etag, plan.cut_after = CONTENT, '"v2"', None

    plan.after_cut = change
    assert fetch(downloader, server.url("/disk.img"), target).digest == DIGEST
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(("more_bytes", "etag"), [(0, '"v2"'), (1, None)])
def test_a_part_of_another_file_is_not_put_behind_the_first(server, downloader, target, more_bytes, etag):
    """Not every server knows `If-Range`."""
    plan = server.plans["/disk.img"] = Plan(bytes(len(CONTENT) + more_bytes), etag='"v1"', cut_after=100_000)

    def change():
        plan.content, plan.etag, plan.any_range, plan.cut_after = CONTENT, etag, True, None

    plan.after_cut = change
    assert fetch(downloader, server.url("/disk.img"), target).digest == DIGEST
    assert [request.get("Range") for request in server.requests] == [None, "bytes=100000-", None]


@pytest.mark.parametrize("etag", ['"\xe9"', f'"{"x" * 20_000}"'])
def test_what_cannot_be_sent_back_is_not_kept_of_what_a_server_says(server, downloader, target, etag):
    plan = server.plans["/disk.img"] = Plan(CONTENT, etag=etag, cut_after=100_000)

    def heal():
        plan.cut_after = None

    plan.after_cut = heal
    fetched = fetch(downloader, server.url("/disk.img"), target)
    assert (fetched.digest, fetched.validators) == (DIGEST, Validators())


def test_a_server_without_ranges_is_asked_for_the_whole_again(server, downloader, target):
    plan = server.plans["/disk.img"] = Plan(CONTENT, cut_after=100_000)

    def heal():
        plan.cut_after = None

    plan.after_cut = heal
    assert fetch(downloader, server.url("/disk.img"), target).digest == DIGEST


def test_a_file_that_is_always_cut_off_is_given_up(server, downloader, target):
    server.plans["/disk.img"] = Plan(CONTENT, cut_after=100_000)
    message = refused(downloader, server.url("/disk.img"), target)
    assert "tried 4 times" in message
    assert len(server.requests) < 8


def test_a_file_larger_than_is_taken_is_refused_before_it_comes(server, target):
    small = Downloader(DownloadLimits(most_bytes=1000, stall_seconds=20, least_rate=0))
    server.plans["/disk.img"] = Plan(CONTENT)
    assert "at most 1000 are taken" in refused(small, server.url("/disk.img"), target)
    assert target.stat().st_size == 0


def test_an_endless_file_ends_at_the_most_that_is_taken(server, downloader, target):
    server.plans["/endless"] = Plan(CONTENT, endless=True)
    assert "more than 1048576 bytes" in refused(downloader, server.url("/endless"), target)
    assert target.stat().st_size <= 1048576


def test_a_server_that_falls_silent_is_not_waited_for(server, target):
    impatient = Downloader(DownloadLimits(most_bytes=1 << 20, stall_seconds=0.2, least_rate=0))
    server.plans["/disk.img"] = Plan(CONTENT, cut_after=100, silent=True)
    begun = time.monotonic()
    assert "sent nothing for 0.2 s" in refused(impatient, server.url("/disk.img"), target)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("babble", [b"HTTP/1.1 102 Processing\r\n\r\n", b"x"])
def test_a_server_that_talks_and_gives_nothing_is_given_up(server, target, babble):
    server.plans["/disk.img"] = Plan(CONTENT, babble=babble)
    assert "talks, and gave nothing of the file for 1 s" in refused(patient_for(1), server.url("/disk.img"), target)


def test_a_server_that_drips_is_given_up(server, target):
    server.plans["/disk.img"] = Plan(CONTENT, drip_seconds=0.05)
    assert "1000 are the least" in refused(patient_for(1), server.url("/disk.img"), target)


@pytest.mark.parametrize(("status", "told"), [(404, "404 Not Found"), (401, "401"), (403, "403"), (204, "204")])
def test_a_refusal_is_told_at_once(server, downloader, target, status, told):
    server.plans["/disk.img"] = Plan(b"", status=status)
    assert told in refused(downloader, server.url("/disk.img"), target)
    assert len(server.requests) == 1


def test_a_server_that_is_busy_is_asked_again(server, downloader, target):
    server.plans["/disk.img"] = Plan(b"", status=503)
    assert "503" in refused(downloader, server.url("/disk.img"), target)
    assert len(server.requests) == 4


def test_nobody_answers(downloader, target):
    with FileServer() as gone:
        url = gone.url("/disk.img")
    assert "cannot be downloaded" in refused(downloader, url, target)
    assert "no server" in refused(downloader, "http://no-such-host.invalid/x", target)


def test_redirects_are_followed_and_not_for_ever(server, downloader, target):
    server.plans["/disk.img"] = Plan(CONTENT)
    for number in range(5):
        server.plans[f"/{number}"] = Plan(b"", status=302, location=f"/{number + 1}" if number < 4 else "/disk.img")
    assert fetch(downloader, server.url("/0"), target).digest == DIGEST
    server.plans["/loop"] = Plan(b"", status=307, location="/loop")
    assert "more than 5 times" in refused(downloader, server.url("/loop"), target)


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("http://169.254.169.254/latest/meta-data", "link-local or metadata"),
        ("http://[fe80::1]/x", "link-local or metadata"),
        ("http://[::ffff:169.254.169.254]/x", "link-local or metadata"),
        ("http://0.0.0.0/x", "link-local or metadata"),
        ("file:///etc/passwd", "http:// or https://"),
        ("http://user:secret@127.0.0.1/x", "user name or a password"),
    ],
)
def test_a_redirect_leads_to_no_address_that_is_refused(server, downloader, target, location, told):
    server.plans["/disk.img"] = Plan(b"", status=302, location=location)
    message = refused(downloader, server.url("/disk.img"), target)
    assert told in message
    assert "secret" not in message


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "100.100.100.200", "168.63.129.16", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]"]
)
def test_metadata_addresses_are_not_asked(downloader, target, host):
    assert "link-local or metadata" in refused(downloader, f"http://{host}/x", target)


def test_the_address_that_was_checked_is_the_one_that_is_asked(server, downloader, target, monkeypatch):
    server.plans["/disk.img"] = Plan(CONTENT)
    asked = []
    really = socket.getaddrinfo

    def look_up(host, port, *more, **named):
        if host != "images.example":
            return really(host, port, *more, **named)
        asked.append(host)
        return really("127.0.0.1" if len(asked) == 1 else "169.254.169.254", port, *more, **named)

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    url = f"http://images.example:{httpx.URL(server.url('/')).port}/disk.img"
    fetched = Downloader(DownloadLimits(most_bytes=1 << 20, stall_seconds=20, least_rate=0)).fetch(url, target, nothing)
    assert fetched.digest == DIGEST
    assert asked == ["images.example"]
    assert server.requests[0]["Host"] == httpx.URL(url).netloc.decode()


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "127.0.0.1", "::1", "fd12::1", "93.184.216.34"])
def test_private_addresses_are_allowed(address):
    assert not is_forbidden(address)


@pytest.mark.parametrize("compressed", ["gzip", "br"])
def test_what_is_compressed_on_the_way_is_refused(server, downloader, target, compressed):
    server.plans["/disk.img"] = Plan(CONTENT, encoding=compressed)
    assert "compressed" in refused(downloader, server.url("/disk.img"), target)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "disk.img",
        "ftp://server/x",
        "file:///etc/passwd",
        "http://",
        "http://user@server/x",
        "http://a:b@server/x",
        "http://server/" + "x" * 5000,
        "http://server/a\tb",
        "http://[::1",
        "http://server:0/x",
        "http://server:65536/x",
        "http://server:-1/x",
        "http://xn--a/",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_address_of_a_file_is_refused_at_once(url):
    with pytest.raises(PropertyInvalidFormat) as caught:
        check_url(url)
    assert caught.value.data["property"] == "URL"
    assert "a:b" not in caught.value.message + str(caught.value.data)


def test_a_certificate_is_asked_for_unless_it_is_said_otherwise(downloader, target):
    with FileServer(tls=True) as server:
        server.plans["/disk.img"] = Plan(CONTENT)
        assert refused(downloader, server.url("/disk.img"), target, pause=pytest.fail).endswith("HF_TRUSTED_CA_FILE.")
        assert fetch(downloader, server.url("/disk.img"), target, verify_certificate=False).digest == DIGEST


def test_an_authority_of_ones_own_is_trusted_once_the_setting_names_it(tmp_path, target):
    certificate = certificate_of_loopback(tmp_path / "theirs")
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(certificate_of_loopback(tmp_path / "another").ca_file.read_text())
    settings = load_settings({"HF_TRUSTED_CA_FILE": str(trusted)}, data_dir=tmp_path / "data")
    downloader = Downloader.of(settings, 4 * len(CONTENT))
    with FileServer(certificate=certificate) as server:
        server.plans["/disk.img"] = Plan(CONTENT)
        assert "HF_TRUSTED_CA_FILE" in refused(downloader, server.url("/disk.img"), target)
        with trusted.open("a") as file:  # a file that changes is read anew
            file.write(certificate.ca_file.read_text())
        assert fetch(downloader, server.url("/disk.img"), target).digest == DIGEST


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), ("", "no PEM"), ("-----BEGIN", "no PEM")])
def test_a_file_of_authorities_that_is_none_is_refused_at_the_start(sqlite_url, tmp_path, content, reason):
    file = tmp_path / "trusted.pem"
    if content is not None:
        file.write_text(content)
    settings = load_settings({}, data_dir=tmp_path, database_url=sqlite_url, trusted_ca_file=file)
    with pytest.raises(ConfigurationError, match=f"HF_TRUSTED_CA_FILE names {file}, .*{reason}"):
        Application.open(settings)


def test_from_https_nothing_leads_to_http(server, downloader, target):
    server.plans["/disk.img"] = Plan(CONTENT)
    with FileServer(tls=True) as secure:
        secure.plans["/disk.img"] = Plan(b"", status=302, location=server.url("/disk.img"))
        message = refused(downloader, secure.url("/disk.img"), target, verify_certificate=False)
        assert "from https to http" in message


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    "plan",
    [{"mute": True}, {"silent": True, "cut_after": 1000}, {"silent": True, "cut_after": 1000, "lengthless": True}],
    ids=["before-its-head", "in-the-middle", "without-a-length"],
)
def test_nobody_waits_for_a_silent_server_once_the_download_is_unwanted(target, tls, plan):
    class UnwantedError(Exception):
        pass

    asked_at = []

    def check():
        if server.count("/disk.img"):
            asked_at.append(time.monotonic())
        if asked_at and time.monotonic() > asked_at[0] + 0.5:
            raise UnwantedError

    with FileServer(tls=tls) as server:
        server.plans["/disk.img"] = Plan(CONTENT, **plan)
        with pytest.raises(UnwantedError):
            fetch(patient_for(60), server.url("/disk.img"), target, check=check, verify_certificate=False)
        assert server.count("/disk.img") == 1
        assert time.monotonic() - asked_at[0] < 20


def test_a_server_that_does_not_listen_is_told_of_in_words(downloader, target):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    message = refused(downloader, f"http://127.0.0.1:{port}/disk.img", target)
    assert "cannot be downloaded: Connection refused" in message
