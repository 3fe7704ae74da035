"""libvirt's domain XML as objects: `MachineXml.parse(text)` and `MachineXml.build()`.

The objects hold what HawkFish sets or looks at. What a foreign definition has besides is not kept, so foreign machines are
never redefined from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

from hawkfish.domain.machines import FirmwareSetup, MachineStamp, NestedVirtualisation, SecureBootKeys
from hawkfish_libvirt.source_xml import Source, build_source, parse_source
from hawkfish_libvirt.xml_tools import add, attribute, memory_kib, parse_text, to_text

NAMESPACE = "https://hawkfish.dev/xmlns/libvirt/machine/1"
PREFIX = "hawkfish"
ET.register_namespace(PREFIX, NAMESPACE)

_PCI_PORTS = 12

NESTED_FEATURES = ("vmx", "svm")
"""What Intel's and AMD's processors call the ability to run machines."""

PLAIN_VARIABLES = "plain"
"""What UEFI's variables were made with where secure boot is off: no keys."""

Address = tuple[tuple[str, str], ...]
"""Attributes of an `<address>` element: where libvirt has put a device; kept when a machine is redefined."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is known of one run of a machine: written into the running domain's metadata only.

    Attributes:
        id: Random; changes with every start.
        override: The boot device group that this run tries first, if any.
        once: The override must be taken back as soon as firmware has read it.
        starting: Its processors have not been let run yet; paused with this, its start was interrupted.
        preparing: They never will be: it was started only to have UEFI's variables made.
        boot_devices: Ids of devices in the order in which the next reset of this run tries them.
        setup: What the definition said of it at its start; libvirt rewrites some of that in the XML of a running machine.
    """

    id: str
    override: str | None = None
    once: bool = False
    starting: bool = False
    preparing: bool = False
    boot_devices: tuple[str, ...] = ()
    setup: FirmwareSetup | None = None


@dataclass(frozen=True, kw_only=True)
class DiskXml:
    """A disk or a drive with a changeable medium; `id` becomes the device's alias and a disk's serial number.

    Attributes:
        removable: A USB stick. Without a medium it is no device of the machine: only our metadata know its place then.
        tray_open: The guest has opened the drive, in which it sees no medium then.
    """

    target: str
    bus: str
    device: str = "disk"
    id: str | None = None
    source: Source | None = None
    format: str = "raw"
    cache: str | None = None
    io: str | None = None
    discard: str | None = None
    serial: str | None = None
    read_only: bool = False
    shareable: bool = False
    removable: bool = False
    tray_open: bool = False
    boot_order: int | None = None
    alias: str | None = None
    address: Address = ()

    @property
    def takes_media(self) -> bool:
        """Whether it is a drive."""
        return self.removable or self.device in {"cdrom", "floppy"}

    @property
    def is_absent(self) -> bool:
        """Whether it is the place of a stick, with none in it."""
        return self.removable and self.source is None

    def build(self) -> ET.Element:
        """The `<disk>` element."""
        kind = self.source.xml_type if self.source else "file"
        element = ET.Element("disk", type=kind, device=self.device)
        driver = add(element, "driver", name="qemu", type=self.format)
        for name, value in (("cache", self.cache), ("io", self.io), ("discard", self.discard)):
            if value:
                driver.set(name, value)
        if self.source:
            element.append(build_source(self.source))
        target = add(element, "target", dev=self.target, bus=self.bus)
        if self.removable:
            target.set("removable", "on")
        if self.read_only:
            add(element, "readonly")
        if self.shareable:
            add(element, "shareable")
        if self.serial:
            add(element, "serial", text=self.serial)
        _add_common(element, self.boot_order, self.alias, self.address)
        return element

    @classmethod
    def parse(cls, element: ET.Element) -> DiskXml:
        """Reads a `<disk>` element."""
        driver = element.find("driver")
        alias = attribute(element, "alias", "name")
        serial = element.findtext("serial")
        target = attribute(element, "target", "dev") or ""
        return cls(
            target=target,
            bus=attribute(element, "target", "bus") or "",
            device=element.get("device", "disk"),
            id=_own_alias(alias) or serial or target,
            source=parse_source(element),
            format=(driver.get("type") if driver is not None else None) or "raw",
            cache=driver.get("cache") if driver is not None else None,
            io=driver.get("io") if driver is not None else None,
            discard=driver.get("discard") if driver is not None else None,
            serial=serial,
            read_only=element.find("readonly") is not None,
            shareable=element.find("shareable") is not None,
            removable=attribute(element, "target", "removable") == "on",
            tray_open=attribute(element, "target", "tray") == "open",
            alias=alias,
            boot_order=_parse_boot_order(element),
            address=_parse_address(element),
        )


@dataclass(frozen=True, kw_only=True)
class InterfaceXml:
    """A network interface; `kind` is libvirt's type (`network`, `bridge`, `user`, ...), `source` its name."""

    mac_address: str
    kind: str
    source: str | None = None
    model: str | None = None
    vlan: int | None = None
    boot_order: int | None = None
    alias: str | None = None
    address: Address = ()

    @property
    def id(self) -> str:
        """The id that its alias bears, or its MAC address."""
        return _own_alias(self.alias) or self.mac_address

    def build(self) -> ET.Element:
        """The `<interface>` element."""
        element = ET.Element("interface", type=self.kind)
        add(element, "mac", address=self.mac_address)
        if self.source is not None:
            add(element, "source", **{self.kind: self.source})
        if self.model:
            add(element, "model", type=self.model)
        if self.vlan is not None:
            add(add(element, "vlan"), "tag", id=str(self.vlan))
        _add_common(element, self.boot_order, self.alias, self.address)
        return element

    @classmethod
    def parse(cls, element: ET.Element) -> InterfaceXml:
        """Reads an `<interface>` element."""
        kind = element.get("type", "")
        tag = attribute(element, "vlan/tag", "id")
        return cls(
            mac_address=(attribute(element, "mac", "address") or "").lower(),
            kind=kind,
            source=attribute(element, "source", kind),
            model=attribute(element, "model", "type"),
            vlan=int(tag) if tag else None,
            alias=attribute(element, "alias", "name"),
            boot_order=_parse_boot_order(element),
            address=_parse_address(element),
        )


@dataclass(frozen=True, kw_only=True)
class FirmwareXml:
    """What starts the machine. For UEFI libvirt picks the image by its features; what it has picked is kept.

    Attributes:
        nvram: Path of UEFI's variables; None for libvirt's own choice.
        keeps_variables: A machine that has BIOS now and had UEFI, whose variables wait for it; its metadata says so.
        secure: Whether UEFI is to refuse what is not signed.
        keys: What it trusts then.
        keys_reset: How often that was asked to be made anew.
        made_with: The keys that the variables were made with (`wanted_keys` of then); None before they were made for that.
        asks_for_setup: Path of UEFI's variables that may ask for the set-up menu, since a start has written that into them.
    """

    uefi: bool
    loader: str | None = None
    nvram: str | None = None
    keeps_variables: bool = False
    secure: bool = False
    keys: SecureBootKeys = SecureBootKeys.FACTORY
    keys_reset: int = 0
    made_with: str | None = None
    asks_for_setup: str | None = None

    @property
    def wanted_keys(self) -> str | None:
        """What the variables must have been made with; None where any will do.

        Firmware without secure boot enforces the keys that it finds all the same, so that it must find none.
        """
        if not self.uefi:
            return None
        if self.secure:
            return f"{self.keys.value}-{self.keys_reset}"
        has_keys = (self.made_with or "").startswith(SecureBootKeys.FACTORY.value)
        return PLAIN_VARIABLES if has_keys else None

    @property
    def needs_new_variables(self) -> bool:
        """Whether the next start must make the variables anew."""
        return self.wanted_keys not in {None, self.made_with}


@dataclass(frozen=True, kw_only=True)
class CpuXml:
    """The processors' model; `name` where the mode is `custom`, `nested` the feature that lets guests run guests."""

    mode: str | None = None
    name: str | None = None
    nested: str | None = None
    nested_enabled: bool = False

    def build(self, cores: int) -> ET.Element:
        """The `<cpu>` element."""
        element = ET.Element("cpu", {"mode": self.mode} if self.mode else {})
        if self.name:
            element.set("match", "exact")
            add(element, "model", text=self.name, fallback="forbid")
        add(element, "topology", sockets="1", cores=str(cores), threads="1")
        if self.nested:
            add(element, "feature", policy="require" if self.nested_enabled else "disable", name=self.nested)
        return element

    @classmethod
    def parse(cls, element: ET.Element | None) -> CpuXml:
        """Reads a `<cpu>` element."""
        if element is None:
            return cls()
        policies = {item.get("name"): item.get("policy") for item in element.findall("feature")}
        nested = next((name for name in NESTED_FEATURES if name in policies), None)
        mode = element.get("mode")
        return cls(
            mode=mode,
            name=element.findtext("model") if mode == "custom" else None,
            nested=nested,
            nested_enabled=policies.get(nested) in {"require", "force"},
        )


@dataclass(frozen=True, kw_only=True)
class MachineXml:
    """A whole `<domain>`; `number` is libvirt's of its run, which only the XML of a running one has."""

    id: UUID
    name: str
    vcpus: int
    memory_kib: int
    virt_type: str = "qemu"
    architecture: str = "x86_64"
    machine_type: str = "q35"
    cpu: CpuXml = field(default_factory=CpuXml)
    firmware: FirmwareXml = field(default_factory=lambda: FirmwareXml(uefi=False))
    stamp: MachineStamp | None = None
    run: Run | None = None
    disks: tuple[DiskXml, ...] = ()
    interfaces: tuple[InterfaceXml, ...] = ()
    graphics: bool = False
    serial: bool = False
    serial_log: str | None = None
    random: bool = False
    number: int | None = None

    @property
    def devices(self) -> tuple[DiskXml | InterfaceXml, ...]:
        """Disks, then interfaces: what firmware can boot from."""
        return self.disks + self.interfaces

    @property
    def sticks(self) -> str:
        """The places of USB sticks with their numbers in the boot order, as our metadata have them."""
        return " ".join(f"{disk.id}:{disk.target}:{disk.boot_order or ''}" for disk in self.disks if disk.removable)

    @property
    def present_devices(self) -> tuple[DiskXml | InterfaceXml, ...]:
        """Those that the machine really has now."""
        return tuple(item for item in self.devices if not (isinstance(item, DiskXml) and item.is_absent))

    @property
    def boot_devices(self) -> tuple[str, ...]:
        """Ids of the devices that firmware tries, in their order."""
        numbered = [item for item in self.devices if item.boot_order is not None]
        return tuple(item.id or "" for item in sorted(numbered, key=lambda item: item.boot_order or 0))

    def build(self) -> str:
        """The XML text."""
        root = ET.Element("domain", type=self.virt_type)
        add(root, "name", text=self.name)
        add(root, "uuid", text=str(self.id))
        if self.stamp is not None:
            add(root, "metadata").append(build_metadata(self.stamp, self.run, self.firmware, self.sticks))
        add(root, "memory", text=str(self.memory_kib), unit="KiB")
        add(root, "vcpu", text=str(self.vcpus))
        self._build_system(root)
        devices = add(root, "devices")
        for device in self.present_devices:
            devices.append(device.build())
        self._build_fixed_devices(devices)
        return to_text(root)

    def _build_system(self, root: ET.Element) -> None:
        system = ET.SubElement(root, "os")
        if self.firmware.uefi:
            system.set("firmware", "efi")
        add(system, "type", text="hvm", arch=self.architecture, machine=self.machine_type)
        if self.firmware.uefi:
            features = add(system, "firmware")
            # Secure boot asks for signed boot loaders; the plain pair boots everything.
            secure, keys = self.firmware.secure, self.firmware.keys is SecureBootKeys.FACTORY
            add(features, "feature", enabled="yes" if secure and keys else "no", name="enrolled-keys")
            add(features, "feature", enabled="yes" if secure else "no", name="secure-boot")
            if self.firmware.loader:
                add(system, "loader", text=self.firmware.loader, readonly="yes", type="pflash")
            if self.firmware.nvram:
                add(system, "nvram", text=self.firmware.nvram)
        features = add(root, "features")
        add(features, "acpi")
        add(features, "apic")
        if self.firmware.uefi and self.firmware.secure:
            add(features, "smm", state="on")
        root.append(self.cpu.build(self.vcpus))
        add(root, "clock", offset="utc")
        add(root, "on_poweroff", text="destroy")
        add(root, "on_reboot", text="restart")
        add(root, "on_crash", text="destroy")

    def _build_fixed_devices(self, devices: ET.Element) -> None:
        # libvirt makes as many ports as there are devices, which leaves no place to attach one to a running machine.
        add(devices, "controller", type="pci", index="0", model="pcie-root")
        for index in range(1, _PCI_PORTS + 1):
            add(devices, "controller", type="pci", index=str(index), model="pcie-root-port")
        if any(disk.bus == "scsi" for disk in self.disks):
            # libvirt's own choice is a controller of 1995, which takes seven disks and which kernels for clouds know no more.
            add(devices, "controller", type="scsi", index="0", model="virtio-scsi")
        if self.serial:
            port = add(devices, "serial", type="pty")
            if self.serial_log:
                add(port, "log", file=self.serial_log, append="on")
            add(port, "target", port="0")
        if self.graphics:
            screen = add(devices, "graphics", type="vnc")
            add(screen, "listen", type="socket")
            add(add(devices, "video"), "model", type="vga")
            add(devices, "input", type="tablet", bus="usb")
        if self.graphics or any(disk.bus == "usb" for disk in self.disks):
            add(devices, "controller", type="usb", model="qemu-xhci")
        if self.random:
            add(add(devices, "rng", model="virtio"), "backend", text="/dev/urandom", model="random")

    @classmethod
    def parse(cls, text: str) -> MachineXml:
        """Reads libvirt's XML, of our machines and of others."""
        root = parse_text(text)
        stamp, run = parse_metadata(root.find(f"metadata/{{{NAMESPACE}}}machine"))
        system_type = root.find("os/type")
        serial_log = attribute(root, "devices/serial/log", "file")
        return cls(
            id=UUID(root.findtext("uuid", "")),
            name=root.findtext("name", ""),
            vcpus=int(root.findtext("vcpu", "1")),
            memory_kib=memory_kib(root.find("memory")),
            virt_type=root.get("type", ""),
            architecture=(system_type.get("arch") if system_type is not None else None) or "",
            machine_type=(system_type.get("machine") if system_type is not None else None) or "",
            cpu=CpuXml.parse(root.find("cpu")),
            firmware=_parse_firmware(root),
            stamp=stamp,
            run=run,
            disks=_parse_disks(root),
            interfaces=tuple(InterfaceXml.parse(item) for item in root.findall("devices/interface")),
            graphics=root.find("devices/graphics") is not None,
            serial=root.find("devices/serial") is not None,
            serial_log=serial_log,
            random=root.find("devices/rng") is not None,
            number=int(root.get("id", "")) if root.get("id") else None,
        )


def edit_for_start(text: str, machine: MachineXml, run: Run) -> str:
    """The definition `text` with the boot order of `machine` and with `run`; all else stays as libvirt has it."""
    root = parse_text(text)
    elements = [*root.findall("devices/disk"), *root.findall("devices/interface")]
    for element, item in zip(elements, machine.present_devices, strict=True):
        for boot in element.findall("boot"):
            element.remove(boot)
        if item.boot_order is not None:
            add(element, "boot", order=str(item.boot_order))
    ours = root.find(f"metadata/{{{NAMESPACE}}}machine")
    if ours is not None:
        ours.attrib.update(_run_attributes(run))
    return to_text(root)


def build_metadata(
    stamp: MachineStamp,
    run: Run | None = None,
    firmware: FirmwareXml | None = None,
    sticks: str = "",
    *,
    with_namespace: bool = True,
) -> ET.Element:
    """Our element within `<metadata>`.

    All is in attributes: `virDomainSetMetadata` wants the element without its namespace and gives one to it alone, not to
    elements within.
    """
    attributes = {"installation": stamp.installation_id, "task": stamp.task_id, "epoch": str(stamp.epoch)}
    if sticks:
        attributes["sticks"] = sticks
    if firmware is not None:
        attributes |= _firmware_attributes(firmware)
    if run is not None:
        attributes |= _run_attributes(run)
    return ET.Element(f"{{{NAMESPACE}}}machine" if with_namespace else "machine", attributes)


def _firmware_attributes(firmware: FirmwareXml) -> dict[str, str]:
    attributes = _secure_attributes(secure=firmware.secure, keys=firmware.keys, keys_reset=firmware.keys_reset)
    if firmware.made_with:
        attributes["nvram-keys"] = firmware.made_with
    if firmware.keeps_variables:
        attributes["nvram"] = firmware.nvram or ""
    if firmware.asks_for_setup:
        attributes["asks-for-setup"] = firmware.asks_for_setup
    return attributes


def _secure_attributes(*, secure: bool, keys: SecureBootKeys, keys_reset: int) -> dict[str, str]:
    """Nothing for a machine that is as usual."""
    if (secure, keys, keys_reset) == (False, SecureBootKeys.FACTORY, 0):
        return {}
    return {"secure-boot": "yes" if secure else "no", "keys": keys.value, "keys-reset": str(keys_reset)}


def parse_secure(element: ET.Element | None) -> dict[str, Any]:
    """What our element says of secure boot, as the arguments of what holds it."""
    given = {} if element is None else element.attrib
    keys, number = given.get("keys"), given.get("keys-reset", "")
    return {
        "secure": given.get("secure-boot") == "yes",
        "keys": SecureBootKeys(keys) if keys in set(SecureBootKeys) else SecureBootKeys.FACTORY,
        "keys_reset": int(number) if number.isdecimal() else 0,
    }


def _run_attributes(run: Run) -> dict[str, str]:
    attributes = {"run": run.id, "starting": "yes" if run.starting else "no"}
    if run.preparing:
        attributes["preparing"] = "yes"
    if run.boot_devices:
        attributes["boot"] = " ".join(run.boot_devices)
    if run.setup is not None:
        nested, network = run.setup.nested_virtualisation.value, "yes" if run.setup.network_boot else "no"
        attributes |= {"cpu": run.setup.cpu_model, "nested": nested, "network-boot": network}
        attributes |= _secure_attributes(
            secure=run.setup.secure_boot, keys=run.setup.secure_boot_keys, keys_reset=run.setup.keys_reset
        )
    if run.override:
        attributes |= {"override": run.override, "once": "yes" if run.once else "no"}
    return attributes


def parse_metadata(element: ET.Element | None) -> tuple[MachineStamp | None, Run | None]:
    """Reads our element; a machine without it, or with one that is not whole, is not ours."""
    if element is None:
        return None, None
    stamp = run = None
    if element.get("installation"):
        epoch = element.get("epoch", "")
        stamp = MachineStamp(
            installation_id=element.get("installation", ""),
            task_id=element.get("task", ""),
            epoch=int(epoch) if epoch.isdecimal() else 0,
        )
    if element.get("run"):
        run = Run(
            id=element.get("run", ""),
            override=element.get("override"),
            once=element.get("once") == "yes",
            starting=element.get("starting") == "yes",
            preparing=element.get("preparing") == "yes",
            boot_devices=tuple(element.get("boot", "").split()),
            setup=_parse_setup(element),
        )
    return stamp, run


def _parse_setup(element: ET.Element) -> FirmwareSetup | None:
    nested = element.get("nested", "")
    if nested not in set(NestedVirtualisation):
        return None  # started by a version that did not know of it
    secure = parse_secure(element)
    return FirmwareSetup(
        cpu_model=element.get("cpu", ""),
        nested_virtualisation=NestedVirtualisation(nested),
        network_boot=element.get("network-boot") != "no",
        secure_boot=secure["secure"],
        secure_boot_keys=secure["keys"],
        keys_reset=secure["keys_reset"],
    )


def _parse_disks(root: ET.Element) -> tuple[DiskXml, ...]:
    """Disks and drives; sticks that are not there stand behind the others."""
    disks = tuple(DiskXml.parse(item) for item in root.findall("devices/disk"))
    ours = root.find(f"metadata/{{{NAMESPACE}}}machine")
    places = [] if ours is None else [place.split(":") for place in ours.get("sticks", "").split()]
    there = {disk.id for disk in disks}
    return disks + tuple(
        DiskXml(
            id=stick_id,
            target=target,
            bus="usb",
            read_only=True,
            removable=True,
            boot_order=int(order) if order else None,
            alias=own_alias(stick_id),
        )
        for stick_id, target, order in places
        if stick_id not in there
    )


def own_alias(name: str) -> str:
    """The alias of a device of ours; libvirt keeps those that begin with `ua-`."""
    return f"ua-{name}"


def _own_alias(alias: str | None) -> str | None:
    return alias.removeprefix("ua-") if alias and alias.startswith("ua-") else None


def _add_common(element: ET.Element, boot_order: int | None, alias: str | None, address: Address) -> None:
    if boot_order is not None:
        add(element, "boot", order=str(boot_order))
    if alias:
        add(element, "alias", name=alias)
    if address:
        add(element, "address", **dict(address))


def _parse_boot_order(element: ET.Element) -> int | None:
    order = attribute(element, "boot", "order")
    return int(order) if order else None


def _parse_address(element: ET.Element) -> Address:
    address = element.find("address")
    return tuple(sorted(address.attrib.items())) if address is not None else ()


def _parse_firmware(root: ET.Element) -> FirmwareXml:
    system, loader = root.find("os"), root.find("os/loader")
    ours = root.find(f"metadata/{{{NAMESPACE}}}machine")
    by_name = system is not None and system.get("firmware") == "efi"
    by_loader = loader is not None and loader.get("type") == "pflash"
    kept = None if ours is None else ours.get("nvram")
    return FirmwareXml(
        uefi=by_name or by_loader,
        loader=(loader.text or "").strip() or None if loader is not None else None,
        nvram=root.findtext("os/nvram") or kept or None,
        keeps_variables=kept is not None,
        made_with=None if ours is None else ours.get("nvram-keys"),
        asks_for_setup=None if ours is None else ours.get("asks-for-setup"),
        **parse_secure(ours),
    )
