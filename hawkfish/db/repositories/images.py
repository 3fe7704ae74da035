"""Images, their contents and copies, and what is known of downloads: rows to domain values and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, insert, or_, select, union, update
from sqlalchemy.exc import IntegrityError

from hawkfish.db.models.images import (
    DownloadRow,
    ImageContentRow,
    ImageCopyRow,
    ImageRow,
    ProfileRevisionRow,
    ProfileRow,
)
from hawkfish.db.models.systems import SystemRow, VolumeAttachmentRow, VolumeRow
from hawkfish.domain.images import Image, ImageContent, ImageCopy, ImageState, KnownDownload
from hawkfish.domain.messages import EventMessage
from hawkfish.domain.systems import SystemState
from hawkfish.errors import AlreadyExists, InUse, NotFound

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork


class ImageRepository:
    """Images and contents of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    # --- images --------------------------------------------------------------------------------------------------

    def all(self) -> list[Image]:
        """All images in the order of their names."""
        rows = self._session.execute(
            select(ImageRow, ImageContentRow)
            .outerjoin(ImageContentRow, ImageContentRow.digest == ImageRow.digest)
            .order_by(ImageRow.name_key)
        )
        return [_to_image(row, content) for row, content in rows]

    def find(self, id_or_name: UUID | str) -> Image | None:
        """An image by its id, or by its name whatever the case; the id wins."""
        text = str(id_or_name).lower()
        rows = self._session.execute(
            select(ImageRow, ImageContentRow)
            .outerjoin(ImageContentRow, ImageContentRow.digest == ImageRow.digest)
            .where(or_(ImageRow.id == text, ImageRow.name_key == text))
        ).all()
        for row, content in sorted(rows, key=lambda found: found[0].id != text):
            return _to_image(row, content)
        return None

    def get(self, id_or_name: UUID | str) -> Image:
        """The image.

        Raises:
            NotFound: There is none.
        """
        image = self.find(id_or_name)
        if image is None:
            raise NotFound(
                f"There is no image {id_or_name}; see `hawkfish images ls`.", kind="HawkFishImage", id=str(id_or_name)
            )
        return image

    def tell(self, message: EventMessage, image: Image, *, actor: str | None = None) -> None:
        """Writes down what happened to an image."""
        self._uow.events.add(message, f"image:{image.id}", actor=actor, data={"name": image.name})

    def add(self, image: Image) -> None:
        """Adds an image.

        Raises:
            AlreadyExists: The name is taken.
        """
        taken = AlreadyExists(
            f"An image named {image.name} exists; choose another name.",
            kind="HawkFishImage",
            property="Name",
            value=image.name,
        )
        if self._session.scalar(select(ImageRow.id).where(ImageRow.name_key == image.name.lower())) is not None:
            raise taken
        try:
            with self._session.begin_nested():
                self._session.execute(
                    insert(ImageRow).values(
                        id=str(image.id),
                        name=image.name,
                        name_key=image.name.lower(),
                        description=image.description,
                        state=image.state,
                        url=image.url,
                        local_path=image.local_path,
                        verify_certificate=image.verify_certificate,
                        expected_digest=image.expected_digest,
                        digest=None if image.content is None else image.content.digest,
                        created_at=self._uow.now(),
                        created_by=image.created_by,
                    )
                )
        except IntegrityError as error:
            raise taken from error  # another took it in this moment

    def write(self, image_id: UUID, expected_version: int | None = None, **values: Any) -> int:
        """Sets columns and raises the version; see `UnitOfWork.write_version`."""
        return self._uow.write_version(ImageRow, str(image_id), expected_version, **values)

    def remove(self, image_id: UUID, expected_version: int | None = None) -> None:
        """Removes an image that no profile names; its content stays until it is pruned.

        Raises:
            InUse: A profile names it.
            PreconditionFailed: It has another version by now.
        """
        self.write(image_id, expected_version)
        profile = self._session.scalar(
            select(ProfileRow.name)
            .join(ProfileRevisionRow, ProfileRevisionRow.profile_id == ProfileRow.id)
            .where(ProfileRevisionRow.image_id == str(image_id))
            .limit(1)
        )
        if profile is not None:
            raise InUse(
                f"The profile {profile} makes disks from this image; delete the profile first.",
                by=f"the profile {profile}",
                id=str(image_id),
            )
        self._session.execute(delete(ImageRow).where(ImageRow.id == str(image_id)))

    # --- contents ------------------------------------------------------------------------------------------------

    def find_content(self, digest: str) -> ImageContent | None:
        """A content that the store has."""
        row = self._session.get(ImageContentRow, digest)
        return None if row is None else _to_content(row)

    def add_content(self, content: ImageContent) -> None:
        """Records a content; one that is known already stays as it is."""
        if self._session.get(ImageContentRow, content.digest) is None:
            self._session.execute(
                insert(ImageContentRow).values(
                    digest=content.digest,
                    format=content.format,
                    virtual_bytes=content.virtual_bytes,
                    file_bytes=content.file_bytes,
                    created_at=self._uow.now(),
                )
            )

    def remove_content(self, digest: str) -> None:
        """Forgets a content, and all downloads that gave it."""
        self._session.execute(delete(DownloadRow).where(DownloadRow.digest == digest))
        self._session.execute(delete(ImageContentRow).where(ImageContentRow.digest == digest))

    def unneeded_contents(self, digest: str | None = None) -> list[str]:
        """Contents that neither an image nor a system that is being made refers to; all of them, or just this one."""
        content = ImageContentRow.digest
        statement = select(content).where(~_has_image(content), ~_is_being_cloned(content)).order_by(content)
        if digest is not None:
            statement = statement.where(content == digest)
        return list(self._session.scalars(statement))

    # --- downloads -----------------------------------------------------------------------------------------------

    def find_download(self, url_key: str) -> KnownDownload | None:
        """What the last download of a URL gave, if the store still has it."""
        row = self._session.get(DownloadRow, url_key)
        if row is None:
            return None
        return KnownDownload(
            digest=row.digest, etag=row.etag, last_modified=row.last_modified, fetched_at=row.fetched_at
        )

    def record_download(self, url_key: str, digest: str, *, etag: str | None, last_modified: str | None) -> None:
        """Records what a download gave."""
        self._session.execute(delete(DownloadRow).where(DownloadRow.url_key == url_key))
        self._session.execute(
            insert(DownloadRow).values(
                url_key=url_key, digest=digest, etag=etag, last_modified=last_modified, fetched_at=self._uow.now()
            )
        )


class ImageCopyRepository:
    """Copies of contents on pools of hosts, of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._session = uow.session

    def find(self, pool_id: UUID, host_id: UUID, digest: str) -> ImageCopy | None:
        """The copy, whole or not."""
        row = self._session.scalars(select(ImageCopyRow).where(*_is(pool_id, host_id, digest))).one_or_none()
        return None if row is None else _to_copy(row)

    def room(self) -> dict[tuple[UUID, UUID], dict[str, int]]:
        """Bytes of the copies on each pool of a host, by digest; those that systems being made will have made are among them."""
        coming = (
            select(VolumeRow.pool_id, SystemRow.host_id, VolumeRow.image_digest)
            .join(VolumeAttachmentRow, VolumeAttachmentRow.volume_id == VolumeRow.id)
            .join(SystemRow, SystemRow.id == VolumeAttachmentRow.system_id)
            .where(VolumeRow.image_digest.is_not(None), SystemRow.state == SystemState.CREATING)
        )
        there = union(select(ImageCopyRow.pool_id, ImageCopyRow.host_id, ImageCopyRow.digest), coming).subquery()
        rows = self._session.execute(
            select(there.c.pool_id, there.c.host_id, ImageContentRow.digest, ImageContentRow.file_bytes).join(
                ImageContentRow, ImageContentRow.digest == there.c.digest
            )
        )
        found: dict[tuple[UUID, UUID], dict[str, int]] = {}
        for pool, host, digest, length in rows:
            found.setdefault((UUID(pool), UUID(host)), {})[digest] = length
        return found

    def begin(self, copy: ImageCopy) -> None:
        """Records that the copy is being made (again)."""
        if not self._write(copy, ready=False):
            self._session.execute(
                insert(ImageCopyRow).values(
                    pool_id=str(copy.pool_id),
                    host_id=str(copy.host_id),
                    digest=copy.digest,
                    volume_name=copy.volume_name,
                    ready=False,
                )
            )

    def finish(self, copy: ImageCopy) -> None:
        """Records that the copy is whole."""
        self._write(copy, ready=True)

    def doubt(self, copy: ImageCopy) -> None:
        """Records that the copy is not to be cloned from any more."""
        self._write(copy, ready=False)

    def _write(self, copy: ImageCopy, *, ready: bool) -> bool:
        where = _is(copy.pool_id, copy.host_id, copy.digest)
        found = self._session.scalar(select(exists().where(*where)))
        if found:
            self._session.execute(
                update(ImageCopyRow).where(*where).values(ready=ready).execution_options(synchronize_session="fetch")
            )
        return bool(found)

    def remove(self, copy: ImageCopy) -> None:
        """Forgets a copy whose volume is gone."""
        self._session.execute(delete(ImageCopyRow).where(*_is(copy.pool_id, copy.host_id, copy.digest)))

    def removable(self, digest: str | None = None, *, with_images: bool = False) -> list[ImageCopy]:
        """Copies that no system that is being made is cloned from.

        Args:
            digest: Only copies of this content.
            with_images: Also those of contents that the catalogue still has.
        """
        statement = select(ImageCopyRow).where(~_is_being_cloned(ImageCopyRow.digest))
        if not with_images:
            statement = statement.where(~_has_image(ImageCopyRow.digest))
        if digest is not None:
            statement = statement.where(ImageCopyRow.digest == digest)
        ordered = statement.order_by(ImageCopyRow.digest, ImageCopyRow.pool_id, ImageCopyRow.host_id)
        return [_to_copy(row) for row in self._session.scalars(ordered)]


def _is(pool_id: UUID, host_id: UUID, digest: str) -> tuple[ColumnElement[bool], ...]:
    return (
        ImageCopyRow.pool_id == str(pool_id),
        ImageCopyRow.host_id == str(host_id),
        ImageCopyRow.digest == digest,
    )


def _has_image(digest: Any) -> ColumnElement[bool]:
    return exists().where(ImageRow.digest == digest)


def _is_being_cloned(digest: Any) -> ColumnElement[bool]:
    """Whether a system that is being made has a disk that is made from the content."""
    return exists().where(
        VolumeRow.image_digest == digest,
        VolumeAttachmentRow.volume_id == VolumeRow.id,
        SystemRow.id == VolumeAttachmentRow.system_id,
        SystemRow.state == SystemState.CREATING,
    )


def _to_content(row: ImageContentRow) -> ImageContent:
    return ImageContent(
        digest=row.digest, format=row.format, virtual_bytes=row.virtual_bytes, file_bytes=row.file_bytes
    )


def _to_copy(row: ImageCopyRow) -> ImageCopy:
    return ImageCopy(
        digest=row.digest,
        pool_id=UUID(row.pool_id),
        host_id=UUID(row.host_id),
        volume_name=row.volume_name,
        ready=row.ready,
    )


def _to_image(row: ImageRow, content: ImageContentRow | None) -> Image:
    return Image(
        id=UUID(row.id),
        name=row.name,
        state=row.state,
        description=row.description,
        url=row.url,
        local_path=row.local_path,
        verify_certificate=row.verify_certificate,
        expected_digest=row.expected_digest,
        content=_to_content(content) if content is not None and row.state is ImageState.AVAILABLE else None,
        created_at=row.created_at,
        created_by=row.created_by,
        version=row.version,
    )
