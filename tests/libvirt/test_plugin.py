"""The plugin's module is light and says what the driver can do."""

import subprocess
import sys

from hawkfish_libvirt.plugin import CONFIG_FIELDS, PROVIDES, hawkfish_compute_drivers

from hawkfish.plugins.compute import CAPABILITY_INTERFACES


def test_loading_the_plugin_imports_no_libvirt():
    code = (
        "import sys, hawkfish_libvirt.plugin as p; list(p.hawkfish_compute_drivers()); print('libvirt' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_record_says_what_is_needed():
    (record,) = hawkfish_compute_drivers()
    assert (record.name, record.requires_modules, record.provides) == ("libvirt", ("libvirt",), PROVIDES)
    assert {field.name for field in record.config_fields} == {"virt_type", "machine_type", "data_dir"}
    assert all(field.help for field in CONFIG_FIELDS)


def test_what_is_provided_has_an_interface():
    assert set(CAPABILITY_INTERFACES) >= PROVIDES
