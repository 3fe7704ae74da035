"""Our message registry in Redfish's form (DSP0266, MessageRegistry 1.7), made from `hawkfish.domain.messages`."""

from __future__ import annotations

from typing import Any

from hawkfish.domain.messages import HAWKFISH, OWN_MESSAGES, OwnMessage

REGISTRY_VERSION = "1.0.0"
REGISTRY_PREFIX = HAWKFISH.partition(".")[0]


def message_registry() -> dict[str, Any]:
    """The registry `HawkFish.1.0` as a Redfish MessageRegistry, to be served as it is."""
    return {
        "@odata.type": "#MessageRegistry.v1_7_0.MessageRegistry",
        "Id": f"{REGISTRY_PREFIX}.{REGISTRY_VERSION}",
        "Name": "HawkFish Message Registry",
        "Description": "The messages of HawkFish that no standard registry has.",
        "Language": "en",
        "RegistryPrefix": REGISTRY_PREFIX,
        "RegistryVersion": REGISTRY_VERSION,
        "OwningEntity": REGISTRY_PREFIX,
        "Messages": {message.name: _message(message) for message in OWN_MESSAGES},
    }


def _message(message: OwnMessage) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Description": message.description,
        "LongDescription": f"This message shall indicate: {message.description}",
        "Message": message.text,
        "Severity": message.severity.value,
        "MessageSeverity": message.severity.value,
        "NumberOfArgs": message.arguments,
        "Resolution": message.resolution,
    }
    if message.parameters:
        descriptions = [parameter.description for parameter in message.parameters]
        shown |= {
            "ParamTypes": [parameter.type for parameter in message.parameters],
            "ArgDescriptions": descriptions,
            "ArgLongDescriptions": descriptions,
        }
    return shown
