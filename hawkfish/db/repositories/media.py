"""Virtual media: drives, sources, contents of the cache and their copies on hosts; rows to domain values and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, bindparam, delete, exists, func, insert, select, update

from hawkfish.db.models.media import MediaContentRow, MediaCopyRow, MediaSourceRow, VirtualMediaRow
from hawkfish.db.models.tasks import TaskRow
from hawkfish.db.prepared import Prepared, insert_into
from hawkfish.domain.machines import DriveSpec
from hawkfish.domain.media import DriveMedia, MediaContent, MediaCopy, MediaSource
from hawkfish.errors import PreconditionFailed

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork

MEDIA, SOURCES = cast("Table", VirtualMediaRow.__table__), cast("Table", MediaSourceRow.__table__)
CONTENTS, COPIES = cast("Table", MediaContentRow.__table__), cast("Table", MediaCopyRow.__table__)
FIELDS = tuple(MediaSource.__dataclass_fields__)

_ACCEPTED, _HELD = SOURCES.alias("accepted"), SOURCES.alias("held")
DRIVES = Prepared(
    select(
        MEDIA.c.drive_id,
        MEDIA.c.held_digest.label("content"),
        MEDIA.c.task_id,
        MEDIA.c.verify_certificate.label("verify"),
        MEDIA.c.version,
        *(_ACCEPTED.c[name].label(f"accepted_{name}") for name in FIELDS),
        *(_HELD.c[name].label(f"held_{name}") for name in FIELDS),
    )
    .select_from(
        MEDIA.outerjoin(_ACCEPTED, _ACCEPTED.c.key == MEDIA.c.source_key).outerjoin(
            _HELD, _HELD.c.key == MEDIA.c.held_key
        )
    )
    .where(MEDIA.c.system_id == bindparam("of_system"))
)
SOURCE = Prepared(select(*(SOURCES.c[name] for name in FIELDS)).where(SOURCES.c.key == bindparam("of_key")))
NEW_SOURCE = Prepared(insert_into(SOURCES, "key", "url", "user_name", "sealed_password", "verify_certificate"))
CONTENT = Prepared(select(CONTENTS.c.digest, CONTENTS.c.file_bytes).where(CONTENTS.c.digest == bindparam("of_digest")))
USE_CONTENT = Prepared(
    update(CONTENTS)
    .where(CONTENTS.c.digest == bindparam("of_digest"))
    .values(used_at=bindparam("now", type_=CONTENTS.c.used_at.type))
)
COPY = Prepared(
    select(COPIES.c.ready).where(COPIES.c.host_id == bindparam("of_host"), COPIES.c.digest == bindparam("of_digest"))
)


class MediaRepository:
    """Virtual media of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    # --- drives --------------------------------------------------------------------------------------------------

    def drives(self, system_id: UUID, specs: Sequence[DriveSpec]) -> list[DriveMedia]:
        """What is in the drives of a system; those that were never used are empty."""
        found = {row.drive_id: row for row in DRIVES.rows(self._uow.connection, {"of_system": str(system_id)})}
        return [_to_drive(system_id, spec, found.get(spec.id)) for spec in specs]

    def drive(self, system_id: UUID, spec: DriveSpec) -> DriveMedia:
        """What is in one drive."""
        return self.drives(system_id, [spec])[0]

    def write_drive(self, drive: DriveMedia, expected_version: int | None = None, **values: Any) -> None:
        """Sets columns of a drive's row, which is made where it is used for the first time, and raises its version.

        Raises:
            PreconditionFailed: It has another version by now.
        """
        if expected_version not in {None, drive.version}:
            raise PreconditionFailed(
                f"The drive {drive.drive.id} was changed by another; read it again.",
                kind="VirtualMedia",
                id=drive.drive.id,
            )
        if not self._write(_is_drive(drive.system_id, drive.drive.id), **values):
            given = {"system_id": str(drive.system_id), "drive_id": drive.drive.id, **values}
            self._uow.connection.execute(insert(MEDIA).values(**given, version=drive.version + 1))

    def settle(self, system_id: UUID, drive_id: str, task_id: str, *, key: str | None, digest: str | None) -> None:
        """Records what a task has brought into a drive; what was accepted since stays accepted."""
        where = _is_drive(system_id, drive_id)
        self._write(where, held_key=key, held_digest=digest)
        self._write((*where, MEDIA.c.task_id == task_id), task_id=None, source_key=key)

    def give_back(self, system_id: UUID, drive_id: str, task_id: str) -> bool:
        """Has a drive show what it holds again, after a task has failed; False if something else was accepted since."""
        where = (*_is_drive(system_id, drive_id), MEDIA.c.task_id == task_id)
        return self._write(where, task_id=None, source_key=MEDIA.c.held_key)

    def _write(self, where: Sequence[ColumnElement[bool]], **values: Any) -> bool:
        statement = update(MEDIA).where(*where).values(**values, version=MEDIA.c.version + 1)
        return bool(self._uow.connection.execute(statement).rowcount)

    # --- sources -------------------------------------------------------------------------------------------------

    def source(self, key: str) -> MediaSource | None:
        """A source by its key."""
        row = SOURCE.row(self._uow.connection, {"of_key": key})
        return None if row is None else MediaSource(**{name: getattr(row, name) for name in FIELDS})

    def put_source(self, source: MediaSource) -> None:
        """Records a source that is to be fetched (again), with its password."""
        given = {name: getattr(source, name) for name in ("url", "user_name", "sealed_password", "verify_certificate")}
        if self.source(source.key) is None:
            NEW_SOURCE.change(self._uow.connection, {"key": source.key, **given})
        else:
            self._write_source(source.key, sealed_password=source.sealed_password)

    def record_fetch(self, key: str, digest: str, *, etag: str | None, last_modified: str | None) -> None:
        """Records what a source has given."""
        self._write_source(key, digest=digest, etag=etag, last_modified=last_modified, fetched_at=self._uow.now())

    def forget_password(self, key: str) -> None:
        """Forgets the password of a source, which has been used."""
        self._write_source(key, sealed_password=None)

    def _write_source(self, key: str, **values: Any) -> None:
        self._uow.connection.execute(update(SOURCES).where(SOURCES.c.key == key).values(**values))

    def forget_sources(self, kinds: Sequence[str]) -> None:
        """Forgets sources that no drive names and of which the cache has nothing, if none of the tasks on media is left.

        Args:
            kinds: The kinds of these tasks.
        """
        if self._oldest_task(kinds) is not None:
            return
        used = exists().where(
            (VirtualMediaRow.source_key == MediaSourceRow.key) | (VirtualMediaRow.held_key == MediaSourceRow.key)
        )
        self._session.execute(
            delete(MediaSourceRow)
            .where(MediaSourceRow.digest.is_(None), ~used)
            .execution_options(synchronize_session=False)
        )

    # --- contents ------------------------------------------------------------------------------------------------

    def content(self, digest: str) -> MediaContent | None:
        """A content that the cache has."""
        row = CONTENT.row(self._uow.connection, {"of_digest": digest})
        return None if row is None else MediaContent(digest=row.digest, file_bytes=row.file_bytes)

    def digests(self) -> set[str]:
        """All contents that the cache has."""
        return set(self._session.scalars(select(MediaContentRow.digest)))

    def total_bytes(self) -> int:
        """Bytes of all contents."""
        return int(self._session.scalar(select(func.sum(MediaContentRow.file_bytes))) or 0)

    def add_content(self, content: MediaContent) -> None:
        """Records a content, or that one that is known was used."""
        if not self.use_content(content.digest):
            self._session.execute(
                insert(MediaContentRow).values(
                    digest=content.digest, file_bytes=content.file_bytes, used_at=self._uow.now()
                )
            )

    def use_content(self, digest: str) -> bool:
        """Records that a content is used now; False if there is none."""
        return bool(USE_CONTENT.change(self._uow.connection, {"of_digest": digest, "now": self._uow.now()}))

    def next_to_go(self, kinds: Sequence[str]) -> MediaContent | None:
        """The content that was not used for longest, of those that nobody needs.

        Needed is what a drive holds, and what was used since the oldest of the tasks on media that have not ended was accepted:
        among that is what they are about to insert.

        Args:
            kinds: The kinds of these tasks.
        """
        row = self._session.execute(_unneeded(self._oldest_task(kinds)).limit(1)).one_or_none()
        return None if row is None else MediaContent(digest=row.digest, file_bytes=row.file_bytes)

    def _oldest_task(self, kinds: Sequence[str]) -> datetime | None:
        oldest = select(func.min(TaskRow.created_at)).where(TaskRow.ended_at.is_(None), TaskRow.kind.in_(kinds))
        return self._session.scalar(oldest)

    def remove_content(self, digest: str) -> list[UUID]:
        """Forgets a content; its copies on hosts are not to be used any more.

        Returns:
            The hosts that have such copies.
        """
        self._session.execute(
            update(MediaSourceRow)
            .where(MediaSourceRow.digest == digest)
            .values(digest=None)
            .execution_options(synchronize_session=False)
        )
        self._session.execute(delete(MediaContentRow).where(MediaContentRow.digest == digest))
        copies = MediaCopyRow.digest == digest
        self._session.execute(
            update(MediaCopyRow).where(copies).values(ready=False).execution_options(synchronize_session=False)
        )
        return [UUID(host_id) for host_id in self._session.scalars(select(MediaCopyRow.host_id).where(copies))]

    # --- copies --------------------------------------------------------------------------------------------------

    def copy(self, host_id: UUID, digest: str) -> MediaCopy | None:
        """The copy of a content on a host, whole or not."""
        row = COPY.row(self._uow.connection, {"of_host": str(host_id), "of_digest": digest})
        return None if row is None else MediaCopy(digest=digest, host_id=host_id, ready=row.ready)

    def begin_copy(self, host_id: UUID, digest: str) -> None:
        """Records that a copy is being made (again)."""
        if not self._write_copy(host_id, digest, ready=False):
            self._session.execute(insert(MediaCopyRow).values(host_id=str(host_id), digest=digest, ready=False))

    def finish_copy(self, host_id: UUID, digest: str) -> None:
        """Records that a copy is whole."""
        self._write_copy(host_id, digest, ready=True)

    def _write_copy(self, host_id: UUID, digest: str, *, ready: bool) -> bool:
        found = self._session.execute(
            update(MediaCopyRow)
            .where(*_is_copy(host_id, digest))
            .values(ready=ready)
            .execution_options(synchronize_session=False)
        )
        return bool(found.rowcount)  # type: ignore[attr-defined]  # as above

    def unready_copies(self, host_id: UUID) -> list[str]:
        """Digests of the copies on a host that are not whole: while none is being made there, they are leftovers."""
        statement = select(MediaCopyRow.digest).where(MediaCopyRow.host_id == str(host_id), ~MediaCopyRow.ready)
        return list(self._session.scalars(statement.order_by(MediaCopyRow.digest)))

    def remove_copy(self, host_id: UUID, digest: str) -> None:
        """Forgets a copy whose file is gone."""
        self._session.execute(delete(MediaCopyRow).where(*_is_copy(host_id, digest)))


def _unneeded(used_before: datetime | None) -> Select[str, int]:
    digest = MediaContentRow.digest
    statement = select(digest, MediaContentRow.file_bytes).where(~exists().where(VirtualMediaRow.held_digest == digest))
    if used_before is not None:
        statement = statement.where(MediaContentRow.used_at < used_before)
    return statement.order_by(MediaContentRow.used_at, digest)


def _is_drive(system_id: UUID, drive_id: str) -> tuple[ColumnElement[bool], ...]:
    return MEDIA.c.system_id == str(system_id), MEDIA.c.drive_id == drive_id


def _is_copy(host_id: UUID, digest: str) -> tuple[ColumnElement[bool], ...]:
    return MediaCopyRow.host_id == str(host_id), MediaCopyRow.digest == digest


def _to_drive(system_id: UUID, spec: DriveSpec, row: Any) -> DriveMedia:
    if row is None:
        return DriveMedia(system_id=system_id, drive=spec)
    return DriveMedia(
        system_id=system_id,
        drive=spec,
        accepted=_joined(row, "accepted"),
        held=_joined(row, "held"),
        held_digest=row.content,
        task_id=row.task_id,
        verify_certificate=row.verify,
        version=row.version,
    )


def _joined(row: Any, which: str) -> MediaSource | None:
    """A source out of a row that has two."""
    if getattr(row, f"{which}_key") is None:
        return None
    return MediaSource(**{name: getattr(row, f"{which}_{name}") for name in FIELDS})
