"""The libvirt driver fills the contract of compute drivers, on a real host."""

import pytest
from hawkfish_libvirt.plugin import PROVIDES

from hawkfish.testing.compute import ComputeDriverContract

pytestmark = pytest.mark.needs_libvirt


class TestLibvirtDriver(ComputeDriverContract):
    @pytest.fixture
    def provides(self):
        return PROVIDES

    @pytest.fixture
    def new_driver(self, new_libvirt_driver):
        def new(installation_id=ComputeDriverContract.INSTALLATION):
            return new_libvirt_driver(installation_id=installation_id)

        return new
