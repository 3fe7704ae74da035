"""The cache of images for drives: bounded, and never at the cost of what is inserted; and how long power waits."""

from __future__ import annotations

import stat
import threading

import pytest

from hawkfish.config import load_settings
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.machines import DriveKind
from hawkfish.domain.media import MediaRequest, file_name
from hawkfish.domain.systems import ResetType
from hawkfish.domain.tasks import TaskState
from hawkfish.errors import BackendTimeout, ConfigurationError, ImageRefused, StorageFull
from hawkfish.services.media_cache import judge_medium
from hawkfish.services.secret_box import SecretBox
from hawkfish.testing.waiting import wait_until
from tests.support.file_server import FileServer, Plan
from tests.support.installation import KIB, open_installation
from tests.support.iso import iso


@pytest.fixture(scope="module")
def small(tmp_path_factory, sqlite_template):
    """An installation whose cache takes two and a half images."""
    folder = tmp_path_factory.mktemp("small")
    path = folder / "hawkfish.db"
    path.write_bytes(sqlite_template.read_bytes())
    with open_installation(folder, f"sqlite:///{path}", media_cache_bytes=160 * KIB, media_wait=1) as installation:
        yield installation


@pytest.fixture
def server():
    with FileServer() as running:
        for name in "abcd":
            running.plans[f"/{name}.iso"] = Plan(iso(name), etag=f'"{name}"')
        yield running


def insert(installation, system, url):
    return installation.application.media.insert(SYSTEM_ACTOR, system.id, "Cd", MediaRequest(image=url))


def eject(installation, system):
    installation.done(installation.application.media.eject(SYSTEM_ACTOR, system.id, "Cd"))


def there(installation):
    """Labels of the contents in the cache, and of the copies on the host."""
    settings = installation.application.settings
    folders = settings.media_cache / "sha256", settings.data_dir / "simulated" / "rack" / "pools"
    files = [list(folders[0].glob("*/*")), list(folders[1].glob("media-*/*.iso"))]
    return tuple("".join(sorted(path.read_bytes()[32808:32809].decode() for path in found)) for found in files)


@pytest.mark.slow
def test_what_was_not_used_for_longest_goes_and_never_what_is_inserted(small, server):
    systems = [small.create(disks=()) for _ in range(2)]
    first, second = systems
    small.done(insert(small, first, server.url("/a.iso")))
    small.done(insert(small, second, server.url("/b.iso")))
    assert there(small) == ("ab", "ab")
    eject(small, second)
    small.done(insert(small, second, server.url("/c.iso")))
    assert there(small)[0] == "ac", "a is older, and inserted"
    wait_until(lambda: there(small) == ("ac", "ac"), "the copy of b goes, too")
    error = small.failed(insert(small, small.create(disks=()), server.url("/d.iso")))
    assert isinstance(error, StorageFull)
    assert "HF_MEDIA_CACHE_BYTES" in error.message
    assert there(small) == ("ac", "ac")
    eject(small, first)
    eject(small, second)
    small.done(insert(small, first, server.url("/b.iso")))
    assert server.count("/b.iso") == 2
    wait_until(lambda: there(small) == ("bc", "bc"), "the copy of a goes, too")
    eject(small, first)


def test_what_a_dead_process_left_is_removed(small):
    store = small.application.settings.media_cache
    for left in ("partial/5f1b7a1c-0000-4000-8000-000000000000", "partial/x.json", f"sha256/ab/{'ab' * 32}"):
        (store / left).parent.mkdir(exist_ok=True, parents=True)
        (store / left).write_bytes(b"left")
    before = there(small)
    small.application.media.purge()
    assert not [path for path in store.rglob("*") if path.is_file() and path.read_bytes() == b"left"]
    assert there(small)[1] == before[1]


@pytest.mark.parametrize("reset_type", [ResetType.ON, ResetType.FORCE_RESTART, ResetType.POWER_CYCLE])
def test_power_waits_so_long_and_says_then_why_it_did_not_come(small, server, reset_type):
    gate = threading.Event()
    server.plans["/slow.iso"] = Plan(iso("slow"), gate=gate)
    system = small.create(disks=())
    inserting = insert(small, system, server.url("/slow.iso"))
    error = small.failed(small.reset(system, reset_type))
    assert isinstance(error, BackendTimeout)
    assert "HF_MEDIA_WAIT" in error.message
    assert small.get(system).power_state == "Off"
    off = small.reset(system, ResetType.FORCE_OFF)
    small.done(off)
    assert small.application.tasks.get(SYSTEM_ACTOR, inserting.task.id).state is TaskState.WAITING, "it keeps its place"
    gate.set()
    small.done(inserting)
    small.done(small.reset(system, reset_type))
    small.done(small.reset(system, ResetType.FORCE_OFF))
    eject(small, system)


def test_only_what_a_cd_drive_reads_is_taken(tmp_path):
    file = tmp_path / "x"
    for content, looks in ((b"", "empty"), (b"<!DOCTYPE html>", "HTML"), (b"x" * 100_000, "something else")):
        file.write_bytes(content)
        with pytest.raises(ImageRefused, match=looks):
            judge_medium(file, "http://server/x.iso", DriveKind.CD)
    for mark in (b"CD001", b"NSR02", b"NSR03"):
        file.write_bytes(bytes(19 * 2048 + 1) + mark + bytes(2048))
        for kind in (DriveKind.CD, DriveKind.USB):
            assert judge_medium(file, "http://server/x.iso", kind) == file.stat().st_size


def test_a_volume_whose_end_is_missing_is_refused(tmp_path):
    """As one is that its server was still writing: what came is all that there was."""
    file = tmp_path / "x"
    blocks = 1000
    head = b"\x01CD001\x01".ljust(80, b"\0") + blocks.to_bytes(4, "little") + blocks.to_bytes(4, "big")
    head = bytes(16 * 2048) + head.ljust(128, b"\0") + (2048).to_bytes(2, "little")
    for kept in (blocks, blocks - 2):  # copies of real discs lack their run-out
        file.write_bytes(head.ljust(kept * 2048, b"\0"))
        assert judge_medium(file, "http://server/x.iso", DriveKind.CD) == kept * 2048
    for kind in (DriveKind.CD, DriveKind.USB):
        file.write_bytes(head.ljust(blocks * 1024, b"\0"))
        with pytest.raises(
            ImageRefused, match=r"cut off: it has 1024000 bytes, and says of itself that it has 2048000"
        ):
            judge_medium(file, "http://server/x.iso", kind)


def test_a_stick_may_also_begin_as_a_disk_does(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(bytes(510) + b"\x55\xaa" + bytes(100_000))
    assert judge_medium(file, "http://server/x.img", DriveKind.USB) == file.stat().st_size
    with pytest.raises(ImageRefused, match="an image of a disk"):
        judge_medium(file, "http://server/x.img", DriveKind.CD)
    for content in (b"x" * 100_000, b"QFI\xfb" + bytes(506) + b"\x55\xaa" + bytes(100_000)):
        file.write_bytes(content)
        with pytest.raises(ImageRefused, match="no image of a USB stick"):
            judge_medium(file, "http://server/x.img", DriveKind.USB)


def test_a_sealed_text_is_opened_with_the_same_key_only(tmp_path):
    box = SecretBox(tmp_path / "secret.key")
    sealed = box.seal("Sesame-Street-17")
    assert "Sesame" not in sealed
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    again = SecretBox(tmp_path / "secret.key")
    assert again.open(sealed) == "Sesame-Street-17"
    assert again.fingerprint("x") == box.fingerprint("x") != SecretBox(tmp_path / "other").fingerprint("x")
    with pytest.raises(ConfigurationError, match="HF_SECRET_KEY_FILE"):
        SecretBox(tmp_path / "other").open(sealed)
    (tmp_path / "bad").write_text("no key")
    with pytest.raises(ConfigurationError, match="holds no key"):
        SecretBox(tmp_path / "bad").seal("x")


def test_the_key_can_lie_elsewhere(tmp_path):
    settings = load_settings({"HF_SECRET_KEY_FILE": str(tmp_path / "k")}, data_dir=tmp_path / "data")
    assert settings.secret_key == tmp_path / "k"
    assert file_name("ab") == "ab.iso"
