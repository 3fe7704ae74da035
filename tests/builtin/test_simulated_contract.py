"""The simulated driver fills the contract of compute drivers, over its socket as the plugin's factory makes it."""

import pytest

from hawkfish.builtin.plugin import hawkfish_compute_drivers
from hawkfish.plugins.config_fields import validate_config
from hawkfish.plugins.context import HostConfig
from hawkfish.testing.compute import ComputeDriverContract
from hawkfish.testing.simulator import plugin_context, running_simulator

URI = "simulated:///rack1?boot_seconds=0.1&shutdown_seconds=0.1"


class SimulatedContract(ComputeDriverContract):
    uri = URI

    @pytest.fixture
    def record(self):
        return next(iter(hawkfish_compute_drivers()))

    @pytest.fixture
    def provides(self, record):
        return record.provides

    @pytest.fixture
    def new_driver(self, tmp_path, record):
        opened = []

        def new(installation_id=ComputeDriverContract.INSTALLATION):
            settings = validate_config(record.config_fields, {}, plugin=record.name)
            host = HostConfig(id="1", name="rack1", uri=self.uri, settings=settings)
            driver = record.factory(host, plugin_context(tmp_path, installation_id))
            driver.open()
            opened.append(driver)
            return driver

        with running_simulator(tmp_path):
            yield new
            for driver in opened:
                driver.close()


class TestSimulatedDriver(SimulatedContract):
    @pytest.fixture
    def boots_guest(self):
        return True


class TestSimulatedDriverWhoseGuestsTakeForever(SimulatedContract):
    """As a hypervisor whose machines have no operating system."""

    uri = "simulated:///rack1?boot_seconds=3600"


class TestSimulatedHostThatLacksThings(SimulatedContract):
    uri = f"{URI}&lacks=reset,nmi,pause,screenshot,media,disk-hotplug,graceful-shutdown,serial-log,boot-override"

    @pytest.fixture
    def boots_guest(self):
        return False
