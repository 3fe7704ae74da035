"""The pool type `dir` fills the contract of pool types, on a simulated host."""

from pathlib import Path, PurePosixPath
from uuid import uuid4

import pytest

from hawkfish.builtin.plugin import hawkfish_storage_pools
from hawkfish.domain.storage import FilePath, VolumeSpec
from hawkfish.errors import ForeignObject, NotSupported, PluginConfigInvalid
from hawkfish.plugins.compute import PoolHost
from hawkfish.plugins.config_fields import validate_config
from hawkfish.plugins.context import PoolConfig
from hawkfish.testing.simulator import in_process_simulator, plugin_context
from hawkfish.testing.storage import StoragePoolContract


@pytest.fixture
def record():
    return next(iter(hawkfish_storage_pools()))


@pytest.fixture
def rack(tmp_path):
    with in_process_simulator(tmp_path) as simulator:
        driver = simulator.driver("simulated:///rack1", "ours")
        yield PoolHost(
            id=uuid4(), name="rack1", storage=driver, bulk_volumes=driver, data_dir=Path(driver.probe().data_dir)
        )
        driver.close()


@pytest.fixture
def make_pool(record, tmp_path):
    def make(**config):
        checked = validate_config(record.config_fields, config, plugin="dir")
        return record.factory(PoolConfig(id="1", name="default", config=checked), plugin_context(tmp_path, "ours"))

    return make


class TestDirectoryPool(StoragePoolContract):
    @pytest.fixture
    def volume_bytes(self):
        return 2**20

    @pytest.fixture
    def provides(self, record):
        return record.provides

    @pytest.fixture
    def pool_host(self, rack):
        return rack

    @pytest.fixture
    def new_pool(self, make_pool):
        return make_pool


class TestDirectoryPoolWithPath(TestDirectoryPool):
    @pytest.fixture
    def new_pool(self, make_pool, tmp_path):
        return lambda: make_pool(path=str(tmp_path / "volumes"))


def test_volumes_are_files_in_the_hosts_data_folder(make_pool, rack):
    pool = make_pool()
    pool.prepare(rack)
    pool.create(rack, VolumeSpec(name="root", capacity_bytes=2**30))
    connection = pool.connect(rack, "root")
    assert connection == FilePath(path=PurePosixPath(rack.data_dir / "pools" / "default-1" / "root"))
    assert Path(connection.path).read_bytes()[:4] == b"QFI\xfb"


def test_releasing_leaves_the_files(make_pool, rack, tmp_path):
    pool = make_pool(path=str(tmp_path / "volumes"))
    pool.prepare(rack)
    pool.create(rack, VolumeSpec(name="root", capacity_bytes=2**20))
    pool.release(rack)
    assert [path.name for path in (tmp_path / "volumes").iterdir()] == ["root"]


def test_a_pool_of_the_same_name_elsewhere_is_left_alone(make_pool, rack, tmp_path):
    make_pool(path=str(tmp_path / "first")).prepare(rack)
    with pytest.raises(ForeignObject, match="choose another name"):
        make_pool(path=str(tmp_path / "second")).prepare(rack)


@pytest.mark.parametrize("path", ["relative", "", "/up/../etc"])
def test_a_path_must_be_absolute_and_plain(make_pool, path):
    with pytest.raises(PluginConfigInvalid, match=r"setting .path.|folder"):
        make_pool(path=path)


def test_a_host_without_storage_manager_is_refused(make_pool):
    with pytest.raises(NotSupported, match="storage manager"):
        make_pool().prepare(PoolHost(id=uuid4(), name="bare"))


def test_a_host_without_folder_needs_a_path(make_pool, rack):
    with pytest.raises(PluginConfigInvalid, match="give the pool default a path"):
        make_pool().prepare(PoolHost(id=uuid4(), name="bare", storage=rack.storage))
