"""The verbs of virtual media: read, insert, eject. What changes a drive is accepted as tasks of `media_tasks`.

What was accepted is written with the tasks and reads back at once, since clients take 202 as done: the order is ours to keep. An
insertion inserts and does nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.machines import DriveKind, DriveSpec
from hawkfish.domain.media import MediaRequest, MediaSource, MediaView, drives_of, image_name
from hawkfish.domain.messages import RESOURCE_CHANGED
from hawkfish.domain.systems import System, SystemState
from hawkfish.domain.tasks import Limit, Task
from hawkfish.errors import Conflict, InUse, NotFound
from hawkfish.services.accepted import Accepted
from hawkfish.services.access import Access
from hawkfish.services.downloads import check_url, shown_url, url_key
from hawkfish.services.host_limits import tasks_on
from hawkfish.services.media_cache import MediaCache, copies_at
from hawkfish.services.media_order import COPY, EJECT, FETCH, INSERT, insertions_nobody_sees, line_of_media
from hawkfish.services.refusals import notes_refusals
from hawkfish.services.secret_box import SecretBox
from hawkfish.services.system_creation import subject_of

FETCHES = 32
"""Images that are fetched at once; those that wait for a slow server hold up no others until there are so many."""
FETCHES_FROM_ONE_SERVER = 8
TITLE_LENGTH = 255


class MediaService:
    """Virtual media."""

    def __init__(self, access: Access, cache: MediaCache, secrets: SecretBox) -> None:
        self._access = access
        self._cache = cache
        self._database = access.database
        self._secrets = secrets

    # --- reading -------------------------------------------------------------------------------------------------

    def all(self, actor: Actor, system_id: UUID) -> list[MediaView]:
        """The drives of a system; none where its host cannot change media.

        Raises:
            NotFound: There is no such system.
        """
        self._access.authorize(actor, "media.read", subject_of(system_id))
        with self._database.read() as uow:
            system = uow.systems.get(system_id)
            return [MediaView(system=system, media=drive) for drive in uow.media.drives(system_id, drives_of(system))]

    def get(self, actor: Actor, system_id: UUID, drive_id: str) -> MediaView:
        """One drive.

        Raises:
            NotFound: There is no such system, or it has no such drive.
        """
        self._access.authorize(actor, "media.read", subject_of(system_id))
        with self._database.read() as uow:
            system = uow.systems.get(system_id)
            return MediaView(system=system, media=uow.media.drive(system_id, _spec(system, drive_id)))

    def purge(self) -> None:
        """Removes what downloads left behind whose process has died, and what nobody refers to any more; for the worker."""
        self._cache.purge()

    # --- changing ------------------------------------------------------------------------------------------------

    @notes_refusals("media.insert")
    def insert(
        self,
        actor: Actor,
        system_id: UUID,
        drive_id: str,
        request: MediaRequest,
        *,
        expected_version: int | None = None,
    ) -> Accepted:
        """Accepts the insertion of an image; power and boot order are left alone.

        The same request joins one that waits or runs. Of an image that is in the drive already its server is asked whether it
        has changed. Another image while one is inserted is refused, as the schema of VirtualMedia wants it; while one is only
        on its way, another follows it.

        Raises:
            NotFound: There is no such system, or it has no such drive.
            PropertyInvalidFormat: The image's address is none that is fetched from.
            InUse: Another image is inserted; it is to be ejected first.
            Conflict: The system is being deleted.
            PreconditionFailed: The drive has another version by now.
        """
        self._access.authorize(actor, "media.insert", subject_of(system_id))
        check_url(request.image, property_path="Image")

        def write(uow: UnitOfWork) -> Accepted:
            uow.serialize_on([line_of_media(system_id)])
            view = self._changeable(uow, system_id, drive_id)
            media = view.media
            verify = media.verify_certificate if request.verify_certificate is None else request.verify_certificate
            source = self._source_of(request, verify=verify)
            if view.inserted and (view.source is None or view.source.url != source.url):
                raise _inserted(view)
            if (
                media.accepted is not None
                and media.accepted.key == source.key
                and (task := _running(uow, media.task_id))
            ):
                return Accepted(system_id, task)
            uow.media.put_source(source)
            task = self._submit_insert(uow, actor, view, source, _of_image(view.drive, request.sha256))
            uow.media.write_drive(
                media, expected_version, source_key=source.key, task_id=task.id, verify_certificate=verify
            )
            self._record(uow, actor, "media.insert", view, task, source=shown_url(source.url))
            return Accepted(system_id, task)

        return self._database.run(write)

    def _source_of(self, request: MediaRequest, *, verify: bool) -> MediaSource:
        asked = [request.image, verify, *([] if request.sha256 is None else [request.sha256])]
        sealed, key = None, url_key(json.dumps(asked))
        if request.user_name is not None or request.password is not None:
            login = [*asked, request.user_name or "", request.password or ""]
            sealed, key = self._secrets.seal(request.password or ""), self._secrets.fingerprint(json.dumps(login))
        return MediaSource(
            key=key,
            url=request.image,
            user_name=None if sealed is None else request.user_name or "",
            sealed_password=sealed,
            verify_certificate=verify,
        )

    def _submit_insert(
        self, uow: UnitOfWork, actor: Actor, view: MediaView, source: MediaSource, wanted: Mapping[str, Any]
    ) -> Task:
        """Fetched once for all who want it, copied once to each host: both are joined by whoever comes while they run."""
        queue, system = self._access.queue, view.system
        name, subject = image_name(source.url), f"media:{source.key}"
        arguments: dict[str, Any] = {"source_key": source.key}
        server = check_url(source.url).netloc.decode("ascii")
        fetch = queue.submit(
            uow,
            FETCH,
            title=f"Fetch {name}"[:TITLE_LENGTH],
            actor=actor.user_name,
            subject=subject,
            arguments={**arguments, **wanted},
            locks=[subject],
            limits=[
                Limit("media-fetches", FETCHES),
                Limit(f"media-fetches@{server}"[:TITLE_LENGTH], FETCHES_FROM_ONE_SERVER),
            ],
        )
        host = str(system.host_id)
        copy = queue.submit(
            uow,
            COPY,
            title=f"Copy {name} to {system.host_name}"[:TITLE_LENGTH],
            actor=actor.user_name,
            subject=subject,
            arguments={**arguments, "host_id": host, "fetch_id": fetch.id},
            limits=[copies_at(host)],
            after=fetch,
        )
        return queue.submit(
            uow,
            INSERT,
            title=f"Insert {name} into {view.drive.id} of {system.name}"[:TITLE_LENGTH],
            actor=actor.user_name,
            subject=subject_of(system.id),
            arguments={**arguments, "system_id": str(system.id), "drive_id": view.drive.id, "copy_id": copy.id},
            locks=[subject_of(system.id)],
            limits=[tasks_on(system.host_id, self._access.settings.host_tasks)],
            after=copy,
        )

    @notes_refusals("media.eject")
    def eject(self, actor: Actor, system_id: UUID, drive_id: str, *, expected_version: int | None = None) -> Accepted:
        """Accepts that a drive is emptied, in its turn; an empty one is left alone.

        Insertions that still wait for their image are cancelled, since nobody would see them: unless a start was accepted
        after them, which is to find them there. So nobody waits for a download in order to have it thrown away.

        Raises:
            NotFound: There is no such system, or it has no such drive.
            Conflict: The system is being deleted.
            PreconditionFailed: The drive has another version by now.
        """
        self._access.authorize(actor, "media.eject", subject_of(system_id))

        def write(uow: UnitOfWork) -> Accepted:
            uow.serialize_on([line_of_media(system_id)])
            view = self._changeable(uow, system_id, drive_id)
            media, system = view.media, view.system
            if not view.in_flight and not view.inserted and media.held is None:
                return Accepted(system_id)
            if media.accepted is None and (task := _running(uow, media.task_id)):
                return Accepted(system_id, task)
            task = self._access.queue.submit(
                uow,
                EJECT,
                title=f"Eject what is in {drive_id} of {system.name}",
                actor=actor.user_name,
                subject=subject_of(system_id),
                arguments={"system_id": str(system_id), "drive_id": drive_id},
                locks=[subject_of(system_id)],
                limits=[tasks_on(system.host_id, self._access.settings.host_tasks)],
            )
            uow.media.write_drive(media, expected_version, source_key=None, task_id=task.id)
            for insertion in insertions_nobody_sees(uow, system_id, drive_id):
                reason = f"What is in {drive_id} was ejected by {actor.user_name} before the image was there."
                self._access.queue.request_abort(uow, insertion.id, reason=reason)
            self._record(uow, actor, "media.eject", view, task)
            return Accepted(system_id, task)

        return self._database.run(write)

    def update(
        self,
        actor: Actor,
        system_id: UUID,
        drive_id: str,
        *,
        verify_certificate: bool | None,
        expected_version: int | None = None,
    ) -> None:
        """Says whether servers of images that are inserted from now on have to prove who they are; with None it stays as it is.

        Raises:
            NotFound: There is no such system, or it has no such drive.
            Conflict: The system is being deleted.
            PreconditionFailed: The drive has another version by now.
        """
        self._access.authorize(actor, "media.update", subject_of(system_id))
        if verify_certificate is None:
            return

        def write(uow: UnitOfWork) -> None:
            uow.serialize_on([line_of_media(system_id)])
            view = self._changeable(uow, system_id, drive_id)
            uow.media.write_drive(view.media, expected_version, verify_certificate=verify_certificate)
            self._record(uow, actor, "media.update", view, None, changed=["VerifyCertificate"])

        self._database.run(write)

    def _changeable(self, uow: UnitOfWork, system_id: UUID, drive_id: str) -> MediaView:
        system = uow.systems.get(system_id)
        spec = _spec(system, drive_id)
        if system.state not in {SystemState.READY, SystemState.CREATING}:
            reason = f" ({system.failure})" if system.failure else ""
            raise Conflict(
                f"The media of {system.name} cannot be changed while it is {system.state}{reason}.",
                kind="ComputerSystem",
                id=str(system.id),
            )
        return MediaView(system=system, media=uow.media.drive(system_id, spec))

    def _record(
        self, uow: UnitOfWork, actor: Actor, verb: str, view: MediaView, task: Task | None, **details: Any
    ) -> None:
        uow.systems.tell(RESOURCE_CHANGED, view.system.id, actor=actor.user_name)
        given = details if task is None else {**details, "task": task.id}
        self._access.audit.record(uow, actor, verb, subject_of(view.system.id), drive=view.drive.id, **given)


def _of_image(drive: DriveSpec, sha256: str | None) -> dict[str, Any]:
    """What is asked of an image when it is fetched; for a CD drive that it is one goes without saying."""
    kind = {} if drive.kind is DriveKind.CD else {"kind": drive.kind}
    return kind if sha256 is None else {**kind, "sha256": sha256}


def _spec(system: System, drive_id: str) -> DriveSpec:
    specs = drives_of(system)
    found = next((spec for spec in specs if spec.id == drive_id), None)
    if found is None:
        names = ", ".join(spec.id for spec in specs) or "none, since its host cannot change media"
        raise NotFound(
            f"The system {system.name} has no drive {drive_id}; it has: {names}.", kind="VirtualMedia", id=drive_id
        )
    return found


def _running(uow: UnitOfWork, task_id: str | None) -> Task | None:
    """A task that an identical request joins."""
    task = None if task_id is None else uow.tasks.find(task_id)
    return None if task is None or task.ended or task.undoing or task.abort_requested else task


def _inserted(view: MediaView) -> InUse:
    source = view.source
    what = view.foreign or "an image" if source is None else shown_url(source.url)
    return InUse(
        f"{what} is inserted in {view.drive.id} of {view.system.name}; eject it before another image is inserted.",
        by=what,
        id=view.drive.id,
    )
