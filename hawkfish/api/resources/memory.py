"""Memory of systems: one module that has all of it."""

from __future__ import annotations

from hawkfish.api import links
from hawkfish.api.documents import Document
from hawkfish.api.links import link
from hawkfish.api.resources.parts import PartCollection, PartResource
from hawkfish.api.resources.systems_body import status_of
from hawkfish.domain.systems import System


def memory_documents(system: System) -> list[Document]:
    """The Memory of a system; the guest is told neither its kind of chips nor their speed, and so is the client."""
    body = {
        "@odata.id": f"{links.SYSTEMS}/{system.id}/Memory/RAM1",
        "@odata.type": "#Memory.v1_23_0.Memory",
        "Id": "RAM1",
        "Name": "Memory 1",
        "MemoryType": "DRAM",
        "CapacityMiB": system.memory_mib,
        "Status": status_of(system),
        "Links": {"Chassis": link(links.CHASSIS, system.id)},
    }
    return [Document(body, system.version)]


class MemoryCollectionResource(PartCollection):
    """The memory of a system."""

    kind = "MemoryCollection"
    title = "Memory"
    documents = staticmethod(memory_documents)


class MemoryResource(PartResource):
    """One memory module."""

    kind = "Memory"
    documents = staticmethod(memory_documents)
