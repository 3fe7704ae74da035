"""What a new disk takes from its image: the content, the format and the least size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hawkfish.db import UnitOfWork
from hawkfish.domain.images import ImageContent
from hawkfish.domain.storage import ImageFacts
from hawkfish.domain.systems import NewDisk
from hawkfish.errors import PropertyConflict, PropertyOutOfRange
from hawkfish.services.image_store import CATALOGUE

SECTOR = 512


def find_catalogue_images(uow: UnitOfWork, disks: Sequence[NewDisk]) -> list[NewDisk]:
    """Looks up the images of the catalogue that disks name, in the transaction that begins to refer to them.

    Raises:
        PropertyConflict: There is no such image, or it has no content yet.
        PropertyOutOfRange: A disk is to be smaller than its image.
    """
    if any(disk.image_id is not None for disk in disks):
        uow.serialize_on([CATALOGUE])
    return [
        disk if disk.image_id is None else _with_image(uow, disk, disk.image_id, f"Disks/{position}")
        for position, disk in enumerate(disks)
    ]


def _with_image(uow: UnitOfWork, disk: NewDisk, image_id: str, path: str) -> NewDisk:
    image = uow.images.find(image_id)
    if image is None:
        raise PropertyConflict(
            f"There is no image {image_id!r}; see `hawkfish images ls`.", property=f"{path}/ImageId", value=image_id
        )
    if image.content is None:
        raise PropertyConflict(
            f"The image {image.name} is {image.state}; wait until it is Available.",
            property=f"{path}/ImageId",
            value=image_id,
        )
    return replace(
        sized_for(disk, image.content, path),
        image_digest=image.content.digest,
        image_bytes=image.content.file_bytes,
    )


def sized_for(disk: NewDisk, facts: ImageFacts | ImageContent, path: str) -> NewDisk:
    """The disk with the format of its image, and at least its size.

    Raises:
        PropertyConflict: It is to have another format.
        PropertyOutOfRange: It is to be smaller.
    """
    if disk.format not in {None, facts.format}:
        raise PropertyConflict(
            f"{path}/Format is {disk.format} and the image is {facts.format}; leave Format out.",
            property=f"{path}/Format",
            value=str(disk.format),
        )
    smallest = facts.virtual_bytes
    if disk.capacity_bytes is not None and disk.capacity_bytes < smallest:
        raise PropertyOutOfRange(
            f"{path}/CapacityBytes is {disk.capacity_bytes} and the image has {smallest}; ask for at least that.",
            property=f"{path}/CapacityBytes",
            value=disk.capacity_bytes,
        )
    return replace(disk, capacity_bytes=whole_sectors(disk.capacity_bytes or smallest), format=facts.format)


def whole_sectors(size: int) -> int:
    """A size in bytes, rounded up to what a disk can have."""
    return -(-size // SECTOR) * SECTOR
