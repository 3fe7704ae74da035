"""The simulated driver fills the contracts of compute drivers, over its socket as the plugin's factory makes it."""

from contextlib import contextmanager, suppress

import pytest

from hawkfish.builtin.plugin import hawkfish_compute_drivers
from hawkfish.builtin.simulated.control import FaultKind
from hawkfish.errors import BackendTimeout
from hawkfish.plugins.config_fields import validate_config
from hawkfish.plugins.context import HostConfig
from hawkfish.testing.compute import ComputeDriverContract
from hawkfish.testing.deadlines import CALLS, DeadlineContract
from hawkfish.testing.driver_fixtures import DriverFixtures
from hawkfish.testing.guests import GuestContract
from hawkfish.testing.host_storage import HostStorageContract
from hawkfish.testing.simulator import plugin_context, running_simulator
from hawkfish.testing.waiting import wait_until

pytestmark = pytest.mark.slow  # hundreds of machines by generated calls

URI = "simulated:///rack1?boot_seconds=0.1&shutdown_seconds=0.1"


class Simulated(DriverFixtures):
    uri = URI
    call_timeout = 30.0

    @pytest.fixture
    def record(self):
        return next(iter(hawkfish_compute_drivers()))

    @pytest.fixture
    def provides(self, record):
        return record.provides

    @pytest.fixture
    def new_driver(self, tmp_path, record):
        opened = []

        def new(installation_id=DriverFixtures.INSTALLATION):
            settings = validate_config(record.config_fields, {}, plugin=record.name)
            host = HostConfig(id="1", name="rack1", uri=self.uri, settings=settings)
            driver = record.factory(host, plugin_context(tmp_path, installation_id, self.call_timeout))
            opened.append(driver)
            wait_until(lambda: self._opens(driver), "the connection")
            return driver

        with running_simulator(tmp_path) as self.control:
            yield new
            for driver in opened:
                driver.close()

    @staticmethod
    def _opens(driver):
        with suppress(BackendTimeout):  # of calls that may take a second only, on a loaded machine
            driver.open()
            return True
        return False


class TestSimulatedDriver(Simulated, ComputeDriverContract):
    @pytest.fixture
    def boots_guest(self):
        return True


class TestSimulatedDriverWhoseGuestsTakeForever(Simulated, ComputeDriverContract):
    """As a hypervisor whose machines have no operating system."""

    uri = "simulated:///rack1?boot_seconds=3600"


class TestSimulatedHostThatLacksThings(Simulated, ComputeDriverContract):
    uri = f"{URI}&lacks=reset,nmi,pause,screenshot,media,disk-hotplug,graceful-shutdown,serial-log,boot-override"


class TestSimulatedHostWithoutStorage(Simulated, ComputeDriverContract):
    uri = f"{URI}&lacks=host-storage,events"

    @pytest.fixture
    def machine_examples(self):
        return 1


class TestSimulatedGuests(Simulated, GuestContract):
    @pytest.fixture
    def guest_image(self):
        return None


class TestSimulatedHostThatHangs(Simulated, DeadlineContract):
    call_timeout = DeadlineContract.CALL_SECONDS
    MARGIN = 20.0

    @pytest.fixture
    def hung(self):
        @contextmanager
        def hang():
            for call in CALLS:
                self.control.fail(call, kind=FaultKind.HANG)
            yield
            self.control.clear_faults()

        return hang


class TestSimulatedHostStorage(Simulated, HostStorageContract):
    @pytest.fixture
    def new_storage(self, new_driver):
        return new_driver
