"""Profiles and their revisions: rows to domain values and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, delete, func, insert, or_, select
from sqlalchemy.exc import IntegrityError

from hawkfish.db.models.images import ProfileRevisionRow, ProfileRow, SystemProfileRow
from hawkfish.db.prepared import Prepared
from hawkfish.db.repositories.system_rows import attachment_from_json, attachment_to_json
from hawkfish.domain.machines import NetworkInterfaceModel
from hawkfish.domain.messages import EventMessage
from hawkfish.domain.profiles import Profile, ProfileShape
from hawkfish.domain.systems import NewNetworkInterface, ProfileUse
from hawkfish.errors import AlreadyExists, InUse, NotFound

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork


USES = (
    select(SystemProfileRow.system_id, ProfileRow.id, ProfileRow.name, ProfileRevisionRow.revision)
    .join(ProfileRevisionRow, ProfileRevisionRow.id == SystemProfileRow.revision_id)
    .join(ProfileRow, ProfileRow.id == ProfileRevisionRow.profile_id)
)
USES_OF_ONE = Prepared(USES.where(SystemProfileRow.system_id == bindparam("of_system")))


class ProfileRepository:
    """Profiles of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._session = uow.session

    def all(self) -> list[Profile]:
        """All profiles in their last revisions, in the order of their names."""
        rows = self._session.execute(
            select(ProfileRow, ProfileRevisionRow)
            .join(ProfileRevisionRow, ProfileRevisionRow.profile_id == ProfileRow.id)
            .where(ProfileRevisionRow.revision == ProfileRow.revision)
            .order_by(ProfileRow.name_key)
        ).all()
        counted = self._session.execute(
            select(ProfileRevisionRow.profile_id, func.count())
            .join(SystemProfileRow, SystemProfileRow.revision_id == ProfileRevisionRow.id)
            .group_by(ProfileRevisionRow.profile_id)
        )
        systems = {profile_id: int(count) for profile_id, count in counted}
        return [_to_profile(row, shape, systems.get(row.id, 0)) for row, shape in rows]

    def tell(self, message: EventMessage, profile_id: UUID, name: str, *, actor: str) -> None:
        """Writes down what happened to a profile."""
        self._uow.events.add(message, f"profile:{profile_id}", actor=actor, data={"name": name})

    def find(self, id_or_name: UUID | str, revision: int | None = None) -> Profile | None:
        """A profile by its id, or by its name whatever the case; its last revision, or another one."""
        text = str(id_or_name).lower()
        rows = self._session.execute(
            select(ProfileRow, ProfileRevisionRow)
            .join(ProfileRevisionRow, ProfileRevisionRow.profile_id == ProfileRow.id)
            .where(
                or_(ProfileRow.id == text, ProfileRow.name_key == text),
                ProfileRevisionRow.revision == (ProfileRow.revision if revision is None else revision),
            )
        ).all()
        for row, shape in sorted(rows, key=lambda found: found[0].id != text):
            return _to_profile(row, shape, self._systems(row.id))
        return None

    def get(self, id_or_name: UUID | str) -> Profile:
        """The profile, in its last revision.

        Raises:
            NotFound: There is none.
        """
        profile = self.find(id_or_name)
        if profile is None:
            raise NotFound(
                f"There is no profile {id_or_name}; see `hawkfish profiles ls`.",
                kind="HawkFishProfile",
                id=str(id_or_name),
            )
        return profile

    def add(self, name: str, description: str, shape: ProfileShape, created_by: str) -> UUID:
        """Adds a profile with its first revision.

        Raises:
            AlreadyExists: The name is taken.
        """
        taken = AlreadyExists(
            f"A profile named {name} exists; choose another name, or give it a new revision.",
            kind="HawkFishProfile",
            property="Name",
            value=name,
        )
        if self._session.scalar(select(ProfileRow.id).where(ProfileRow.name_key == name.lower())) is not None:
            raise taken
        profile_id = uuid4()
        try:
            with self._session.begin_nested():
                self._session.execute(
                    insert(ProfileRow).values(
                        id=str(profile_id),
                        name=name,
                        name_key=name.lower(),
                        description=description,
                        revision=1,
                        created_at=self._uow.now(),
                        created_by=created_by,
                    )
                )
        except IntegrityError as error:
            raise taken from error  # another took it in this moment
        self._add_revision(profile_id, 1, shape, created_by)
        return profile_id

    def revise(
        self,
        profile: Profile,
        shape: ProfileShape,
        created_by: str,
        *,
        description: str,
        expected_version: int | None = None,
    ) -> None:
        """Adds a revision, which is the last one from now on.

        Raises:
            PreconditionFailed: The profile has another version by now.
        """
        revision = profile.revision_count + 1
        self._uow.write_version(
            ProfileRow, str(profile.id), expected_version, revision=revision, description=description
        )
        self._add_revision(profile.id, revision, shape, created_by)

    def _add_revision(self, profile_id: UUID, revision: int, shape: ProfileShape, created_by: str) -> None:
        interfaces = shape.network_interfaces
        self._session.execute(
            insert(ProfileRevisionRow).values(
                id=str(uuid4()),
                profile_id=str(profile_id),
                revision=revision,
                vcpus=shape.vcpus,
                memory_mib=shape.memory_mib,
                disk_gib=shape.disk_gib,
                firmware=shape.firmware,
                image_id=None if shape.image_id is None else str(shape.image_id),
                network_interfaces=None if interfaces is None else [_interface_to_json(item) for item in interfaces],
                labels=dict(shape.labels),
                created_at=self._uow.now(),
                created_by=created_by,
            )
        )

    def remove(self, profile_id: UUID, expected_version: int | None = None) -> None:
        """Removes a profile after which no system was made.

        Raises:
            InUse: Systems were.
            PreconditionFailed: It has another version by now.
        """
        self._uow.write_version(ProfileRow, str(profile_id), expected_version)
        systems = self._systems(str(profile_id))
        if systems:
            raise InUse(
                f"{systems} systems were made after this profile, which says what they are; delete them first.",
                by=f"{systems} systems",
                id=str(profile_id),
            )
        self._session.execute(delete(ProfileRevisionRow).where(ProfileRevisionRow.profile_id == str(profile_id)))
        self._session.execute(delete(ProfileRow).where(ProfileRow.id == str(profile_id)))

    # --- systems -------------------------------------------------------------------------------------------------

    def record_use(self, system_id: UUID, revision_id: UUID) -> None:
        """Records which revision a system was made after."""
        self._session.execute(insert(SystemProfileRow).values(system_id=str(system_id), revision_id=str(revision_id)))

    def uses(self, system_ids: Collection[str]) -> dict[str, ProfileUse]:
        """The revisions that systems were made after, by system."""
        rows: Sequence[Any]
        if len(system_ids) == 1:
            rows = USES_OF_ONE.rows(self._uow.connection, {"of_system": next(iter(system_ids))})
        else:
            rows = self._session.execute(USES.where(SystemProfileRow.system_id.in_(system_ids))).all()
        return {
            row.system_id: ProfileUse(profile_id=UUID(row.id), profile_name=row.name, revision=row.revision)
            for row in rows
        }

    def _systems(self, profile_id: str) -> int:
        statement = (
            select(func.count())
            .select_from(SystemProfileRow)
            .join(ProfileRevisionRow, ProfileRevisionRow.id == SystemProfileRow.revision_id)
            .where(ProfileRevisionRow.profile_id == profile_id)
        )
        return int(self._session.scalar(statement) or 0)


def _interface_to_json(interface: NewNetworkInterface) -> dict[str, Any]:
    attachment = interface.attachment
    return {
        "attachment": None if attachment is None else attachment_to_json(attachment),
        "model": interface.model,
    }


def _interface_from_json(values: Mapping[str, Any]) -> NewNetworkInterface:
    attachment = values["attachment"]
    return NewNetworkInterface(
        attachment=None if attachment is None else attachment_from_json(attachment),
        model=NetworkInterfaceModel(values["model"]),
    )


def _to_profile(row: ProfileRow, shape: ProfileRevisionRow, systems: int) -> Profile:
    interfaces = shape.network_interfaces
    return Profile(
        id=UUID(row.id),
        name=row.name,
        description=row.description,
        revision=shape.revision,
        revision_id=UUID(shape.id),
        revision_count=row.revision,
        shape=ProfileShape(
            vcpus=shape.vcpus,
            memory_mib=shape.memory_mib,
            disk_gib=shape.disk_gib,
            firmware=shape.firmware,
            image_id=None if shape.image_id is None else UUID(shape.image_id),
            network_interfaces=None if interfaces is None else tuple(_interface_from_json(item) for item in interfaces),
            labels=MappingProxyType(dict(shape.labels)),
        ),
        systems=systems,
        created_at=row.created_at,
        created_by=row.created_by,
        version=row.version,
    )
