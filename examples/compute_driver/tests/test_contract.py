"""The whole test file of a compute driver: two fixtures, and the contract of all drivers."""

import pytest
from hawkfish_processes.plugin import hawkfish_compute_drivers

from hawkfish.plugins.config_fields import validate_config
from hawkfish.plugins.context import HostConfig
from hawkfish.testing.compute import ComputeDriverContract
from hawkfish.testing.simulator import plugin_context

RECORD = next(iter(hawkfish_compute_drivers()))


class TestProcessDriver(ComputeDriverContract):
    @pytest.fixture
    def provides(self):
        return RECORD.provides

    @pytest.fixture
    def new_driver(self, tmp_path):
        opened = []

        def new(installation_id=ComputeDriverContract.INSTALLATION):
            settings = validate_config(RECORD.config_fields, {}, plugin=RECORD.name)
            host = HostConfig(id="1", name="here", uri=f"processes://{tmp_path}/machines", settings=settings)
            opened.append(RECORD.factory(host, plugin_context(tmp_path, installation_id)))
            opened[-1].open()
            return opened[-1]

        yield new
        for driver in opened:
            driver.close()
