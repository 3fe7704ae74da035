"""The pool type `dir` fills the contract of pool types on a libvirt host too, and takes no other pool's folder."""

from pathlib import Path, PurePosixPath
from uuid import uuid4

import pytest

from hawkfish.builtin.plugin import hawkfish_storage_pools
from hawkfish.domain.storage import PoolDefinition, PoolKind
from hawkfish.errors import ForeignObject, NotFound
from hawkfish.plugins.compute import PoolHost
from hawkfish.plugins.config_fields import validate_config
from hawkfish.plugins.context import PoolConfig
from hawkfish.testing.simulator import plugin_context
from hawkfish.testing.storage import StoragePoolContract

pytestmark = pytest.mark.needs_libvirt


class TestDirectoryPoolOnLibvirt(StoragePoolContract):
    @pytest.fixture
    def record(self):
        return next(iter(hawkfish_storage_pools()))

    @pytest.fixture
    def provides(self, record):
        return record.provides

    @pytest.fixture
    def pool_host(self, new_libvirt_driver, libvirt_host):
        driver = new_libvirt_driver()
        return PoolHost(id=uuid4(), name="host-1", storage=driver, data_dir=Path(driver.probe().data_dir))

    @pytest.fixture
    def new_pool(self, record, tmp_path):
        config = validate_config(record.config_fields, {}, plugin="dir")
        pool = PoolConfig(id=uuid4().hex, name="default", config=config)
        return lambda: record.factory(pool, plugin_context(tmp_path, "ours"))

    @pytest.fixture
    def pool_examples(self):
        return 4


def test_the_folder_of_another_pool_is_left_alone_and_the_refusal_says_what_to_do(driver, pool, libvirt_host):
    other = PoolDefinition(
        name=f"{pool}-other", kind=PoolKind.DIRECTORY, target=PurePosixPath(libvirt_host.data / pool)
    )
    with pytest.raises(ForeignObject, match=f"belongs to its pool {pool}, .* virsh pool-undefine {pool} "):
        driver.define_pool(other)
    with pytest.raises(NotFound):
        driver.pool_path(other.name)
    assert driver.pool_path(pool) == str(libvirt_host.data / pool)
