"""Network interfaces of systems."""

from __future__ import annotations

from typing import Any

from hawkfish.api import links
from hawkfish.api.documents import Document
from hawkfish.api.links import link
from hawkfish.api.resources.parts import PartCollection, PartResource
from hawkfish.api.resources.systems_body import attachment_properties, status_of
from hawkfish.domain.systems import System, SystemNetworkInterface


def ethernet_interface_documents(system: System) -> list[Document]:
    """The EthernetInterfaces of a system."""
    return [Document(_body(system, item), system.version) for item in system.network_interfaces]


def _body(system: System, interface: SystemNetworkInterface) -> dict[str, Any]:
    """What is known of an interface; its link and its speed are not, since the drivers do not report them."""
    return {
        "@odata.id": f"{links.SYSTEMS}/{system.id}/EthernetInterfaces/{interface.id}",
        "@odata.type": "#EthernetInterface.v1_12_4.EthernetInterface",
        "Id": interface.id,
        "Name": f"Network interface {interface.id}",
        "MACAddress": interface.mac_address,
        "PermanentMACAddress": interface.mac_address,
        "EthernetInterfaceType": "Physical",
        "Status": status_of(system),
        "Links": {"Chassis": link(links.CHASSIS, system.id)},
        "Oem": {
            "HawkFish": {
                "@odata.type": "#HawkFishEthernetInterface.v1_0_0.EthernetInterface",
                "Model": interface.model,
                **attachment_properties(interface.attachment),
            }
        },
    }


class EthernetInterfaceCollectionResource(PartCollection):
    """The network interfaces of a system."""

    kind = "EthernetInterfaceCollection"
    title = "Network interfaces"
    documents = staticmethod(ethernet_interface_documents)


class EthernetInterfaceResource(PartResource):
    """One network interface."""

    kind = "EthernetInterface"
    documents = staticmethod(ethernet_interface_documents)
