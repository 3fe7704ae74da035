"""The whole test file of a quota checker: three fixtures, and the contract of all checkers."""

from dataclasses import replace

import pytest
from hawkfish_machine_size.plugin import hawkfish_quota_checkers

from hawkfish.plugins.config_fields import validate_config
from hawkfish.testing.quota import QuotaCheckerContract, quota_request
from hawkfish.testing.simulator import plugin_context


class TestMachineSize(QuotaCheckerContract):
    @pytest.fixture
    def new_checker(self, tmp_path):
        record = next(iter(hawkfish_quota_checkers()))
        settings = validate_config(record.settings_fields, {"vcpus": 4}, plugin=record.name)
        return lambda: record.factory(replace(plugin_context(tmp_path, "a-test"), settings=settings))

    @pytest.fixture
    def allowed(self):
        return quota_request(vCPUs=4, MemoryMiB=16384)

    @pytest.fixture
    def denied(self):
        return quota_request(vCPUs=5)
