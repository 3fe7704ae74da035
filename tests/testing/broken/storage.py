"""Storage of hosts with one fault each, and the test that is there to find it."""

BROKEN_STORAGE = {
    "answers for many in the order of names": (
        """
        class Broken(SimulatedDriver):
            def create_volumes(self, pool, specs):
                return super().create_volumes(pool, sorted(specs, key=lambda spec: spec.name))
        """,
        "test_many_volumes_are_made_and_found_as_one_by_one",
    ),
    "takes any volume of the name": (
        """
        class Broken(SimulatedDriver):
            def create_volume(self, pool, spec):
                return self.find_volume(pool, spec.name) or super().create_volume(pool, spec)
        """,
        "test_a_different_volume_of_that_name_is_refused[size]",
    ),
    "cuts off contents": (
        """
        class Broken(SimulatedDriver):
            def download_volume(self, pool, name):
                yield next(super().download_volume(pool, name))
        """,
        "test_what_is_written_to_a_raw_volume_is_read_back",
    ),
    "forgets volumes with their pool": (
        """
        class Broken(SimulatedDriver):
            def remove_pool(self, name):
                with suppress(HawkFishError):
                    self.start_pool(name)
                    for volume in self.list_volumes(name):
                        self.delete_volume(name, volume.name)
                    self.stop_pool(name)
                super().remove_pool(name)
        """,
        "test_a_pool_is_stopped_and_forgotten_and_its_volumes_stay",
    ),
    "takes over the pool of another": (
        """
        class Broken(SimulatedDriver):
            def define_pool(self, definition):
                with suppress(ForeignObject):
                    super().define_pool(definition)
        """,
        "test_a_pool_of_that_name_elsewhere_is_left_alone",
    ),
    "deletes only once": (
        """
        class Broken(SimulatedDriver):
            def delete_volume(self, pool, name):
                if self.find_volume(pool, name) is None:
                    raise NotFound("absent")
                super().delete_volume(pool, name)
        """,
        "test_deleting_is_success_also_for_the_absent",
    ),
    "gives a little less": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def create_volume(self, pool, spec):
                return super().create_volume(pool, replace(spec, capacity_bytes=spec.capacity_bytes - 512))
        """,
        "test_a_volume_is_made_found_and_listed[raw]",
    ),
    "shrinks": (
        """
        from pathlib import Path

        class Broken(SimulatedDriver):
            def resize_volume(self, pool, name, capacity_bytes, control=None):
                try:
                    return super().resize_volume(pool, name, capacity_bytes)
                except Conflict:
                    Path(self.pool_path(pool), name).write_bytes(bytes(capacity_bytes))
                    return self.find_volume(pool, name)
        """,
        "test_a_volume_grows_and_never_shrinks[raw]",
    ),
    "a refused clone leaks": (
        """
        class Broken(SimulatedDriver):
            def clone_volume(self, pool, source, spec, *control):
                if self.find_volume(pool, spec.name) is None:
                    self.create_volume(pool, spec)
                    try:
                        original = self.find_volume(pool, source)
                        if spec.capacity_bytes < original.capacity_bytes:
                            raise Conflict("too small")
                    except AttributeError:
                        raise NotFound("absent") from None
                    self.delete_volume(pool, spec.name)
                return super().clone_volume(pool, source, spec, *control)
        """,
        "test_a_clone_smaller_than_its_source_is_refused",
    ),
    "a clone is empty": (
        """
        class Broken(SimulatedDriver):
            def clone_volume(self, pool, source, spec, *control):
                return self.create_volume(pool, spec)
        """,
        "test_a_clone_has_the_content_and_a_life_of_its_own",
    ),
    "writes what nobody wants": (
        """
        class Broken(SimulatedDriver):
            def upload_volume(self, pool, name, content, length, control=None):
                super().upload_volume(pool, name, content, length)
                control.report(length)
        """,
        "test_an_upload_ends_when_nobody_wants_it_any_more",
    ),
    "copies what nobody wants": (
        """
        class Broken(SimulatedDriver):
            def clone_volume(self, pool, source, spec, *control):
                return super().clone_volume(pool, source, spec)
        """,
        "test_work_that_is_not_wanted_from_the_start_does_nothing",
    ),
    "cleans names": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def create_volume(self, pool, spec):
                return super().create_volume(pool, replace(spec, name=spec.name.replace("/", "")))
        """,
        "test_names_that_leave_the_pool_are_refused[a/b]",
    ),
    "takes any size for none": (
        """
        from dataclasses import replace

        class Broken(SimulatedDriver):
            def create_volume(self, pool, spec):
                return super().create_volume(pool, replace(spec, capacity_bytes=max(512, spec.capacity_bytes)))
        """,
        "test_sizes_without_sense_are_refused[0]",
    ),
    "makes a pool that it does not know": (
        """
        from hawkfish.domain.storage import PoolStats

        class Broken(SimulatedDriver):
            def pool_stats(self, name):
                try:
                    return super().pool_stats(name)
                except NotFound:
                    return PoolStats(capacity_bytes=0, allocated_bytes=0, available_bytes=0)
        """,
        "test_what_is_not_there_is_not_worked_on",
    ),
    "sees its own volumes alone": (
        """
        class Broken(SimulatedDriver):
            def __init__(self, *given):
                super().__init__(*given)
                self.mine = set()

            def create_volume(self, pool, spec):
                self.mine.add(spec.name)
                return super().create_volume(pool, spec)

            def find_volume(self, pool, name):
                return super().find_volume(pool, name) if name in self.mine else None
        """,
        "test_volumes_are_found_by_every_object_for_the_host",
    ),
    "a clone is its source under another name": (
        """
        import os
        from pathlib import Path

        class Broken(SimulatedDriver):
            def clone_volume(self, pool, source, spec, *control):
                folder, original = Path(self.pool_path(pool)), self.find_volume(pool, source)
                if original is None or original.capacity_bytes != spec.capacity_bytes:
                    return super().clone_volume(pool, source, spec, *control)
                os.link(folder / source, folder / spec.name)
                return self.find_volume(pool, spec.name)
        """,
        "test_a_clone_and_its_source_grow_apart[qcow2]",
    ),
    "growing one grows all": (
        """
        class Broken(SimulatedDriver):
            def resize_volume(self, pool, name, capacity_bytes, *control):
                facts = super().resize_volume(pool, name, capacity_bytes, *control)
                for other in self.list_volumes(pool):
                    with suppress(HawkFishError):
                        super().resize_volume(pool, other.name, capacity_bytes)
                return facts
        """,
        "test_any_order_of_calls_ends_as_expected",
    ),
}
