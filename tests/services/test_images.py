"""Images: added, downloaded, uploaded, and what is told of them."""

from __future__ import annotations

import hashlib
import re
import struct
import threading
import time

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.images import ImageState, NewImage
from hawkfish.domain.profiles import ProfileShape
from hawkfish.domain.storage import VolumeFormat
from hawkfish.domain.systems import NewDisk
from hawkfish.errors import (
    Aborted,
    AlreadyExists,
    BodyTooLarge,
    Conflict,
    DownloadFailed,
    ImageRefused,
    InvalidRequest,
    NotFound,
    NotPermitted,
    PropertyConflict,
    PropertyError,
)
from hawkfish.testing.waiting import wait_until
from tests.services.access import at_once
from tests.services.image_steps import add, added, content, store, upload
from tests.support.file_server import FileServer, Plan
from tests.support.installation import KIB, MIB, READER, empty_qcow2


@pytest.fixture
def server():
    with FileServer() as running:
        yield running


# --- adding ----------------------------------------------------------------------------------------------------------


def test_an_image_is_downloaded_inspected_and_kept_by_its_digest(installation, server):
    body = content(installation)
    server.plans["/a.qcow2"] = Plan(body)
    image = added(installation, url=server.url("/a.qcow2?signature=secret"), description="a disk")
    assert (image.state, image.content.format) == (ImageState.AVAILABLE, VolumeFormat.RAW), "the name says nothing"
    assert image.content.digest == hashlib.sha256(body).hexdigest()
    assert (image.content.file_bytes, image.content.virtual_bytes) == (len(body), len(body))
    folder = installation.application.settings.image_store
    assert (folder / "sha256" / image.content.digest[:2] / image.content.digest).read_bytes() == body
    assert store(installation)[1] == []
    assert installation.audited(f"image:{image.id}") == [("images.add", "allowed")]
    rows = installation.application.audit.list(SYSTEM_ACTOR, limit=5)
    assert "secret" not in str(rows)


def test_the_format_is_what_the_bytes_say(installation, server):
    server.plans["/disk.raw"] = Plan(empty_qcow2(7 * MIB))
    image = added(installation, url=server.url("/disk.raw"))
    assert (image.content.format, image.content.virtual_bytes) == (VolumeFormat.QCOW2, 7 * MIB)


def test_a_file_of_the_service_s_machine_is_copied_and_may_go_then(installation):
    path = installation.images / installation.name("disk")
    path.write_bytes(content(installation))
    image = added(installation, local_path=path.name)
    path.unlink()
    assert image.content.digest in store(installation)[0]
    with pytest.raises(PropertyConflict):
        add(installation, local_path="/etc/passwd")


def _qcow2(**fields: int) -> bytes:
    header = bytearray(empty_qcow2(MIB))
    if "backing" in fields:
        header[512:523] = b"/etc/shadow"
        header[8:20] = struct.pack(">QI", 512, 11)
    if "data_file" in fields:
        header[72:80] = struct.pack(">Q", 4)
    if "size" in fields:
        header[24:32] = struct.pack(">Q", fields["size"])
    return bytes(header)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (_qcow2(backing=1), "backing file"),
        (_qcow2(data_file=1), "another file"),
        (_qcow2(size=2**60), "64 TiB"),
        (_qcow2()[:100_000], "cut off"),
        (b"<<< Oracle VM VirtualBox", "VDI"),
        (b"\x1f\x8b\x08" + bytes(KIB), "gzip"),
        (b"# Disk DescriptorFile\n", "names other files"),
        (b"", "0 bytes"),
    ],
    ids=["backing-file", "data-file", "absurd", "truncated", "vdi", "gzip", "descriptor", "empty"],
)
@pytest.mark.parametrize("way", ["url", "upload"])
def test_what_is_no_usable_image_is_refused_and_leaves_nothing(installation, server, body, told, way):
    before = everything(installation)
    if way == "url":
        server.plans["/disk.img"] = Plan(body)
        error = installation.failed(add(installation, url=server.url("/disk.img")))
        assert isinstance(error, ImageRefused)
        assert told in error.message
        assert everything(installation) == before
    else:
        with pytest.raises(ImageRefused, match=told):
            upload(installation, body)
        assert store(installation)[1] == []
        assert store(installation)[0] == before[1]


def everything(installation):
    ids = [image.id for image in installation.application.images.all(SYSTEM_ACTOR)]
    whole, partial = store(installation)
    return ids, whole, partial


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "error", "told"),
    [
        ({"status": 404}, DownloadFailed, "404"),
        ({"cut_after": 1000}, DownloadFailed, "ended|closed"),
        ({"endless": True}, DownloadFailed, "most that is taken"),
        ({"drip_seconds": 0.05}, DownloadFailed, "are the least"),
        ({"cut_after": 1000, "silent": True}, DownloadFailed, "sent nothing"),
        ({"status": 302, "location": "http://169.254.169.254/"}, DownloadFailed, "metadata"),
        ({"status": 302, "location": "/disk.img"}, DownloadFailed, "more than 5 times"),
    ],
    ids=["404", "truncated", "endless", "slow", "silent", "metadata", "loop"],
)
def test_a_server_that_does_not_do_as_it_should_fails_the_task_and_leaves_nothing(
    installation, server, plan, error, told, *, request
):
    if not plan.keys().isdisjoint({"drip_seconds", "silent"}):
        request.getfixturevalue("impatient")
    before = everything(installation)
    server.plans["/disk.img"] = Plan(content(installation), **plan)
    failure = installation.failed(add(installation, url=server.url("/disk.img")))
    assert isinstance(failure, error)
    assert re.search(told, failure.message), failure.message
    assert everything(installation) == before


def test_a_wrong_checksum_fails_the_task_and_leaves_nothing(installation, server):
    before = everything(installation)
    server.plans["/disk.img"] = Plan(content(installation))
    error = installation.failed(add(installation, url=server.url("/disk.img"), digest="ab" * 32))
    assert isinstance(error, ImageRefused)
    assert "ab" * 32 in error.message
    assert everything(installation) == before


def test_a_download_that_is_cancelled_leaves_nothing(installation, server):
    before = everything(installation)
    half, gate = threading.Event(), threading.Event()
    server.plans["/disk.img"] = Plan(content(installation, 4 * MIB), half=half, gate=gate)
    accepted = add(installation, url=server.url("/disk.img"))
    assert half.wait(30)
    installation.application.tasks.cancel(SYSTEM_ACTOR, accepted.task.id)
    assert isinstance(installation.failed(accepted), Aborted)
    assert everything(installation) == before


def test_an_image_that_is_deleted_while_it_is_downloaded_leaves_nothing(installation, server):
    before = everything(installation)
    half, gate = threading.Event(), threading.Event()
    server.plans["/disk.img"] = Plan(content(installation, 4 * MIB), half=half, gate=gate)
    accepted = add(installation, url=server.url("/disk.img"))
    assert half.wait(30)
    image = installation.application.images.get(SYSTEM_ACTOR, accepted.subject_id)
    assert (image.state, image.content) == (ImageState.FETCHING, None)
    installation.application.images.delete(SYSTEM_ACTOR, image.id)
    installation.failed(accepted)
    assert everything(installation) == before


def test_an_image_that_is_on_its_way_makes_no_disk(installation, server):
    half, gate = threading.Event(), threading.Event()
    server.plans["/disk.img"] = Plan(content(installation), half=half, gate=gate)
    accepted = add(installation, url=server.url("/disk.img"))
    assert half.wait(30)
    with pytest.raises(PropertyConflict, match="Fetching"):
        installation.create(disks=(NewDisk(image_id=str(accepted.subject_id)),))
    gate.set()
    installation.done(accepted)


@pytest.mark.parametrize(
    ("options", "property_"),
    [
        ({"url": "ftp://server/x"}, "URL"),
        ({"url": "http://me:secret@server/x"}, "URL"),
        ({"url": "http://server/x", "local_path": "x"}, "LocalPath"),
        ({"digest": "XYZ"}, "SHA256"),
    ],
)
def test_what_cannot_be_is_refused_by_its_property_at_once(installation, options, property_):
    before = everything(installation)
    with pytest.raises(PropertyError) as caught:
        add(installation, **options)
    assert caught.value.data["property"] == property_
    assert "secret" not in caught.value.message
    assert everything(installation) == before


def test_names_are_taken_once_whatever_the_case(installation):
    image = added(installation)
    with pytest.raises(AlreadyExists):
        add(installation, name=image.name.upper())
    assert installation.application.images.get(READER, image.name.upper()).id == image.id
    with pytest.raises(NotPermitted):
        installation.application.images.add(READER, NewImage(name=installation.name()))
    with pytest.raises(NotFound):
        installation.application.images.get(READER, "nothing")


# --- once only -------------------------------------------------------------------------------------------------------


def test_the_same_url_asked_for_by_many_is_downloaded_once(installation, server):
    half, gate = threading.Event(), threading.Event()
    server.plans["/disk.img"] = Plan(content(installation), half=half, gate=gate)
    outcomes = at_once(*[lambda: add(installation, url=server.url("/disk.img"))] * 5)
    assert half.wait(30)
    gate.set()
    for accepted in outcomes:
        installation.done(accepted)
    digests = {installation.application.images.get(SYSTEM_ACTOR, item.subject_id).content.digest for item in outcomes}
    assert len(digests) == 1
    assert server.count("/disk.img") == 1


def test_a_request_that_is_repeated_joins_the_first(installation, server):
    half, gate = threading.Event(), threading.Event()
    server.plans["/disk.img"] = Plan(content(installation), half=half, gate=gate)
    name = installation.name("image")
    first = add(installation, name=name, url=server.url("/disk.img"))
    assert half.wait(30)
    again = add(installation, name=name, url=server.url("/disk.img"))
    assert (again.subject_id, again.task.id) == (first.subject_id, first.task.id)
    with pytest.raises(AlreadyExists):
        add(installation, name=name, url=server.url("/other.img"))
    gate.set()
    installation.done(first)


def test_a_known_url_is_asked_whether_it_changed(installation, server):
    plan = server.plans["/disk.img"] = Plan(content(installation), etag='"v1"')
    first = added(installation, url=server.url("/disk.img"))
    second = added(installation, url=server.url("/disk.img"))
    assert second.content == first.content
    assert [request.get("If-None-Match") for request in server.requests] == [None, '"v1"']
    assert plan.sent == len(plan.content)
    assert store(installation)[1] == []
    plan.content, plan.etag = content(installation), '"v2"'
    assert added(installation, url=server.url("/disk.img")).content != first.content


def test_a_content_that_is_there_is_not_fetched_again(installation, server):
    server.plans["/disk.img"] = Plan(content(installation))
    first = added(installation, url=server.url("/disk.img"))
    again = add(installation, url=server.url("/elsewhere.img"), digest=first.content.digest)
    assert again.task is None
    assert installation.application.images.get(SYSTEM_ACTOR, again.subject_id).content == first.content
    assert server.count("/elsewhere.img") == 0


# --- uploads ---------------------------------------------------------------------------------------------------------


def test_an_upload_becomes_the_content_of_its_image(installation):
    body = content(installation)
    image = upload(installation, body, announced=len(body), digest=hashlib.sha256(body).hexdigest())
    assert (image.state, image.content.file_bytes) == (ImageState.AVAILABLE, len(body))
    assert store(installation)[1] == []
    with pytest.raises(Conflict, match="takes no upload"):
        installation.application.images.begin_upload(SYSTEM_ACTOR, image.id, None)
    assert ("images.upload", "allowed") in installation.audited(f"image:{image.id}")


def test_half_an_upload_leaves_nothing_and_can_be_sent_again(installation):
    body = content(installation)
    image = added(installation)
    before = store(installation)
    with installation.application.images.begin_upload(SYSTEM_ACTOR, image.id, len(body)) as running:
        running.write(body[:1000])
        assert len(store(installation)[1]) == 1
        with pytest.raises(InvalidRequest, match="ended after 1000"):
            running.finish()
    assert store(installation) == before
    with installation.application.images.begin_upload(SYSTEM_ACTOR, image.id, len(body)) as running:
        running.write(body)
        assert running.finish().state is ImageState.AVAILABLE


def test_an_upload_with_another_checksum_is_refused(installation):
    before = store(installation)
    with pytest.raises(ImageRefused, match="damaged"):
        upload(installation, content(installation), digest="cd" * 32)
    assert store(installation) == before


def test_an_upload_that_is_too_large_is_refused_before_and_while_it_comes(installation):
    image = added(installation)
    images = installation.application.images
    with pytest.raises(BodyTooLarge):
        images.begin_upload(SYSTEM_ACTOR, image.id, 8 * MIB + 1)
    with images.begin_upload(SYSTEM_ACTOR, image.id, None) as running:
        running.write(bytes(8 * MIB))
        with pytest.raises(BodyTooLarge):
            running.write(b"1")
    assert store(installation)[1] == []


def test_of_two_uploads_to_one_image_one_becomes_its_content(installation):
    image = added(installation)
    bodies = [content(installation), content(installation)]

    def send(body):
        with installation.application.images.begin_upload(SYSTEM_ACTOR, image.id, len(body)) as running:
            running.write(body)
            return running.finish()

    outcomes = at_once(lambda: send(bodies[0]), lambda: send(bodies[1]))
    assert sorted(type(item).__name__ for item in outcomes) == ["Conflict", "Image"]
    (made,) = (item for item in outcomes if not isinstance(item, Exception))
    assert installation.application.images.get(SYSTEM_ACTOR, image.id).content == made.content
    assert store(installation)[1] == []


def test_what_a_dead_process_left_of_an_upload_is_removed_and_a_living_one_stays(installation):
    image = added(installation)
    folder = installation.application.settings.image_store / "partial"
    with installation.application.images.begin_upload(SYSTEM_ACTOR, image.id, None) as running:
        running.write(bytes(KIB))
        (folder / "upload-dead").write_bytes(b"half")
        (folder / "0b5c7b9e-gone").write_bytes(b"half")
        (folder / "0b5c7b9e-gone.json").write_bytes(b"{}")
        installation.application.images.purge()
        assert len(store(installation)[1]) == 1
        running.write(bytes(KIB))
        assert running.finish().content.file_bytes == 2 * KIB


# --- events ----------------------------------------------------------------------------------------------------------


def told(installation, subject) -> list[str]:
    """Names of the events of a subject, the first first."""
    with installation.application.database.read() as uow:
        events = uow.events.page(limit=20, subject=subject)
    return [event.message_id.rpartition(".")[2] for event in reversed(events)]


def test_what_becomes_of_an_image_is_told(installation, server):
    image = upload(installation, content(installation))
    installation.done(installation.application.images.delete(SYSTEM_ACTOR, image.id))
    assert told(installation, f"image:{image.id}") == ["ResourceCreated", "ResourceChanged", "ResourceRemoved"]
    server.plans["/disk.img"] = Plan(content(installation))
    image = added(installation, url=server.url("/disk.img"))
    assert told(installation, f"image:{image.id}") == ["ResourceCreated", "ResourceChanged"]
    failed = add(installation, url=server.url("/absent.img"))
    installation.failed(failed)
    assert told(installation, f"image:{failed.subject_id}") == ["ResourceCreated", "ResourceRemoved"]


def test_what_becomes_of_a_profile_is_told(installation):
    profiles = installation.application.profiles
    shape = ProfileShape(vcpus=1, memory_mib=64)
    made = profiles.create(SYSTEM_ACTOR, installation.name("profile"), shape, image=None, description="")
    profiles.revise(SYSTEM_ACTOR, made.id, {"vcpus": 2})
    profiles.delete(SYSTEM_ACTOR, made.id)
    assert told(installation, f"profile:{made.id}") == ["ResourceCreated", "ResourceChanged", "ResourceRemoved"]


def test_a_download_from_a_silent_server_is_cancelled_at_once(installation, server):
    before = everything(installation)
    server.plans["/disk.img"] = Plan(b"", mute=True)
    accepted = add(installation, url=server.url("/disk.img"))
    wait_until(lambda: server.count("/disk.img"), "the server being asked")
    begun = time.monotonic()
    installation.application.tasks.cancel(SYSTEM_ACTOR, accepted.task.id)
    assert isinstance(installation.failed(accepted), Aborted)
    assert time.monotonic() - begun < 10, "half as long as the server may be silent"
    assert everything(installation) == before
