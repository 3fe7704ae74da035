"""What core registers by itself, and how lightly."""

import subprocess
import sys

import pluggy

from hawkfish.builtin import plugin
from hawkfish.builtin.simulated.driver import SimulatedDriver
from hawkfish.plugins import HAWKFISH_PLUGIN_API
from hawkfish.plugins.compute import CAPABILITY_INTERFACES
from hawkfish.plugins.hookspecs import HawkFishSpecs


def test_the_module_is_a_plugin_of_this_api():
    manager = pluggy.PluginManager("hawkfish")
    manager.add_hookspecs(HawkFishSpecs)
    manager.register(plugin)
    manager.check_pending()
    assert plugin.HAWKFISH_PLUGIN_API == HAWKFISH_PLUGIN_API
    assert [record.name for records in manager.hook.hawkfish_compute_drivers() for record in records] == ["simulated"]
    assert [record.name for records in manager.hook.hawkfish_storage_pools() for record in records] == ["dir"]


def test_the_record_of_the_driver_claims_what_its_class_can():
    record = next(iter(plugin.hawkfish_compute_drivers()))
    can = {item for item, interface in CAPABILITY_INTERFACES.items() if issubclass(SimulatedDriver, interface)}
    assert record.provides == can


def test_importing_it_imports_nothing_heavy():
    program = "import sys, hawkfish.builtin.plugin; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"PIL", "asyncio", "sqlite3", "libvirt", "gevent", "sqlalchemy", "falcon", "hypothesis", "pytest"}
    assert not heavy & set(loaded)
    assert not {name for name in loaded if name.startswith("hawkfish.builtin.simulated.") and "settings" not in name}
