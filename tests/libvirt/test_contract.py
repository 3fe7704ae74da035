"""The libvirt driver fills the contracts of compute drivers and of host storage, on a real host."""

from contextlib import contextmanager
from pathlib import PurePosixPath
from uuid import uuid4

import pytest
from hawkfish_libvirt.plugin import PROVIDES

from hawkfish.testing.compute import ComputeDriverContract
from hawkfish.testing.deadlines import DeadlineContract
from hawkfish.testing.driver_fixtures import DriverFixtures
from hawkfish.testing.guests import GuestContract
from hawkfish.testing.host_storage import HostStorageContract

pytestmark = pytest.mark.needs_libvirt


class Libvirt(DriverFixtures):
    call_timeout = 30.0

    @pytest.fixture
    def provides(self):
        return PROVIDES

    @pytest.fixture
    def new_driver(self, new_libvirt_driver):
        def new(installation_id=DriverFixtures.INSTALLATION):
            return new_libvirt_driver(installation_id=installation_id, call_timeout=self.call_timeout)

        return new

    @pytest.fixture
    def pool_target(self, libvirt_host):
        return PurePosixPath(libvirt_host.data / f"contract-{uuid4().hex[:8]}")


class TestLibvirtDriver(Libvirt, ComputeDriverContract):
    @pytest.fixture
    def machine_examples(self):
        return 15


@pytest.mark.slow
@pytest.mark.timeout(900)  # three boots under emulation, on a machine that may be busy
class TestLibvirtGuests(Libvirt, GuestContract):
    @pytest.fixture
    def guest_image(self, guest_iso):
        return guest_iso


class TestLibvirtHostThatHangs(Libvirt, DeadlineContract):
    CALL_SECONDS = 2.0
    MARGIN = 10.0  # on a machine that may be busy; what has no deadline would never end
    call_timeout = 2.0

    @pytest.fixture
    def hung(self, libvirt_host):
        @contextmanager
        def hang():
            libvirt_host.freeze()
            try:
                yield
            finally:
                libvirt_host.thaw()

        return hang


class TestLibvirtHostStorage(Libvirt, HostStorageContract):
    @pytest.fixture
    def new_storage(self, new_driver):
        return new_driver

    @pytest.fixture
    def storage_examples(self):
        return 4
