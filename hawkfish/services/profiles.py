"""The verbs of node profiles, and what a new system takes from one. A profile is only a record: each verb is one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.messages import RESOURCE_CHANGED, RESOURCE_CREATED, RESOURCE_REMOVED
from hawkfish.domain.profiles import Profile, ProfileShape
from hawkfish.domain.systems import NewDisk, NewSystem
from hawkfish.errors import NotFound, PropertyConflict, PropertyMissing
from hawkfish.services.access import Access
from hawkfish.services.image_store import CATALOGUE

GIB = 1024**3


def subject_of(profile_id: UUID) -> str:
    """How the audit trail names a profile."""
    return f"profile:{profile_id}"


class ProfileService:
    """Node profiles."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._database = access.database

    def all(self, actor: Actor) -> list[Profile]:
        """All profiles by name."""
        self._access.authorize(actor, "profiles.read")
        with self._database.read() as uow:
            return uow.profiles.all()

    def get(self, actor: Actor, id_or_name: UUID | str, revision: int | None = None) -> Profile:
        """One profile in its last revision, or in another one.

        Raises:
            NotFound: There is none that the actor may see.
        """
        self._access.authorize(actor, "profiles.read", f"profile:{id_or_name}")
        with self._database.read() as uow:
            last = uow.profiles.get(id_or_name)
            found = last if revision is None else uow.profiles.find(last.id, revision)
        if found is None:
            raise NotFound(
                f"The profile {last.name} has no revision {revision}; it has 1 to {last.revision_count}.",
                kind="HawkFishProfile",
                id=f"{id_or_name}",
            )
        return found

    def create(self, actor: Actor, name: str, shape: ProfileShape, *, image: str | None, description: str) -> Profile:
        """Makes a profile with its first revision.

        Args:
            actor: Who asks.
            name: Unique, whatever the case.
            shape: What systems made after it get; its `image_id` is found by `image`.
            image: Id or name of the image of the first disk.
            description: For people.

        Raises:
            AlreadyExists: The name is taken.
            PropertyConflict: There is no such image, or it has no content yet.
        """
        self._access.authorize(actor, "profiles.create", f"profile:{name}")

        def write(uow: UnitOfWork) -> Profile:
            uow.serialize_on([CATALOGUE])
            made = replace(shape, image_id=_find_image(uow, image))
            profile_id = uow.profiles.add(name, description, made, actor.user_name)
            self._access.audit.record(uow, actor, "profiles.create", subject_of(profile_id), name=name)
            uow.profiles.tell(RESOURCE_CREATED, profile_id, name, actor=actor.user_name)
            return uow.profiles.get(profile_id)

        return self._database.run(write)

    def revise(
        self, actor: Actor, profile_id: UUID, changes: dict[str, Any], expected_version: int | None = None
    ) -> Profile:
        """Gives a profile a new revision; systems that were made after earlier ones stay as they are.

        Args:
            actor: Who asks.
            profile_id: The profile.
            changes: Fields of `ProfileShape`, and `image` and `description` as for `create`; what is absent stays.
            expected_version: The version that the caller has seen.

        Raises:
            NotFound: There is no such profile.
            PreconditionFailed: It has another version by now.
            PropertyConflict: There is no such image, or it has no content yet.
        """
        self._access.authorize(actor, "profiles.update", subject_of(profile_id))

        def write(uow: UnitOfWork) -> Profile:
            uow.serialize_on([CATALOGUE])
            profile = uow.profiles.get(profile_id)
            values = dict(changes)
            description = values.pop("description", profile.description)
            if "image" in values:
                values["image_id"] = _find_image(uow, values.pop("image"))
            shape = replace(profile.shape, **values)
            uow.profiles.revise(
                profile, shape, actor.user_name, description=description, expected_version=expected_version
            )
            self._access.audit.record(
                uow, actor, "profiles.update", subject_of(profile_id), name=profile.name, changed=sorted(changes)
            )
            uow.profiles.tell(RESOURCE_CHANGED, profile_id, profile.name, actor=actor.user_name)
            return uow.profiles.get(profile_id)

        return self._database.run(write)

    def delete(self, actor: Actor, profile_id: UUID, expected_version: int | None = None) -> None:
        """Deletes a profile with all its revisions.

        Raises:
            NotFound: There is no such profile.
            InUse: Systems were made after it.
            PreconditionFailed: It has another version by now.
        """
        self._access.authorize(actor, "profiles.delete", subject_of(profile_id))

        def write(uow: UnitOfWork) -> None:
            uow.serialize_on([CATALOGUE])
            profile = uow.profiles.get(profile_id)
            uow.profiles.remove(profile_id, expected_version)
            self._access.audit.record(uow, actor, "profiles.delete", subject_of(profile_id), name=profile.name)
            uow.profiles.tell(RESOURCE_REMOVED, profile_id, profile.name, actor=actor.user_name)

        self._database.run(write)


def shaped(uow: UnitOfWork, new: NewSystem) -> NewSystem:
    """What is asked for, with all that it leaves open taken from its profile; the revision is fixed by this.

    Raises:
        PropertyConflict: There is no such profile or revision.
        PropertyMissing: There is no profile, and a size is left open.
    """
    if new.profile is None:
        if new.profile_revision is not None:
            raise PropertyMissing("ProfileRevision needs a ProfileId beside it.", property="ProfileId")
        for name, value in (("CPU", new.vcpus), ("MemoryMiB", new.memory_mib)):
            if not value:
                raise PropertyMissing(f"{name} is required where no ProfileId is given.", property=name)
        return new
    profile = uow.profiles.find(new.profile, new.profile_revision)
    if profile is None:
        revision = "" if new.profile_revision is None else f" with a revision {new.profile_revision}"
        raise PropertyConflict(
            f"There is no profile {new.profile!r}{revision}; see `hawkfish profiles ls`.",
            property="ProfileId",
            value=new.profile,
        )
    shape = profile.shape
    disks = new.disks or _first_disk(shape)
    return replace(
        new,
        vcpus=new.vcpus or shape.vcpus,
        memory_mib=new.memory_mib or shape.memory_mib,
        firmware=new.firmware or shape.firmware,
        disks=disks,
        network_interfaces=shape.network_interfaces if new.network_interfaces is None else new.network_interfaces,
        labels={**shape.labels, **new.labels},
        profile=str(profile.id),
        profile_revision=profile.revision,
    )


def record_use(uow: UnitOfWork, system_id: UUID, new: NewSystem) -> None:
    """Records which revision a system is made after, in the transaction that makes it.

    Raises:
        PropertyConflict: The profile was deleted in this moment.
    """
    if new.profile is None:
        return
    uow.serialize_on([CATALOGUE])
    profile = uow.profiles.find(new.profile, new.profile_revision)
    if profile is None:
        raise PropertyConflict(
            "The profile was deleted in this moment; choose another.", property="ProfileId", value=new.profile
        )
    uow.profiles.record_use(system_id, profile.revision_id)


def _first_disk(shape: ProfileShape) -> tuple[NewDisk, ...]:
    if shape.disk_gib is None and shape.image_id is None:
        return ()
    return (
        NewDisk(
            capacity_bytes=None if shape.disk_gib is None else shape.disk_gib * GIB,
            image_id=None if shape.image_id is None else str(shape.image_id),
        ),
    )


def _find_image(uow: UnitOfWork, image: str | None) -> UUID | None:
    if image is None:
        return None
    found = uow.images.find(image)
    if found is None or found.content is None:
        state = "There is no image" if found is None else f"It is {found.state}, not Available, the image"
        raise PropertyConflict(f"{state} {image!r}; see `hawkfish images ls`.", property="ImageId", value=image)
    return found.id
