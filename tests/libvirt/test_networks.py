"""Network interfaces on a real host: a libvirt network, a bridge that an administrator made, and neither."""

import subprocess

import pytest

from hawkfish.domain.machines import Bridge, NamedNetwork, NetworkInterfaceSpec, PowerState, UserMode
from tests.support.libvirt_host import enter_network

pytestmark = pytest.mark.needs_libvirt

NETWORK = """
<network><name>lab</name><bridge name="virbr-lab"/><ip address="192.168.177.1" netmask="255.255.255.0"/></network>
"""


@pytest.fixture
def inside(libvirt_host):
    """Runs `ip` in the host's own network namespace."""

    def run(*arguments):
        command = [*enter_network(libvirt_host), "ip", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    return run


@pytest.fixture
def bridge(inside):
    inside("link", "add", "br-lab", "type", "bridge")
    inside("link", "set", "br-lab", "up")
    yield "br-lab"
    inside("link", "del", "br-lab")


@pytest.fixture
def network(libvirt_host, tmp_path):
    file = tmp_path / "network.xml"
    file.write_text(NETWORK)
    libvirt_host.virsh("net-create", str(file))
    yield "lab"
    libvirt_host.virsh("net-destroy", "lab")


def test_a_machine_on_a_network_a_bridge_and_neither(driver, new_machine, inside, bridge, network):
    facts = driver.probe()
    assert network in facts.networks
    assert {bridge, "virbr-lab"} <= set(facts.bridges)
    attachments = (NamedNetwork(name=network), Bridge(name=bridge), UserMode())
    addresses = tuple(f"52:54:00:12:34:0{number}" for number in range(1, 4))
    spec = new_machine(
        memory_mib=64,
        network_interfaces=tuple(
            NetworkInterfaceSpec(id=f"NIC{number}", mac_address=address, attachment=attachment)
            for number, (address, attachment) in enumerate(zip(addresses, attachments, strict=True), start=1)
        ),
    )
    assert driver.start_machine(spec.id).power_state is PowerState.ON
    assert driver.find_machine(spec.id).mac_addresses == addresses
    for master in (bridge, "virbr-lab"):
        assert "vnet" in inside("link", "show", "master", master)
