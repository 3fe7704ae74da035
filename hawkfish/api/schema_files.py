"""The schema files of our own types, made from the Marshmallow schemas of what is shown: CSDL and JSON Schema."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from marshmallow import fields

from hawkfish.api import links
from hawkfish.api.schemas.shown import COLLECTIONS, SHOWN, Link, Offered, ShownSchema

VERSION = "v1_0_0"
RELEASE = "2026.1"
EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
EDM = "http://docs.oasis-open.org/odata/ns/edm"
DMTF = "http://redfish.dmtf.org/schemas/v1"
ODATA = "http://docs.oasis-open.org/odata/odata/v4.0/errata03/csd01/complete/vocabularies/Org.OData.Core.V1.xml"
JSON_SCHEMA = f"{DMTF}/redfish-schema-v1.json"

_PRIMITIVES: tuple[tuple[type[fields.Field[Any]], str, dict[str, Any]], ...] = (
    (fields.Boolean, "Edm.Boolean", {"type": "boolean"}),
    (fields.Integer, "Edm.Int64", {"type": "integer"}),
    (fields.Float, "Edm.Decimal", {"type": "number"}),
    (fields.DateTime, "Edm.DateTimeOffset", {"type": "string", "format": "date-time"}),
    (fields.String, "Edm.String", {"type": "string"}),
)


def names() -> list[str]:
    """Namespaces of the schema files, without versions."""
    return sorted([str(schema.namespace) for schema in SHOWN] + [f"{name}Collection" for name in COLLECTIONS])


def csdl_address(name: str) -> str:
    """Where the CSDL of a type is served."""
    return f"{links.SCHEMAS}/{name}_v1.xml"


def json_address(name: str) -> str:
    """Where the JSON Schema of a type is served."""
    return f"{links.JSON_SCHEMAS}/{name}/{json_name(name)}"


def json_name(name: str) -> str:
    """The file of a type's JSON Schema."""
    return f"{name}.json" if name.endswith("Collection") else f"{name}.{VERSION}.json"


def qualified(name: str) -> str:
    """The type that a schema file is about, as `@odata.type` names it."""
    if name.endswith("Collection"):
        return f"#{name}.{name}"
    return f"#{name}.{VERSION}.{_shown(name).type_name}"


def _shown(name: str) -> type[ShownSchema]:
    return next(schema for schema in SHOWN if schema.namespace == name)


def _description(schema: type[ShownSchema]) -> str:
    return inspect.cleandoc(schema.__doc__ or "").splitlines()[0]


def _properties(schema: type[ShownSchema]) -> Iterator[tuple[str, fields.Field[Any], str]]:
    for name, declared in schema().fields.items():
        yield name, declared, str(declared.metadata["description"])


def _parts(schema: type[ShownSchema]) -> Iterator[type[ShownSchema]]:
    """The schemas of the objects within, each once, the outermost last."""
    seen: dict[type[ShownSchema], None] = {}
    for _, declared, _ in _properties(schema):
        inner = declared.inner if isinstance(declared, fields.List) else declared
        if isinstance(inner, fields.Nested):
            part: Any = type(inner.schema)
            for item in (*_parts(part), part):
                seen[item] = None
    yield from seen


def _part_name(schema: type[ShownSchema]) -> str:
    return schema.__name__.removeprefix("Shown")


def _actions_name(schema: type[ShownSchema]) -> str:
    """The type of the object that actions stand in: our resources have their own, others have ours below their Oem."""
    return "Actions" if schema.resource else "OemActions"


# --- CSDL ------------------------------------------------------------------------------------------------------------


def csdl(name: str) -> bytes:
    """The CSDL of a type: the file `<name>_v1.xml`."""
    root = ET.Element("edmx:Edmx", {"xmlns:edmx": EDMX, "Version": "4.0"})
    for uri, included in _references(name).items():
        reference = ET.SubElement(root, "edmx:Reference", {"Uri": uri})
        for namespace, alias in included.items():
            ET.SubElement(reference, "edmx:Include", {"Namespace": namespace, **({"Alias": alias} if alias else {})})
    services = ET.SubElement(root, "edmx:DataServices")
    if name.endswith("Collection"):
        _collection_schema(services, name)
    else:
        _type_schemas(services, _shown(name))
    ET.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root) + b"\n"


def _references(name: str) -> dict[str, dict[str, str]]:
    found = {
        ODATA: {"Org.OData.Core.V1": "OData"},
        f"{DMTF}/RedfishExtensions_v1.xml": {"RedfishExtensions.v1_0_0": "Redfish"},
        f"{DMTF}/Resource_v1.xml": {"Resource": "", "Resource.v1_0_0": ""},
    }
    if name.endswith("Collection"):
        targets = {name.removesuffix("Collection")}
    else:
        schema = _shown(name)
        targets = {target.partition(".")[0] for part in (schema, *_parts(schema)) for target in _targets(part)}
    for target in sorted(targets - {name}):
        found[csdl_address(target)] = {target: ""}
    return found


def _targets(schema: type[ShownSchema]) -> Iterator[str]:
    for _, declared, _ in _properties(schema):
        if isinstance(declared, Link):
            yield declared.target


def _annotate(element: ET.Element, term: str, **values: str) -> None:
    ET.SubElement(element, "Annotation", {"Term": term, **values})


def _describe(element: ET.Element, text: str) -> None:
    _annotate(element, "OData.Description", String=text)
    _annotate(element, "OData.LongDescription", String=text)


def _schema(services: ET.Element, namespace: str) -> ET.Element:
    element = ET.SubElement(services, "Schema", {"xmlns": EDM, "Namespace": namespace})
    _annotate(element, "Redfish.OwningEntity", String="HawkFish")
    if namespace.endswith(VERSION):
        _annotate(element, "Redfish.Release", String=RELEASE)
    return element


def _collection_schema(services: ET.Element, name: str) -> None:
    member = name.removesuffix("Collection")
    schema = _schema(services, name)
    kind = ET.SubElement(schema, "EntityType", {"Name": name, "BaseType": "Resource.v1_0_0.ResourceCollection"})
    _describe(kind, f"A collection of {member} resources.")
    actions = _shown(member).collection_actions
    if actions:
        element = ET.SubElement(kind, "Property", {"Name": "Actions", "Type": f"{name}.Actions", "Nullable": "false"})
        _describe(element, "What can be done with the collection.")
        _describe(ET.SubElement(schema, "ComplexType", {"Name": "Actions"}), "The actions.")
    for action, text in actions.items():
        element = ET.SubElement(schema, "Action", {"Name": action, "IsBound": "true"})
        ET.SubElement(element, "Parameter", {"Name": name, "Type": f"{name}.Actions"})
        _describe(element, text)
    members = ET.SubElement(
        kind, "NavigationProperty", {"Name": "Members", "Type": f"Collection({member}.{member})", "Nullable": "false"}
    )
    _annotate(members, "OData.Permissions", EnumMember="OData.Permission/Read")
    _describe(members, "The members of this collection.")
    _annotate(members, "OData.AutoExpandReferences")
    _annotate(members, "Redfish.Required")


def _type_schemas(services: ET.Element, schema: type[ShownSchema]) -> None:
    namespace, kind = str(schema.namespace), schema.type_name
    plain = _schema(services, namespace)
    versioned = _schema(services, f"{namespace}.{VERSION}")
    tag, base = ("EntityType", "Resource.v1_0_0.Resource") if schema.resource else ("ComplexType", "Resource.OemObject")
    above = ET.SubElement(plain, tag, {"Name": kind, "BaseType": base, "Abstract": "true"})
    _describe(above, _description(schema))
    for name, text in schema.actions.items():
        action = ET.SubElement(plain, "Action", {"Name": name, "IsBound": "true"})
        ET.SubElement(action, "Parameter", {"Name": kind, "Type": f"{namespace}.{VERSION}.{_actions_name(schema)}"})
        _describe(action, text)
    if schema.actions:
        actions = ET.SubElement(versioned, "ComplexType", {"Name": _actions_name(schema)})
        _annotate(actions, "OData.AdditionalProperties", Bool="false")
        _describe(actions, "The actions.")
    element = ET.SubElement(versioned, tag, {"Name": kind, "BaseType": f"{namespace}.{kind}"})
    _describe(element, _description(schema))
    _csdl_properties(element, schema, versioned)
    for part in _parts(schema):
        inner = ET.SubElement(versioned, "ComplexType", {"Name": _part_name(part)})
        _annotate(inner, "OData.AdditionalProperties", Bool="false")
        _describe(inner, _description(part))
        _csdl_properties(inner, part, versioned)


def _csdl_properties(element: ET.Element, schema: type[ShownSchema], versioned: ET.Element) -> None:
    for name, declared, text in _properties(schema):
        kind = _csdl_type(declared, str(versioned.get("Namespace")), versioned)
        tag = "NavigationProperty" if isinstance(declared, Link) else "Property"
        attributes = {"Name": name, "Type": kind, "Nullable": str(declared.allow_none).lower()}
        item = ET.SubElement(element, tag, attributes)
        _annotate(item, "OData.Permissions", EnumMember="OData.Permission/Read")
        _describe(item, text)
        if tag == "NavigationProperty":
            _annotate(item, "OData.AutoExpandReferences")


def _csdl_type(declared: fields.Field[Any], namespace: str, versioned: ET.Element) -> str:
    if isinstance(declared, fields.List):
        return f"Collection({_csdl_type(declared.inner, namespace, versioned)})"
    if isinstance(declared, fields.Nested):
        part: Any = type(declared.schema)
        return f"{namespace}.{_part_name(part)}"
    if isinstance(declared, (Link, Offered)):
        return declared.target if isinstance(declared, Link) else f"{namespace}.Actions"
    if isinstance(declared, (fields.Enum, fields.Dict)):
        name = _enumeration(declared, versioned) if isinstance(declared, fields.Enum) else _dynamic(versioned)
        return f"{namespace}.{name}"
    if isinstance(declared, fields.Raw):
        return "Resource.Status"
    return next(edm for kind, edm, _ in _PRIMITIVES if isinstance(declared, kind))


def _enumeration(declared: fields.Enum[Any], versioned: ET.Element) -> str:
    name = str(declared.enum.__name__)
    if versioned.find(f"EnumType[@Name='{name}']") is None:
        element = ET.SubElement(versioned, "EnumType", {"Name": name})
        for item in declared.enum:
            ET.SubElement(element, "Member", {"Name": str(item.value)})
    return name


def _dynamic(versioned: ET.Element) -> str:
    """The type of an object whose names are the users' or a plugin's."""
    if versioned.find("ComplexType[@Name='Values']") is None:
        element = ET.SubElement(versioned, "ComplexType", {"Name": "Values"})
        _annotate(element, "OData.AdditionalProperties", Bool="true")
        _describe(element, "Values by names that are not known beforehand.")
        patterns = ET.SubElement(element, "Annotation", {"Term": "Redfish.DynamicPropertyPatterns"})
        record = ET.SubElement(ET.SubElement(patterns, "Collection"), "Record")
        for name, value in (("Pattern", ".+"), ("Type", "Edm.PrimitiveType")):
            ET.SubElement(record, "PropertyValue", {"Property": name, "String": value})
    return "Values"


# --- JSON Schema -----------------------------------------------------------------------------------------------------


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a type."""
    head = {"$id": json_address(name), "$schema": JSON_SCHEMA, "owningEntity": "HawkFish", "title": qualified(name)}
    if name.endswith("Collection"):
        text = f"A collection of {name.removesuffix('Collection')} resources."
        members = {"type": "array", "items": {"$ref": "#/definitions/Link"}, "description": "The members."}
        properties: dict[str, Any] = {"Name": {"type": "string"}, "Members": members}
        if _shown(name.removesuffix("Collection")).collection_actions:
            properties["Actions"] = {"type": "object", "description": "What can be done with the collection."}
        shown = _object(properties, text, resource=True)
        return {**head, "$ref": f"#/definitions/{name}", "definitions": {name: shown, "Link": _LINK}}
    schema = _shown(name)
    definitions: dict[str, Any] = {"Link": _LINK}
    for part in (schema, *_parts(schema)):
        inner = {key: {**_json_type(item), "description": text} for key, item, text in _properties(part)}
        is_main = part is schema
        definitions[schema.type_name if is_main else _part_name(part)] = _object(
            inner, _description(part), resource=is_main and schema.resource
        )
    if schema.actions:
        definitions[_actions_name(schema)] = _json_actions(schema)
    return {**head, "$ref": f"#/definitions/{schema.type_name}", "release": RELEASE, "definitions": definitions}


def _json_actions(schema: type[ShownSchema]) -> dict[str, Any]:
    target = {"target": {"type": "string", "format": "uri-reference"}, "title": {"type": "string"}}
    one = {"type": "object", "additionalProperties": False, "properties": target, "required": ["target"]}
    actions = {f"#{schema.namespace}.{name}": {**one, "description": text} for name, text in schema.actions.items()}
    return {
        "type": "object",
        "description": "The actions.",
        "longDescription": "The actions.",
        "additionalProperties": False,
        "properties": actions,
    }


_LINK = {"type": "object", "properties": {"@odata.id": {"type": "string"}}, "required": ["@odata.id"]}


def _object(properties: Mapping[str, Any], text: str, *, resource: bool) -> dict[str, Any]:
    more = {"Id": {"type": "string"}, "Name": {"type": "string"}} if resource else {}
    return {
        "type": "object",
        "description": text,
        "longDescription": text,
        "additionalProperties": False,
        "patternProperties": {"^([A-Za-z][A-Za-z0-9]*)?@(odata|Redfish|Message)\\.[A-Za-z]+$": {}},
        "properties": {**more, **properties},
        **({"required": ["@odata.id", "@odata.type", "Name"]} if resource else {}),
    }


def _json_type(declared: fields.Field[Any]) -> dict[str, Any]:
    if isinstance(declared, fields.List):
        return {"type": "array", "items": _json_type(declared.inner)}
    if isinstance(declared, fields.Nested):
        part: Any = type(declared.schema)
        return {"$ref": f"#/definitions/{_part_name(part)}"}
    if isinstance(declared, (Link, Offered)):
        return {"$ref": f"#/definitions/{'Link' if isinstance(declared, Link) else 'Actions'}"}
    if isinstance(declared, fields.Enum):
        return {"type": "string", "enum": [str(item.value) for item in declared.enum]}
    if isinstance(declared, (fields.Dict, fields.Raw)) and not isinstance(declared, fields.String):
        return {"type": "object"}
    found = next(dict(known) for kind, _, known in _PRIMITIVES if isinstance(declared, kind))
    return {**found, "type": [found["type"], "null"]} if declared.allow_none else found
