"""Processors of systems: one socket that has all of the system's virtual processors as its cores."""

from __future__ import annotations

from collections.abc import Mapping

from hawkfish.api import links
from hawkfish.api.documents import Document
from hawkfish.api.links import link
from hawkfish.api.resources.parts import PartCollection, PartResource
from hawkfish.api.resources.systems_body import status_of
from hawkfish.domain.systems import System

ARCHITECTURES: Mapping[str, tuple[str, str]] = {
    "x86_64": ("x86", "x86-64"),
    "i686": ("x86", "x86"),
    "aarch64": ("ARM", "ARM-A64"),
    "armv7l": ("ARM", "ARM-A32"),
    "ppc64": ("Power", "PowerISA"),
    "ppc64le": ("Power", "PowerISA"),
    "riscv64": ("RISC-V", "RV64"),
}
"""Redfish's ProcessorArchitecture and InstructionSet of the architectures that hosts report."""

OTHER_ARCHITECTURE = ("OEM", "OEM")


def processor_documents(system: System) -> list[Document]:
    """The Processor of a system."""
    address = f"{links.SYSTEMS}/{system.id}/Processors/CPU1"
    body = {
        "@odata.id": address,
        "@odata.type": "#Processor.v1_22_0.Processor",
        "Id": "CPU1",
        "Name": "Processor 1",
        "ProcessorType": "CPU",
        "Socket": "CPU1",
        "TotalCores": system.vcpus,
        "TotalThreads": system.vcpus,
        "Status": status_of(system),
        "Links": {"Chassis": link(links.CHASSIS, system.id)},
    }
    if system.architecture:
        architecture, instructions = ARCHITECTURES.get(system.architecture, OTHER_ARCHITECTURE)
        body |= {"ProcessorArchitecture": architecture, "InstructionSet": instructions}
    return [Document(body, system.version)]


class ProcessorCollectionResource(PartCollection):
    """The processors of a system."""

    kind = "ProcessorCollection"
    title = "Processors"
    documents = staticmethod(processor_documents)


class ProcessorResource(PartResource):
    """One processor."""

    kind = "Processor"
    documents = staticmethod(processor_documents)
