"""Contract kits and fakes for plugin authors (extra `hawkfish[testing]`).

A plugin's test file is a fixture or two and a class name: subclass what your plugin is, and supply the fixtures that it names.

* `compute.ComputeDriverContract`: every compute driver; `guests.GuestContract` where a guest can be booted,
  `deadlines.DeadlineContract` where the host can be made to hang
* `host_storage.HostStorageContract`: a driver that offers storage
* `storage.StoragePoolContract`: a type of storage pool
* `quota.QuotaCheckerContract`: a quota checker
* `faults.FailAt`: any driver or pool, with the n-th call failing
"""

import pytest

# Before they are imported, or failures would show no values.
pytest.register_assert_rewrite(
    *(
        f"hawkfish.testing.{name}"
        for name in (
            "compute",
            "compute_machine",
            "deadlines",
            "devices",
            "driver_fixtures",
            "faults",
            "gates",
            "guests",
            "host_storage",
            "quota",
            "storage",
            "volume_machine",
        )
    )
)
