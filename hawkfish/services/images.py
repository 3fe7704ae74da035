"""The verbs of images: add, upload, delete, prune. What takes long is accepted as a task of `image_tasks`.

A content is kept while an image or a system that is being made refers to it, which the database counts; everything that changes
or judges those references holds the key `CATALOGUE`.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any, Self
from uuid import UUID, uuid4

from hawkfish.db import Database, UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.images import Image, ImageContent, ImageCopy, ImageState, NewImage
from hawkfish.domain.messages import RESOURCE_CHANGED, RESOURCE_CREATED, RESOURCE_REMOVED
from hawkfish.domain.tasks import Limit, Task
from hawkfish.errors import (
    BodyTooLarge,
    Conflict,
    HawkFishError,
    ImageRefused,
    InvalidRequest,
    PropertyConflict,
    PropertyInvalidFormat,
)
from hawkfish.plugins.files import inspect_image
from hawkfish.services.accepted import Accepted
from hawkfish.services.access import Access
from hawkfish.services.downloads import check_url, shown_url, url_key
from hawkfish.services.image_files import find_image
from hawkfish.services.image_store import CATALOGUE, ImageStore, PartialFile

DOWNLOADS_AT_ONCE = 6
DOWNLOADS_AT_ONCE_FROM_ONE_SERVER = 2
UPLOAD = "upload-"  # how the keys of uploads begin; the others are ids of tasks
_DIGEST = re.compile(r"[0-9a-f]{64}")


def subject_of(image_id: UUID) -> str:
    """How tasks and the audit trail name an image."""
    return f"image:{image_id}"


def copy_lock(pool_id: UUID, host_id: UUID, digest: str) -> str:
    """The key of the line in which a copy is made and removed."""
    return f"image-copy:{digest}:{pool_id}@{host_id}"


class ImageService:
    """The catalogue of images."""

    def __init__(self, access: Access, store: ImageStore) -> None:
        self._access = access
        self._database = access.database
        self._store = store

    # --- reading -------------------------------------------------------------------------------------------------

    def all(self, actor: Actor) -> list[Image]:
        """All images by name."""
        self._access.authorize(actor, "images.read")
        with self._database.read() as uow:
            return uow.images.all()

    def get(self, actor: Actor, id_or_name: UUID | str) -> Image:
        """One image, by its id or its name.

        Raises:
            NotFound: There is none that the actor may see.
        """
        self._access.authorize(actor, "images.read", f"image:{id_or_name}")
        with self._database.read() as uow:
            return uow.images.get(id_or_name)

    def purge(self) -> None:
        """Removes what downloads and uploads left behind whose process has died; for the worker."""
        remove_leftovers(self._database, self._store)

    # --- adding --------------------------------------------------------------------------------------------------

    def add(self, actor: Actor, new: NewImage, *, idempotency_key: str | None = None) -> Accepted:
        """Accepts a new image; its task downloads or copies the content. Without a source it waits for an upload.

        A content that the store has already, by its SHA-256, is not fetched again.

        Args:
            actor: Who asks.
            new: What is asked for.
            idempotency_key: Names the request: repeated, it gives the same image.

        Raises:
            AlreadyExists: The name is taken.
            PropertyError: A value cannot be used.
            Conflict: The key was used for another request.
        """
        self._access.authorize(actor, "images.add", f"image:{new.name}")
        request = asdict(new)
        if new.digest is not None and not _DIGEST.fullmatch(new.digest):
            raise PropertyInvalidFormat(
                "SHA256 must be 64 hexadecimal digits.", property="SHA256", value=new.digest[:80]
            )
        if new.url is not None and new.local_path is not None:
            raise PropertyConflict("LocalPath stands beside URL; send one of them.", property="LocalPath")
        if new.url is not None:
            check_url(new.url)
        if new.local_path is not None:
            find_image(self._access.settings, new.local_path, property_path="LocalPath")

        def write(uow: UnitOfWork) -> Accepted:
            uow.serialize_on([CATALOGUE])
            if (accepted := self._find_accepted(uow, actor, new, request, idempotency_key)) is not None:
                return accepted
            source = new.url is not None or new.local_path is not None
            known = None if new.digest is None or not source else uow.images.find_content(new.digest)
            state = ImageState.AVAILABLE if known else ImageState.FETCHING if source else ImageState.AWAITING
            image = Image(
                id=uuid4(),
                name=new.name,
                state=state,
                description=new.description,
                url=new.url,
                local_path=new.local_path,
                verify_certificate=new.verify_certificate,
                expected_digest=new.digest,
                content=known,
                created_by=actor.user_name,
            )
            uow.images.add(image)
            uow.images.tell(RESOURCE_CREATED, image, actor=actor.user_name)
            task = None
            if state is ImageState.FETCHING:
                task = self._submit_add(uow, actor, image, request, idempotency_key)
            self._access.audit.record(
                uow,
                actor,
                "images.add",
                subject_of(image.id),
                name=image.name,
                source=_shown_source(image),
                task=None if task is None else task.id,
            )
            return Accepted(image.id, task)

        return self._database.run(write)

    def _submit_add(
        self, uow: UnitOfWork, actor: Actor, image: Image, request: dict[str, Any], key: str | None
    ) -> Task:
        locks, limits = [subject_of(image.id)], [Limit("downloads", DOWNLOADS_AT_ONCE)]
        # Who asks for the same waits for the first one's end, and then finds it in the store.
        if image.url is not None:
            locks.append(f"download:{url_key(image.url)}")
            server = check_url(image.url).netloc.decode("ascii")
            limits.append(Limit(f"downloads@{server}"[:255], DOWNLOADS_AT_ONCE_FROM_ONE_SERVER))
        if image.expected_digest is not None:
            locks.append(f"content:{image.expected_digest}")
        return self._access.queue.submit(
            uow,
            "image.add",
            title=f"Add image {image.name}",
            actor=actor.user_name,
            subject=subject_of(image.id),
            arguments={"image_id": str(image.id), "request": request},
            locks=locks,
            limits=limits,
            idempotency_key=key,
        )

    def _find_accepted(
        self, uow: UnitOfWork, actor: Actor, new: NewImage, request: dict[str, Any], key: str | None
    ) -> Accepted | None:
        """The task of this very request, since a client that lost our answer asks again."""
        if key is not None and (named := self._access.queue.find_named(uow, "image.add", actor.user_name, key)):
            if named.arguments["request"] != request:
                raise Conflict(
                    "This idempotency key was used for another request; use a new key for each new request.",
                    task=named.id,
                )
            return Accepted(UUID(named.arguments["image_id"]), named)
        image = uow.images.find(new.name)
        if image is None or image.state is not ImageState.FETCHING:
            return None
        for task in uow.tasks.search(subject=subject_of(image.id), ended=False):
            same = task.kind == "image.add" and task.actor == actor.user_name
            if same and task.arguments["request"] == request and not task.abort_requested:
                return Accepted(image.id, task)
        return None

    # --- uploading -----------------------------------------------------------------------------------------------

    def begin_upload(self, actor: Actor, image_id: UUID, length: int | None) -> ImageUpload:
        """Begins to take the content of an image that waits for one; nothing is seen of it before it is whole.

        Args:
            actor: Who sends it.
            image_id: The image.
            length: Bytes that are announced; None where the sender does not know.

        Raises:
            NotFound: There is no such image.
            Conflict: It has its content, or gets it from elsewhere.
            BodyTooLarge: More is announced than is taken.
            StorageFull: There is no room for it.
        """
        self._access.authorize(actor, "images.add", subject_of(image_id))
        with self._database.read() as uow:
            _refuse_second_content(uow.images.get(image_id))
        self.check_size(length or 0)
        self._store.check_room(length or 0)
        return ImageUpload(self, self._store, actor, image_id, length)

    def check_size(self, size: int) -> None:
        """Refuses what is too large.

        Raises:
            BodyTooLarge: It is.
        """
        most = self._access.settings.image_max_bytes
        if size > most:
            raise BodyTooLarge(
                f"An image has at most {most} bytes here (HF_IMAGE_MAX_BYTES); this one has {size} or more.", limit=most
            )

    def take_upload(self, actor: Actor, image_id: UUID, key: str, content: ImageContent) -> Image:
        """Makes a whole upload the content of its image; called by `ImageUpload.finish`."""

        def write(uow: UnitOfWork) -> Image:
            uow.serialize_on([CATALOGUE])
            _refuse_second_content(uow.images.get(image_id))
            self._store.publish(key, content.digest)
            uow.images.add_content(content)
            uow.images.write(image_id, state=ImageState.AVAILABLE, digest=content.digest)
            self._access.audit.record(
                uow, actor, "images.upload", subject_of(image_id), sha256=content.digest, bytes=content.file_bytes
            )
            taken = uow.images.get(image_id)
            uow.images.tell(RESOURCE_CHANGED, taken, actor=actor.user_name)
            return taken

        return self._database.run(write)

    # --- deleting ------------------------------------------------------------------------------------------------

    def delete(self, actor: Actor, image_id: UUID, expected_version: int | None = None) -> Accepted:
        """Removes an image at once; what nobody needs any more then goes by a task. A download of it is ended.

        Disks that were made from it are whole by themselves and stay as they are.

        Raises:
            NotFound: There is no such image.
            InUse: A profile names it.
            PreconditionFailed: It has another version by now.
        """
        self._access.authorize(actor, "images.delete", subject_of(image_id))

        def write(uow: UnitOfWork) -> Accepted:
            uow.serialize_on([CATALOGUE])
            image = uow.images.get(image_id)
            uow.images.remove(image_id, expected_version)
            uow.images.tell(RESOURCE_REMOVED, image, actor=actor.user_name)
            for running in uow.tasks.search(subject=subject_of(image_id), ended=False):
                self._access.queue.request_abort(uow, running.id, reason=f"The image {image.name} was deleted.")
            task = None
            if image.content is not None:
                title = f"Remove what is left of image {image.name}"
                task = self._submit_prune(uow, actor, title, subject_of(image_id), digest=image.content.digest)
            self._access.audit.record(uow, actor, "images.delete", subject_of(image_id), name=image.name)
            return Accepted(image_id, task)

        return self._database.run(write)

    def prune(self, actor: Actor, *, copies: bool = False) -> Accepted:
        """Accepts the removal of all that no image and no system that is being made needs: contents, copies on pools, leftovers.

        Args:
            actor: Who asks.
            copies: Also the copies of images that the catalogue still has; the next system made there copies them anew.
        """
        self._access.authorize(actor, "images.prune")

        def write(uow: UnitOfWork) -> Accepted:
            uow.serialize_on([CATALOGUE])
            task = self._submit_prune(uow, actor, "Prune images", "images", copies=copies)
            self._access.audit.record(uow, actor, "images.prune", "images", task=task.id)
            return Accepted(UUID(int=0), task)

        return self._database.run(write)

    def _submit_prune(
        self,
        uow: UnitOfWork,
        actor: Actor,
        title: str,
        subject: str,
        *,
        digest: str | None = None,
        copies: bool = False,
    ) -> Task:
        """From here on nobody clones from the copies that are to go; who needs one makes it anew, after this task."""
        doomed = uow.image_copies.removable(digest, with_images=copies)
        for copy in doomed:
            uow.image_copies.doubt(copy)
        return self._access.queue.submit(
            uow,
            "image.prune",
            title=title,
            actor=actor.user_name,
            subject=subject,
            arguments={"digest": digest, "copies": [_copy_to_json(copy) for copy in doomed]},
            locks=["image-prune", *(copy_lock(copy.pool_id, copy.host_id, copy.digest) for copy in doomed)],
        )


class ImageUpload:
    """A content that is on its way in. Not whole, it leaves nothing behind.

    Example:
        with images.begin_upload(actor, image_id, length) as upload:
            for piece in body:
                upload.write(piece)
            image = upload.finish()
    """

    def __init__(
        self, images: ImageService, store: ImageStore, actor: Actor, image_id: UUID, length: int | None
    ) -> None:
        self._images = images
        self._store = store
        self._actor = actor
        self._image_id = image_id
        self._length = length
        self._key = f"{UPLOAD}{uuid4()}"
        self._file = PartialFile(store, self._key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, piece: bytes) -> None:
        """Takes a piece.

        Raises:
            BodyTooLarge: That is more than is taken.
            StorageFull: There is no room for it.
        """
        self._images.check_size(self._file.size + len(piece))
        self._file.write(piece)

    def finish(self) -> Image:
        """Makes what was sent the content of the image.

        Raises:
            InvalidRequest: Less was sent than announced.
            ImageRefused: It is no image that can be used, or has another SHA-256 than was announced.
            Conflict: Another upload was faster.
        """
        if self._length is not None and self._file.size != self._length:
            raise InvalidRequest(
                f"The content ended after {self._file.size} of {self._length} bytes; send it again.",
                sent=self._file.size,
                announced=self._length,
            )
        digest = self._file.finish()
        image = self._images.get(self._actor, self._image_id)
        content = judge(self._store, self._key, digest, image.expected_digest)
        return self._images.take_upload(self._actor, self._image_id, self._key, content)

    def close(self) -> None:
        """Ends the upload; what is not an image's content by now is gone."""
        self._store.discard(self._key)
        self._file.close()


def remove_leftovers(database: Database, store: ImageStore) -> None:
    """Removes contents on their way whose task has ended, or whose upload has died with its process."""
    for key in store.partials():
        if key.startswith(UPLOAD):
            store.discard_abandoned(key)
            continue
        with database.read() as uow:
            task = uow.tasks.find(key)
        if task is None or task.ended:
            store.discard(key)


def judge(store: ImageStore, key: str, digest: str, expected: str | None) -> ImageContent:
    """What a content on its way really is.

    Raises:
        ImageRefused: It has not the SHA-256 that was announced, or is no image that can be used.
    """
    if expected not in {None, digest}:
        raise ImageRefused(
            f"The content has the SHA-256 {digest} and {expected} was announced: it is damaged, or not the one that was meant.",
            reason="another SHA-256",
            expected=expected,
            found=digest,
        )
    try:
        facts = inspect_image(store.partial(key))
    except HawkFishError as error:
        raise ImageRefused(error.message, reason=str(error.data.get("reason", "no image"))) from error
    return ImageContent(
        digest=digest, format=facts.format, virtual_bytes=facts.virtual_bytes, file_bytes=facts.file_bytes
    )


def _refuse_second_content(image: Image) -> None:
    if image.state is not ImageState.AWAITING:
        raise Conflict(
            f"The image {image.name} is {image.state} and takes no upload; add another image for another content.",
            kind="HawkFishImage",
            id=str(image.id),
        )


def _shown_source(image: Image) -> str:
    return shown_url(image.url) if image.url is not None else image.local_path or "upload"


def _copy_to_json(copy: ImageCopy) -> dict[str, str]:
    return {
        "digest": copy.digest,
        "pool_id": str(copy.pool_id),
        "host_id": str(copy.host_id),
        "volume_name": copy.volume_name,
    }
