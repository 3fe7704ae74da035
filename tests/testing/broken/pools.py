"""Pools with one fault each, and the test that is there to find it."""

POOL_TEST = """
    import pytest
    from pathlib import Path
    from uuid import uuid4
    from hawkfish.builtin.directory_pool import DirectoryPool
    from hawkfish.builtin.plugin import hawkfish_storage_pools
    from hawkfish.errors import *
    from hawkfish.plugins.compute import PoolHost
    from hawkfish.plugins.context import PoolConfig
    from hawkfish.testing.simulator import in_process_simulator, plugin_context
    from hawkfish.testing.storage import StoragePoolContract

    from contextlib import suppress
    from hawkfish.domain.storage import VolumeFormat
    from hawkfish.plugins.storage import *

    PROVIDES = next(iter(hawkfish_storage_pools())).provides

    {broken}

    class TestBroken(StoragePoolContract):
        @pytest.fixture
        def volume_bytes(self):
            return 2**20

        @pytest.fixture
        def provides(self):
            return PROVIDES

        @pytest.fixture
        def pool_host(self, tmp_path):
            with in_process_simulator(tmp_path) as simulator:
                driver = simulator.driver("simulated:///rack1", "ours")
                yield PoolHost(id=uuid4(), name="rack1", storage=driver, bulk_volumes=driver, data_dir=tmp_path)
                driver.close()

        @pytest.fixture
        def new_pool(self, tmp_path):
            return lambda: Broken(PoolConfig(id="1", name="p"), plugin_context(tmp_path, "ours"))
"""

BROKEN_POOLS = {
    "connects many in another order": (
        """
        class Broken(DirectoryPool):
            def connect_many(self, host, names):
                return super().connect_many(host, sorted(names, reverse=True))
        """,
        "test_many_volumes_are_made_and_connected_as_one_by_one",
    ),
    "deletes only once": (
        """
        class Broken(DirectoryPool):
            def delete(self, host, name):
                if self.find(host, name) is None:
                    raise NotFound("absent")
                super().delete(host, name)
        """,
        "test_a_volume_of_each_format_is_made_and_deleted",
    ),
    "shrinks without a word": (
        """
        class Broken(DirectoryPool):
            def resize(self, host, name, capacity_bytes, control=None):
                try:
                    return super().resize(host, name, capacity_bytes)
                except Conflict:
                    return self.find(host, name)
        """,
        "test_a_volume_grows_and_never_shrinks",
    ),
    "connects what is absent": (
        """
        class Broken(DirectoryPool):
            def connect(self, host, name):
                from hawkfish.domain.storage import FilePath
                return FilePath(path=Path("/") / name)
        """,
        "test_an_absent_volume_cannot_be_connected",
    ),
    "strips slashes from names": (
        """
        class Broken(DirectoryPool):
            def delete(self, host, name):
                super().delete(host, "".join(part for part in name if part.isalnum()) or "x")
        """,
        "test_names_that_leave_the_pool_are_refused[a/b]",
    ),
    "forgets with its object": (
        """
        class Broken(DirectoryPool):
            known = None

            def create(self, host, spec):
                self.known = {**(self.known or {}), spec.name: super().create(host, spec)}
                return self.known[spec.name]

            def find(self, host, name):
                found = super().find(host, name)
                return found and (self.known or {}).get(name)
        """,
        "test_every_object_for_the_pool_sees_the_same",
    ),
    "releasing deletes": (
        """
        class Broken(DirectoryPool):
            def release(self, host):
                with suppress(HawkFishError):
                    for volume in self.list_volumes(host):
                        self.delete(host, volume.name)
                super().release(host)
        """,
        "test_preparing_and_releasing_twice_is_harmless",
    ),
    "has what it does not claim": (
        """
        PROVIDES = PROVIDES - {PoolCapability.CLONE}
        Broken = DirectoryPool
        """,
        "test_the_record_provides_what_the_code_can",
    ),
    "keeps the method of what it does not claim": (
        """
        PROVIDES = PROVIDES - {PoolCapability.CLONE}
        body = {key: value for key, value in vars(DirectoryPool).items() if key not in ("__dict__", "__weakref__")}
        Broken = type("Broken", (StoragePool, SupportsResize, SupportsContent), body)
        """,
        "test_a_clone_has_a_life_of_its_own",
    ),
    "claims what it lacks": (
        """
        class Broken(DirectoryPool):
            def create(self, host, spec):
                facts = super().create(host, spec)
                if spec.format == "raw":
                    Path(facts.path).write_bytes(bytes(spec.capacity_bytes))
                return self.find(host, spec.name)

            @property
            def formats(self):
                return frozenset({VolumeFormat.RAW})
        """,
        "test_what_is_not_written_takes_no_room",
    ),
    "takes a format that it does not have": (
        """
        class Broken(DirectoryPool):
            def _checked(self, spec):
                return spec

            @property
            def formats(self):
                return frozenset({VolumeFormat.QCOW2})
        """,
        "test_a_format_that_is_not_offered_is_refused",
    ),
    "takes half a content for the whole": (
        """
        class Broken(DirectoryPool):
            def upload(self, host, name, content, length, *control):
                with suppress(HawkFishError):
                    super().upload(host, name, content, length, *control)
        """,
        "test_a_content_that_ends_early_is_an_error",
    ),
    "hears nothing": (
        """
        class Broken(DirectoryPool):
            def upload(self, host, name, content, length, *control):
                super().upload(host, name, content, length)
        """,
        "test_an_upload_ends_when_nobody_wants_it",
    ),
    "disconnecting deletes": (
        """
        class Broken(DirectoryPool):
            def disconnect(self, host, name):
                self.delete(host, name)
        """,
        "test_a_volume_is_connected_as_often_as_asked",
    ),
    "growing one grows all": (
        """
        class Broken(DirectoryPool):
            def resize(self, host, name, capacity_bytes, *control):
                facts = super().resize(host, name, capacity_bytes, *control)
                for other in self.list_volumes(host):
                    with suppress(HawkFishError):
                        super().resize(host, other.name, capacity_bytes)
                return facts
        """,
        "test_any_order_of_calls_ends_as_expected",
    ),
}
