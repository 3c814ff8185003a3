"""From helm/sentinode/values.schema.yaml to the closed JSON schema that Helm reads.

In: the chart's own source, `renamed.yaml`, and the project's models of settings, destinations and
peers. Out: one JSON schema without references. What must hold: every object that lists its
properties refuses others and names those it knows; a renamed key is refused with what to use.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from node.destinations import Destination
from node.peers import Peer
from node.settings import Settings

CHART = Path(__file__).resolve().parent.parent / "helm" / "sentinode"
# Draft 7 is what Helm 3 reads as well.
DIALECT = "http://json-schema.org/draft-07/schema#"

Schema = dict[str, Any]

# What of pydantic's schemas says something to Helm; titles repeat the names.
_KEPT = (
    *("type", "enum", "const", "items", "pattern", "description"),
    *("minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "minItems"),
)


def renamed() -> dict[str, str]:
    """Refused keys by their path with dots, and what to write instead."""
    keys: dict[str, str] = yaml.safe_load((CHART / "renamed.yaml").read_text(encoding="utf-8"))
    return keys


def chart_schema() -> Schema:
    """The tree of values with everything resolved, not yet closed; documents are made from it."""
    source = yaml.safe_load((CHART / "values.schema.yaml").read_text(encoding="utf-8"))
    return _resolved({"properties": source["properties"]}, source["definitions"])


def closed_schema() -> Schema:
    """values.schema.json."""
    schema = _closed(chart_schema())
    # Helm itself puts `global` into every chart's values, and a chart that has this one as a
    # dependency the condition for it: while that is false nothing of this chart is looked at.
    schema["properties"] |= {"global": {"type": "object"}, "enabled": {"const": True}}
    schema["propertyNames"]["enum"] += ["global", "enabled"]
    for path, hint in renamed().items():
        _refuse(schema, path.split("."), hint)
    return {"$schema": DIALECT, "title": "Values of the chart sentinode", **schema}


def _resolved(node: Schema, definitions: Schema) -> Schema:
    node = copy.deepcopy(node)
    generated = node.pop("generated", None)
    if generated:
        node |= _GENERATED[generated]()
    base = node.pop("extends", None)
    if base:
        node = _extended(_resolved(definitions[base], definitions), node)
    if "properties" in node:
        node["type"] = "object"
        properties = node["properties"].items()
        node["properties"] = {name: _resolved(child, definitions) for name, child in properties}
    if isinstance(node.get("items"), dict):
        node["items"] = _resolved(node["items"], definitions)
    _set_defaults(node, node.pop("defaults", {}))
    return node


def _extended(base: Schema, node: Schema) -> Schema:
    properties = {**base.get("properties", {}), **node.get("properties", {})}
    return {**base, **node, "properties": properties}


def _set_defaults(node: Schema, defaults: Schema) -> None:
    for name, value in defaults.items():
        node["properties"][name]["default"] = value


def _closed(node: Schema) -> Schema:
    node = {name: value for name, value in node.items() if name != "free"}
    if "properties" in node:
        properties = {name: _closed(child) for name, child in node["properties"].items()}
        node |= {
            "properties": properties,
            "additionalProperties": False,
            # Says the same again, but its error lists the names that are known.
            "propertyNames": {"enum": list(properties)},
        }
        if needed := [name for name, child in properties.items() if _has_content(child)]:
            node["required"] = [*node.get("required", []), *needed]
    if isinstance(node.get("items"), dict):
        node["items"] = _closed(node["items"])
    return node


def _has_content(node: Schema) -> bool:
    """Whether a value is something when nobody sets it: a key without anything after it, which Helm
    reads as null, takes that away, and templates would stop somewhere without saying where.
    """
    if "default" in node:
        return node["default"] not in ("", [], {})
    return "properties" in node


def _refuse(schema: Schema, path: list[str], hint: str) -> None:
    *parents, key = path
    for parent in parents:
        schema = schema["properties"][parent]
    if key in schema["properties"]:
        raise ValueError(f"renamed.yaml refuses {'.'.join(path)}, which is a value of the chart")
    # The error says: value must be '<hint>'.
    schema["properties"][key] = {"const": hint, "description": f"Refused: {hint}."}


def _settings() -> Schema:
    moved = {path.removeprefix("settings.") for path in renamed() if path.startswith("settings.")}
    properties = _model_properties(Settings)
    kept = {name: field for name, field in properties.items() if name not in moved}
    return {"type": "object", "properties": kept, "default": {}}


def _entries(model: type[BaseModel]) -> Schema:
    required = model.model_json_schema()["required"]
    items = {"type": "object", "properties": _model_properties(model), "required": required}
    return {"type": "array", "items": items, "default": []}


def _model_properties(model: type[BaseModel]) -> Schema:
    fields = model.model_json_schema()["properties"]
    return {name: _simple(field) for name, field in fields.items()}


def _simple(field: Schema) -> Schema:
    """A field without title, default and null: what is not wanted is left out of the values."""
    given = [choice for choice in field.get("anyOf", []) if choice.get("type") != "null"]
    merged = {**field, **(given[0] if given else {})}
    kept = {name: merged[name] for name in _KEPT if name in merged}
    if isinstance(kept.get("items"), dict):
        kept["items"] = _simple(kept["items"])
    return kept


_GENERATED = {
    "settings": _settings,
    "destinations": lambda: _entries(Destination),
    "peers": lambda: _entries(Peer),
}
