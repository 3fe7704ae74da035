"""Domain XML as objects: what is built is read back, and what libvirt or others wrote is understood."""

from dataclasses import replace
from uuid import UUID

import pytest
from hawkfish_libvirt.layout import Platform, build_machine, with_boot_first
from hawkfish_libvirt.machine_xml import CpuXml, DiskXml, FirmwareXml, InterfaceXml, MachineXml, Run
from hawkfish_libvirt.source_xml import Source
from hypothesis import given
from hypothesis import strategies as st

from hawkfish.domain.machines import (
    BootDevice,
    DiskBus,
    DiskSpec,
    DriveSpec,
    Firmware,
    FirmwareSetup,
    MachineSpec,
    MachineStamp,
    NestedVirtualisation,
    NetworkInterfaceSpec,
)
from hawkfish.domain.storage import FilePath, VolumeFormat
from hawkfish.errors import InvalidRequest, NotSupported

# What XML can carry, awkward characters included.
text = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Co", "Cn")), min_size=1, max_size=20
).filter(lambda value: value == value.strip())
names = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)
maybe_order = st.none() | st.integers(1, 99)
addresses = st.just(()) | st.just((("bus", "0x03"), ("slot", "0x00"), ("type", "pci")))
sources = st.one_of(
    st.builds(Source, xml_type=st.sampled_from(["file", "block"]), place=text),
    st.builds(
        Source,
        xml_type=st.just("network"),
        place=text,
        protocol=st.sampled_from(["nbd", "iscsi", "https"]),
        host=names,
        port=st.none() | st.integers(1, 65535),
    ),
)


@st.composite
def disks(draw):
    identity = draw(names)
    return DiskXml(
        id=identity,
        alias=f"ua-{identity}",
        target=draw(names),
        bus=draw(st.sampled_from(["virtio", "sata", "scsi"])),
        device=draw(st.sampled_from(["disk", "cdrom"])),
        source=draw(st.none() | sources),
        format=draw(st.sampled_from(["raw", "qcow2"])),
        cache=draw(st.none() | st.just("none")),
        discard=draw(st.none() | st.just("unmap")),
        serial=draw(st.none() | names),
        read_only=draw(st.booleans()),
        shareable=draw(st.booleans()),
        boot_order=draw(maybe_order),
        address=draw(addresses),
    )


interfaces = st.builds(
    InterfaceXml,
    mac_address=st.from_regex(r"52:54:00(:[0-9a-f]{2}){3}", fullmatch=True),
    kind=st.sampled_from(["network", "bridge"]),
    source=text,
    model=st.sampled_from(["virtio", "e1000e"]),
    vlan=st.none() | st.integers(1, 4094),
    boot_order=maybe_order,
    alias=st.none() | names,
    address=addresses,
)
stamps = st.builds(MachineStamp, installation_id=text, task_id=text, epoch=st.integers(0, 2**40))
setups = st.builds(
    FirmwareSetup,
    cpu_model=st.just("") | names,
    nested_virtualisation=st.sampled_from(NestedVirtualisation),
    network_boot=st.booleans(),
)
boot_devices = st.lists(names, max_size=3).map(tuple)
runs = st.builds(
    Run,
    id=names,
    override=st.just("cd"),
    once=st.booleans(),
    starting=st.booleans(),
    preparing=st.booleans(),
    boot_devices=boot_devices,
    setup=st.none() | setups,
) | st.builds(Run, id=names, starting=st.booleans(), boot_devices=boot_devices)
cpus = (
    st.just(CpuXml())
    | st.builds(CpuXml, mode=st.sampled_from(["maximum", "host-model", "host-passthrough"]))
    | st.builds(CpuXml, mode=st.just("custom"), name=names, nested=st.just("svm"), nested_enabled=st.booleans())
)


def firmwares(*, kept):
    uefi = st.builds(FirmwareXml, uefi=st.just(True), nvram=st.none() | names)
    bios = st.builds(FirmwareXml, uefi=st.just(False), nvram=st.none() | names, keeps_variables=st.just(value=True))
    asking = st.builds(FirmwareXml, uefi=st.just(True), nvram=st.none() | names, asks_for_setup=names)
    return uefi | bios | asking if kept else uefi


@st.composite
def machines(draw):
    stamp = draw(st.none() | stamps)
    serial = draw(st.booleans())
    return MachineXml(
        id=draw(st.uuids()),
        name=draw(names),
        vcpus=draw(st.integers(1, 288)),
        memory_kib=draw(st.integers(1, 2**40)),
        virt_type=draw(st.sampled_from(["kvm", "qemu"])),
        machine_type=draw(st.sampled_from(["q35", "pc-q35-7.2"])),
        cpu=draw(cpus),
        firmware=draw(st.just(FirmwareXml(uefi=False)) | firmwares(kept=stamp is not None)),
        stamp=stamp,
        run=draw(st.none() | runs) if stamp else None,
        disks=tuple(draw(st.lists(disks(), max_size=4))),
        interfaces=tuple(draw(st.lists(interfaces, max_size=3))),
        graphics=draw(st.booleans()),
        serial=serial,
        serial_log=draw(st.none() | text) if serial else None,
        random=draw(st.booleans()),
    )


@pytest.mark.slow
@given(machines())
def test_what_is_built_is_read_back(machine):
    assert MachineXml.parse(machine.build()) == machine


FOREIGN = """
<domain type='kvm' id='7'>
  <name>theirs</name><uuid>5f0b1a52-7b34-4b26-9f6f-0a2f6f7f7a11</uuid>
  <metadata><x:note xmlns:x='urn:x'>hello</x:note></metadata>
  <memory unit='GiB'>2</memory><vcpu placement='static'>4</vcpu>
  <os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type></os>
  <devices>
    <disk type='volume' device='disk'><source pool='p' volume='v'/><target dev='hda' bus='ide'/></disk>
    <disk type='file' device='cdrom'><target dev='hdb' bus='ide'/></disk>
    <interface type='direct'><mac address='52:54:00:AA:BB:CC'/></interface>
    <hostdev mode='subsystem' type='pci'/>
  </devices>
</domain>
"""


def test_a_machine_of_others_is_understood_as_far_as_it_matters():
    machine = MachineXml.parse(FOREIGN)
    assert (machine.name, machine.vcpus, machine.memory_kib, machine.stamp) == ("theirs", 4, 2 * 1024**2, None)
    assert [disk.id for disk in machine.disks] == ["hda", "hdb"]
    assert machine.interfaces[0].mac_address == "52:54:00:aa:bb:cc"


# --- from a specification ---------------------------------------------------------------------------------------------


def disk(name, **changes):
    return DiskSpec(id=name, connection=FilePath(path=f"/d/{name}"), format=VolumeFormat.QCOW2, **changes)


def spec(**changes):
    given = {
        "id": UUID(int=1),
        "name": "m",
        "vcpus": 1,
        "memory_mib": 256,
        "stamp": MachineStamp(installation_id="i", task_id="t", epoch=1),
        "disks": (disk("one"), disk("two")),
        "network_interfaces": (NetworkInterfaceSpec(id="n", mac_address="52:54:00:00:00:01"),),
    }
    return MachineSpec(**given | changes)


def build(machine_spec, old=None):
    return build_machine(machine_spec, Platform(virt_type="qemu"), "/l", old)


def test_devices_boot_in_the_order_of_their_groups():
    machine = build(spec(boot_order=(BootDevice.NETWORK, BootDevice.DISK)))
    assert [item.boot_order for item in machine.interfaces] == [1]
    assert [item.boot_order for item in machine.disks] == [2, 3, None]


def test_devices_that_are_named_boot_before_their_groups():
    machine = build(spec(boot_devices=("n", "two", "absent")))
    assert machine.boot_devices == ("n", "two", "one", "Cd")
    assert with_boot_first(machine, BootDevice.DISK).boot_devices == ("two", "one", "n", "Cd")


def test_variables_of_uefi_outlive_a_time_with_bios():
    uefi = replace(build(spec(firmware=Firmware.UEFI)), firmware=FirmwareXml(uefi=True, nvram="/nvram/m.fd"))
    bios = build(spec(firmware=Firmware.BIOS), uefi)
    assert "<nvram>" not in bios.build()
    read = MachineXml.parse(bios.build())
    assert read.firmware == FirmwareXml(uefi=False, nvram="/nvram/m.fd", keeps_variables=True)
    assert build(spec(firmware=Firmware.UEFI), read).firmware == uefi.firmware


def test_an_override_goes_first_and_the_rest_keeps_its_order():
    machine = with_boot_first(build(spec()), BootDevice.CD)
    assert [item.boot_order for item in machine.disks] == [2, 3, 1]
    assert machine.interfaces[0].boot_order == 4


def test_an_override_to_a_device_that_is_not_there_is_refused():
    with pytest.raises(NotSupported, match="floppy"):
        with_boot_first(build(spec()), BootDevice.FLOPPY)


def test_devices_keep_their_names_when_others_go():
    old = build(spec(disks=(disk("one"), disk("two"), disk("three", bus=DiskBus.SATA))))
    new = build(spec(disks=(disk("two"), disk("four"))), old)
    targets = {item.id: item.target for item in old.disks}
    assert {item.id: item.target for item in new.disks} == {"two": targets["two"], "four": "vdc", "Cd": targets["Cd"]}


def test_what_libvirt_assigned_is_kept():
    first = build(spec(firmware=Firmware.UEFI))
    address = (("bus", "0x07"), ("type", "pci"))
    assigned = replace(
        first,
        machine_type="pc-q35-7.2",
        firmware=FirmwareXml(uefi=True, nvram="/nvram/m.fd"),
        disks=(replace(first.disks[0], address=address), *first.disks[1:]),
    )
    again = build(spec(firmware=Firmware.UEFI, vcpus=2), assigned)
    assert (again.machine_type, again.firmware.nvram, again.disks[0].address) == ("pc-q35-7.2", "/nvram/m.fd", address)


def test_two_devices_of_one_id_are_refused():
    with pytest.raises(InvalidRequest, match="one"):
        build(spec(disks=(disk("one"),), drives=(DriveSpec(id="one"),)))
