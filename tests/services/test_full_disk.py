"""The disk of the image store is full: the task says so and leaves nothing behind. The disk is a real one, a small tmpfs."""

from __future__ import annotations

import os
import subprocess

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.images import NewImage
from hawkfish.errors import StorageFull
from tests.support.file_server import FileServer, Plan
from tests.support.installation import KIB, MIB, open_installation

pytestmark = pytest.mark.slow  # each fills a file system of its own


@pytest.fixture
def small_store(tmp_path):
    """A folder of 2 MiB."""
    folder = tmp_path / "image-store"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a file system of its own is mounted by root only")
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("reserve", [0, 256 * KIB], ids=["full", "reserve"])
@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "unannounced"])
def test_a_full_disk_fails_the_task_with_the_reason_and_leaves_nothing(
    small_store, tmp_path, sqlite_url, reserve, chunked
):
    settings = {"image_reserve_bytes": reserve}
    with open_installation(tmp_path, sqlite_url, **settings) as installation, FileServer() as server:
        server.plans["/disk.img"] = Plan(b"x" * 4 * MIB, chunked=chunked)
        images = installation.application.images
        accepted = images.add(SYSTEM_ACTOR, NewImage(name="large", url=server.url("/disk.img")))
        assert isinstance(installation.failed(accepted), StorageFull)
        assert images.all(SYSTEM_ACTOR) == []

        waiting = images.add(SYSTEM_ACTOR, NewImage(name="sent"))
        with images.begin_upload(SYSTEM_ACTOR, waiting.subject_id, None) as upload:
            upload.write(b"x" * 512 * KIB)
            with pytest.raises(StorageFull):
                upload.write(b"x" * 4 * MIB)
        assert [path for path in small_store.rglob("*") if path.is_file()] == []

        server.plans["/small.img"] = Plan(b"x" * MIB)
        fits = images.add(SYSTEM_ACTOR, NewImage(name="small", url=server.url("/small.img")))
        installation.done(fits)
