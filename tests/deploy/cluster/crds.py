"""The schemas that a chart's CustomResourceDefinitions carry, as JSON Schema that refuses what the API server would.

An unknown field is refused (the API server drops it, or refuses it under fieldValidation=Strict).  CEL rules
(x-kubernetes-validations) and the webhooks' own rules are not evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jsonschema

_DROPPED = ("description", "default", "format")
_METADATA = ("apiVersion", "kind", "metadata")


class Schemas:
    """By API version and kind."""

    def __init__(self, objects: Iterable[dict[str, Any]]) -> None:
        self._known: dict[tuple[str, str], Any] = {}
        for each in objects:
            if each["kind"] == "CustomResourceDefinition":
                spec = each["spec"]
                for version in spec["versions"]:
                    key = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
                    self._known[key] = _closed(version["schema"]["openAPIV3Schema"])

    def __contains__(self, item: dict[str, Any]) -> bool:
        return (item["apiVersion"], item["kind"]) in self._known

    def check(self, item: dict[str, Any]) -> None:
        """Raises jsonschema.ValidationError."""
        body = {name: value for name, value in item.items() if name not in _METADATA}
        jsonschema.Draft7Validator(self._known[item["apiVersion"], item["kind"]]).validate(body)


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    closed = {name: value for name, value in schema.items() if name not in _DROPPED and not name.startswith("x-")}
    for name in ("items", "additionalProperties", "not", "anyOf", "oneOf", "allOf"):
        if name in closed:
            # Inside of these stands what must hold besides, not which fields there are.
            closed[name] = _closed(closed[name]) if name in ("items", "additionalProperties") else closed[name]
    if "properties" in closed:
        closed["properties"] = {name: _closed(value) for name, value in closed["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed.setdefault("additionalProperties", False)
    return closed
