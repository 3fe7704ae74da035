"""Disks made from images, and what deleting and pruning take away."""

from __future__ import annotations

import pytest

from hawkfish.builtin.simulated.control import FaultKind
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.machines import PowerState
from hawkfish.domain.storage import VolumeFormat
from hawkfish.domain.systems import NewDisk
from hawkfish.errors import (
    NotFound,
    PropertyConflict,
    PropertyOutOfRange,
)
from hawkfish.services.image_disks import ImageDisks
from tests.services.access import at_once
from tests.services.image_steps import content, copies, disk_bytes, prune, store, upload
from tests.support.installation import MIB, empty_qcow2

pytestmark = pytest.mark.slow  # images are written to disks again and again

# --- disks -----------------------------------------------------------------------------------------------------------


def test_a_disk_is_a_clone_of_its_image_and_grown_where_asked(installation):
    body = content(installation)
    image = upload(installation, body)
    disks = (NewDisk(image_id=str(image.id)), NewDisk(image_id=image.name.upper(), capacity_bytes=2 * len(body)))
    system = installation.create(disks=disks)
    assert [disk.image_digest for disk in system.disks] == [image.content.digest] * 2
    assert disk_bytes(installation, system) == body
    assert disk_bytes(installation, system, 1) == body + bytes(len(body))
    assert len(copies(installation)) == 1, "it was uploaded once"


def test_a_qcow2_image_makes_qcow2_disks(installation):
    image = upload(installation, empty_qcow2(3 * MIB) + content(installation))
    system = installation.create(disks=(NewDisk(image_id=image.name, capacity_bytes=5 * MIB),), power_on=True)
    assert (system.disks[0].format, system.disks[0].capacity_bytes) == (VolumeFormat.QCOW2, 5 * MIB)
    assert system.power_state is PowerState.ON, (
        "the copy of the image and the start were tasks of their own, both awaited"
    )


def test_many_systems_at_once_cost_one_upload(installation, monkeypatch):
    uploads = []
    upload_one = ImageDisks._upload

    def counted(self, *arguments):
        uploads.append(arguments)
        upload_one(self, *arguments)

    monkeypatch.setattr(ImageDisks, "_upload", counted)
    host = installation.host()
    image = upload(installation, content(installation))
    accepted = [
        installation.application.systems.create(
            SYSTEM_ACTOR, installation.new(host=host.name, disks=(NewDisk(image_id=image.name),))
        )
        for _ in range(6)
    ]
    for item in accepted:
        installation.done(item)
    systems = [installation.get(item) for item in accepted]
    assert len({disk_bytes(installation, system) for system in systems}) == 1
    assert len(copies(installation, host.name)) == 1
    assert len(uploads) == 1


def test_a_copy_that_somebody_took_away_is_made_anew(installation):
    host = installation.host()
    image = upload(installation, content(installation))
    first = installation.create(host=host.name, disks=(NewDisk(image_id=image.name),))
    driver = installation.application.drivers.driver(host.id)
    (copy,) = copies(installation, host.name)
    driver.delete_volume(f"hawkfish-{first.disks[0].pool_id}", copy)
    second = installation.create(host=host.name, disks=(NewDisk(image_id=image.name),))
    assert disk_bytes(installation, second) == disk_bytes(installation, first)


@pytest.mark.parametrize("operation", ["create_volume", "begin_upload", "finish_upload", "clone_volume"])
@pytest.mark.parametrize("after", [False, True])
def test_a_system_whose_image_cannot_be_written_leaves_nothing(installation, operation, after):
    host = installation.host()
    image = upload(installation, content(installation))
    installation.control.fail(operation, host=host.name, message="The disk is on fire.", after=after)
    accepted = installation.application.systems.create(
        SYSTEM_ACTOR, installation.new(host=host.name, disks=(NewDisk(image_id=image.name),))
    )
    assert "The disk is on fire." in installation.failed(accepted).message
    left = installation.volumes(host.name)
    assert left == (set() if operation != "clone_volume" else copies(installation, host.name))
    installation.create(host=host.name, disks=(NewDisk(image_id=image.name),))


@pytest.mark.parametrize(
    ("options", "error", "property_"),
    [
        ({"image_id": "nothing"}, PropertyConflict, "Disks/0/ImageId"),
        ({"capacity_bytes": 512}, PropertyOutOfRange, "Disks/0/CapacityBytes"),
        ({"format": VolumeFormat.QCOW2}, PropertyConflict, "Disks/0/Format"),
    ],
)
def test_a_disk_that_its_image_does_not_fit_is_refused(installation, options, error, property_):
    image = upload(installation, content(installation))
    with pytest.raises(error) as caught:
        installation.create(disks=(NewDisk(**{"image_id": image.name} | options),))
    assert caught.value.data["property"] == property_


# --- deleting and pruning --------------------------------------------------------------------------------------------


def test_a_deleted_image_takes_its_content_and_its_copies_along_and_no_disk(installation):
    host = installation.host()
    body = content(installation)
    image = upload(installation, body)
    system = installation.create(host=host.name, disks=(NewDisk(image_id=image.name),))
    installation.done(installation.application.images.delete(SYSTEM_ACTOR, image.id))
    with pytest.raises(NotFound):
        installation.application.images.get(SYSTEM_ACTOR, image.id)
    assert image.content.digest not in store(installation)[0]
    assert copies(installation, host.name) == set()
    assert disk_bytes(installation, system) == body


def test_a_content_of_two_images_goes_with_the_second(installation):
    body = content(installation)
    first, second = upload(installation, body), upload(installation, body)
    assert first.content == second.content
    for image, left in ((first, True), (second, False)):
        accepted = installation.application.images.delete(SYSTEM_ACTOR, image.id)
        installation.done(accepted)
        assert (image.content.digest in store(installation)[0]) is left


def test_pruning_keeps_what_is_needed_and_removes_what_a_crash_left(installation):
    host = installation.host()
    image = upload(installation, content(installation))
    system = installation.create(host=host.name, disks=(NewDisk(image_id=image.name),))
    folder = installation.application.settings.image_store / "sha256" / "ab"
    folder.mkdir(exist_ok=True)
    (folder / ("ab" * 32)).write_bytes(b"nobody's")
    prune(installation)
    assert image.content.digest in store(installation)[0]
    assert "ab" * 32 not in store(installation)[0]
    assert len(copies(installation, host.name)) == 1
    prune(installation, copies=True)
    assert copies(installation, host.name) == set()
    again = installation.create(host=host.name, disks=(NewDisk(image_id=image.name),))
    assert disk_bytes(installation, again) == disk_bytes(installation, system)


def test_a_system_that_is_being_made_keeps_its_image_although_it_is_deleted_and_pruned(installation):
    host = installation.host()
    body = content(installation)
    image = upload(installation, body)
    installation.control.fail("finish_upload", host=host.name, kind=FaultKind.HANG)
    accepted = installation.application.systems.create(
        SYSTEM_ACTOR, installation.new(host=host.name, disks=(NewDisk(image_id=image.name),))
    )
    deletion = installation.application.images.delete(SYSTEM_ACTOR, image.id)
    prune(installation, copies=True)
    assert image.content.digest in store(installation)[0]
    installation.control.clear_faults()
    installation.done(accepted)
    installation.done(deletion)
    assert disk_bytes(installation, installation.get(accepted)) == body
    prune(installation)
    assert image.content.digest not in store(installation)[0]
    assert copies(installation, host.name) == set()


@pytest.mark.slow
def test_creating_and_pruning_at_once_never_fail_each_other(installation):
    host = installation.host()
    body = content(installation)
    image = upload(installation, body)
    images, systems = installation.application.images, installation.application.systems

    def create():
        new = installation.new(host=host.name, disks=(NewDisk(image_id=image.name),))
        return systems.create(SYSTEM_ACTOR, new)

    for _ in range(4):
        outcomes = at_once(create, lambda: images.prune(SYSTEM_ACTOR, copies=True), create)
        for accepted in outcomes:
            installation.done(accepted)
        for accepted in (outcomes[0], outcomes[2]):
            assert disk_bytes(installation, installation.get(accepted)) == body


def test_a_host_with_copies_can_be_removed(installation):
    host = installation.host()
    image = upload(installation, content(installation))
    system = installation.create(host=host.name, disks=(NewDisk(image_id=image.name),))
    installation.done(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
    installation.application.hosts.remove(SYSTEM_ACTOR, host.id)
    with pytest.raises(NotFound):
        installation.application.hosts.get(SYSTEM_ACTOR, host.id)
