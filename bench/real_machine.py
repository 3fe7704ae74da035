"""A real machine from an image, until it runs, against the same with bare libvirt calls: `python bench/real_machine.py`.

Both clone the same volume on the same emulated libvirt host, define the same machine and start it, in turns. HawkFish is asked
over HTTP for a system with `PowerOn`; the bare calls are those that an administrator's script would make over a connection that
is open already, as HawkFish's is.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

import httpx
from harness import Figure, Report, parser, serve, wait_for

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.libvirt_host import LibvirtHostBed, libvirt_host_bed, why_not

RATIO = 1.2
IMAGE_BYTES = 256 << 20
"""As large as a small image of a cloud: to clone it is part of what both do."""
SYNC_WAIT_MS = "30000"
"""The answer comes at the end of the work, so that nothing is measured of how often a client asks."""
MONITOR_SECONDS = 0.05
RUN_SECONDS = 60.0


class ThroughHawkFish:
    """Machines made by HawkFish."""

    def __init__(self, client: httpx.Client, bed: LibvirtHostBed) -> None:
        self._client = client
        settings = {"virt_type": "qemu", "data_dir": str(bed.data)}
        host = {"Name": "real", "Driver": "libvirt", "URI": bed.uri, "Settings": settings}
        self._finish(client.post("/redfish/v1/Oem/HawkFish/Hosts", json=host))
        image = self._finish(client.post("/redfish/v1/Oem/HawkFish/Images", json={"Name": "small"})).json()
        client.put(image["ContentURI"], content=os.urandom(IMAGE_BYTES)).raise_for_status()

    def make(self, *, power_on: bool = True) -> dict[str, Any]:
        """Makes a system; what is shown of it once the work has ended."""
        body = {"Name": f"m-{uuid4().hex[:8]}", "CPU": 1, "MemoryMiB": 128, "Firmware": "BIOS", "ImageId": "small"}
        answer = self._client.post("/redfish/v1/Systems", json={**body, "HostId": "real", "PowerOn": power_on})
        shown: dict[str, Any] = self._finish(answer).json()
        return shown

    def run(self) -> Callable[[], None]:
        """Makes one that runs; gives what removes it."""
        shown = self.make()
        if shown["PowerState"] != "On":
            raise RuntimeError(f"the system is {shown['PowerState']}")
        return lambda: self.remove(shown["@odata.id"])

    def remove(self, address: str) -> None:
        """Switches it off and removes it."""
        reset = f"{address}/Actions/ComputerSystem.Reset"
        self._finish(self._client.post(reset, json={"ResetType": "ForceOff"}))
        self._finish(self._client.delete(address))

    def _finish(self, answer: httpx.Response) -> httpx.Response:
        while answer.raise_for_status().status_code == httpx.codes.ACCEPTED:
            time.sleep(MONITOR_SECONDS)
            answer = self._client.get(answer.headers["Location"])
        return answer


class WithBareCalls:
    """Machines made by libvirt calls, after the pattern of one that HawkFish made."""

    def __init__(self, bed: LibvirtHostBed, pattern: dict[str, Any]) -> None:
        import libvirt  # only where there is a libvirt host to measure

        self._running = libvirt.VIR_DOMAIN_RUNNING
        self._connection = libvirt.open(bed.uri)
        self._xml = self._connection.lookupByUUIDString(pattern["UUID"]).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        (disk,) = pattern["Oem"]["HawkFish"]["Disks"]
        self._names = {pattern["UUID"]: str(uuid4()), disk["VolumeName"]: "bare", pattern["Name"]: "bare"}
        path = next(source.get("file", "") for source in ET.fromstring(self._xml).iter("source") if source.get("file"))
        volume = self._connection.storageVolLookupByPath(path)
        self._pool = volume.storagePoolLookupByVolume()
        self._volume_xml = volume.XMLDesc()
        self._copy = next(one for one in self._pool.listAllVolumes() if one.name().startswith("image-"))

    def run(self) -> Callable[[], None]:
        """Makes one that runs; gives what removes it."""
        volume = self._pool.createXMLFrom(self._new(self._volume_xml), self._copy, 0)
        machine = self._connection.defineXML(self._new(self._xml))
        machine.create()
        wait_for(lambda: machine.state()[0] == self._running, RUN_SECONDS)

        def remove() -> None:
            machine.destroy()
            machine.undefine()
            volume.delete()

        return remove

    def _new(self, pattern: str) -> str:
        """The pattern with names of its own."""
        for name, own in self._names.items():
            pattern = pattern.replace(name, own)
        return pattern

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


def seconds(run: Callable[[], Callable[[], None]]) -> float:
    """How long one takes until it runs; it is removed before the next, which has the machine for itself."""
    began = time.monotonic()
    remove = run()
    lasted = time.monotonic() - began
    remove()
    return lasted


def main() -> None:
    """Measures in turns and prints the ratio of the medians."""
    given = parser(__doc__).parse_args()
    report = Report("real_machine")
    if reason := why_not():
        report.note(not_measured=reason)
        report.end()
        return
    rounds = 1 if given.tiny else 10
    with libvirt_host_bed() as bed, serve(0, HF_SYNC_WAIT_MS=SYNC_WAIT_MS) as service, service.client() as client:
        hawkfish = ThroughHawkFish(client, bed)
        pattern = hawkfish.make(power_on=False)
        bare = WithBareCalls(bed, pattern)
        try:
            kinds = {"HawkFish": hawkfish.run, "bare": bare.run}
            for run in kinds.values():
                seconds(run)
            samples: dict[str, list[float]] = {kind: [] for kind in kinds}
            for _ in range(rounds):
                for kind, run in kinds.items():
                    samples[kind].append(seconds(run))
        finally:
            bare.close()
        hawkfish.remove(pattern["@odata.id"])
    report.note(
        pairs=rounds,
        image_mib=IMAGE_BYTES >> 20,
        slowest_s={kind: round(max(all_), 2) for kind, all_ in samples.items()},
    )
    measured, reference = (statistics.median(samples[kind]) for kind in ("HawkFish", "bare"))
    report.add(Figure.at_most("a real machine, from the request until it runs", measured, reference, "s", RATIO))
    report.end()


if __name__ == "__main__":
    main()
