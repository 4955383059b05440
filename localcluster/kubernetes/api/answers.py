"""The form of an answer: JSON, or YAML for a client that asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import yaml
from starlette.responses import Response

from localcluster.kubernetes.errors import NotAcceptable

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
"""Named to clients as on a real server; one that takes nothing else is refused all the same."""
_ANYTHING = ("*/*", "application/*")


def negotiated(accept: str) -> Callable[[Any, int], Response]:
    """What makes the answer for an Accept header, the first choice that is served; raises NotAcceptable."""
    choices = [choice.partition(";")[0].strip() for choice in accept.split(",") if choice.strip()] or [JSON]
    for choice in choices:
        if choice == YAML:
            return _as_yaml
        if choice in (JSON, *_ANYTHING):
            return as_json
    raise NotAcceptable(JSON, YAML, PROTOBUF)


def as_json(body: Any, status: int = 200, media_type: str = JSON) -> Response:
    """An answer in JSON, whatever the client asks for."""
    return Response(json.dumps(body), status, media_type=media_type)


def _as_yaml(body: Any, status: int) -> Response:
    return Response(yaml.safe_dump(body, sort_keys=True, allow_unicode=True), status, media_type=YAML)
