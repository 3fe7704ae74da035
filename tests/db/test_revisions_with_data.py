"""Schema revisions over a database that was in use: what the older ones know stays, and the newest fits the models again."""

from __future__ import annotations

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from hawkfish.db import Database
from hawkfish.db.database import _alembic_config
from hawkfish.domain.accounts import SYSTEM_ACTOR, Role
from hawkfish.domain.images import NewImage
from hawkfish.domain.profiles import ProfileShape
from tests.support.installation import MIB, open_installation


@pytest.fixture
def used_database(database_url, tmp_path):
    """A database with an account, a host, a pool, a running system with a disk and a picture, and their tasks.

    There is an image, too, and a profile that names it, and a system that was made after the profile.
    """
    with open_installation(tmp_path, database_url) as installation:
        installation.application.accounts.create(SYSTEM_ACTOR, "keeper", "Quiet-Harbour-41", Role.OPERATOR)
        image_id = installation.application.images.add(SYSTEM_ACTOR, NewImage(name="disk")).subject_id
        with installation.application.images.begin_upload(SYSTEM_ACTOR, image_id, None) as upload:
            upload.write(b"x" * MIB)
            upload.finish()
        shape = ProfileShape(vcpus=1, memory_mib=64)
        installation.application.profiles.create(SYSTEM_ACTOR, "node", shape, image="disk", description="")
        shaped = installation.create(name="node1", profile="node", disks=())
        assert (shaped.profile.revision, shaped.disks[0].capacity_bytes) == (1, MIB)
        system = installation.create(name="web1", power_on=True)
        installation.done(installation.application.systems.screenshot(SYSTEM_ACTOR, system.id))
    database = Database(database_url)
    yield database
    database.close()


def counts(database):
    with database.read() as uow:
        return uow.accounts.count(), uow.tasks.count()


@pytest.mark.slow
def test_each_revision_can_be_taken_back_and_made_again_with_data_in_it(used_database):
    before = counts(used_database)
    with used_database._schema_connection() as connection:
        config = _alembic_config()
        config.attributes["connection"] = connection
        command.check(config)
    used_database.downgrade("0002")
    assert not used_database.check().ok
    assert counts(used_database) == before, "accounts and tasks are older than systems"
    used_database.upgrade()
    assert used_database.check().ok
    assert counts(used_database) == before
    with used_database.read() as uow:
        assert (uow.systems.count(), uow.hosts.all(), uow.pools.all()) == (0, [], [])
    used_database.downgrade("base")
    used_database.upgrade()
    assert used_database.check().ok


@pytest.mark.slow
def test_an_override_of_a_newer_version_is_gone_in_an_older_one(used_database):
    def overrides():
        with used_database.engine.connect() as connection:
            found = connection.execute(text("SELECT boot_enabled, boot_device FROM hf_systems"))
            return {tuple(row) for row in found}

    def override(device):
        with used_database._writing.begin() as connection:
            connection.execute(text(f"UPDATE hf_systems SET boot_enabled = 'Once', boot_device = '{device}'"))

    override("setup")
    used_database.downgrade("0014")
    assert overrides() == {("Disabled", None)}
    with pytest.raises(IntegrityError, match="ck_hf_systems_boot_device"):
        override("setup")
    override("cd")
    used_database.upgrade()
    assert (overrides(), used_database.check().ok) == ({("Once", "cd")}, True)
    override("setup")


@pytest.mark.slow
def test_what_tells_a_service_from_others_is_empty_after_an_older_version(used_database):
    def installation():
        with used_database.read() as uow:
            return uow.accounts.installation_id(), uow.accounts.secret_key(), uow.accounts.service_identification()

    identity, key, first = installation()
    assert first == ""
    with used_database._writing.begin() as connection:
        connection.execute(text("UPDATE hf_installation SET service_identification = 'lab 1'"))
    assert installation() == (identity, key, "lab 1")
    used_database.downgrade("0018")
    used_database.upgrade()
    assert used_database.check().ok
    assert installation() == (identity, key, "")


@pytest.mark.slow
def test_without_images_and_profiles_what_was_made_of_them_stays(used_database):
    with used_database.read() as uow:
        before = uow.systems.get("node1")
    used_database.downgrade("0007")
    used_database.upgrade()
    assert used_database.check().ok
    with used_database.read() as uow:
        after = uow.systems.get("node1")
        assert (uow.images.all(), uow.profiles.all()) == ([], [])
    assert (after.profile, after.disks[0].image_digest) == (None, None)
    assert [disk.volume_name for disk in after.disks] == [disk.volume_name for disk in before.disks]
