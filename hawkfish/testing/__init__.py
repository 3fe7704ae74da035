"""Contract kits and fakes for plugin authors (extra `hawkfish[testing]`).

A plugin's test file is a fixture or two and a class name: subclass `hawkfish.testing.compute.ComputeDriverContract` or
`hawkfish.testing.storage.StoragePoolContract` and supply the fixtures that it names.
"""

import pytest

# Before they are imported, or failures would show no values.
pytest.register_assert_rewrite(
    "hawkfish.testing.compute",
    "hawkfish.testing.compute_machine",
    "hawkfish.testing.devices",
    "hawkfish.testing.faults",
    "hawkfish.testing.host_storage",
    "hawkfish.testing.storage",
)
