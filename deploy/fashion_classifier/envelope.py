"""What a Seldon message carries beside the pixels: `meta` in and out, and the answer's data in the request's kind."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from flask import g, has_app_context, has_request_context, request
from seldon_core.utils import get_request_path

from . import nesting, tftensor
from .errors import BadInput
from .payload import Kind

PUID_LENGTH = 256


def received_meta(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request's `meta`, checked.  Raises BadInput."""
    meta = message.get("meta")
    if meta is None:
        return {}
    if not isinstance(meta, Mapping):
        raise BadInput('"meta" must be an object')
    for field in ("tags", "requestPath"):
        if not isinstance(meta.get(field, {}), Mapping):
            raise BadInput(f'"meta.{field}" must be an object')
        nesting.check_depth(meta.get(field), f'"meta.{field}"')
    puid = meta.get("puid")
    if puid is not None and not is_puid(puid):
        raise BadInput(f'"meta.puid" must be a string of at most {PUID_LENGTH} printable ASCII characters')
    return meta


def is_mirrored() -> bool:
    """Whether the ingress copies this HTTP request to a shadow, which Envoy shows by `-shadow` behind the host."""
    return has_request_context() and request.host.partition(":")[0].endswith("-shadow")


def is_puid(value: object) -> bool:
    """Whether `value` can travel as the header Seldon-Puid."""
    return isinstance(value, str) and len(value) <= PUID_LENGTH and value.isascii() and value.isprintable()


def meta(received: Mapping[str, Any], tags: Mapping[str, Any], metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer's `meta`.

    The puid is the request's, else the header's, else a new one.  Tags and path of the request stay, as Seldon
    merges them; its metrics do not, because Seldon records what stands there as this model's own.
    """
    puid = received.get("puid") or (g.get("puid") if has_app_context() else None) or new_puid()
    if has_app_context():
        g.puid = puid
    answer = {
        "puid": puid,
        "tags": {**received.get("tags", {}), **tags},
        "metrics": metrics,
        "requestPath": {**_own_path(), **received.get("requestPath", {})},
    }
    return {name: value for name, value in answer.items() if value}


@cache
def _own_path() -> dict[str, str]:
    """This node of the graph and its image, which Seldon reads from the environment for each answer."""
    path: dict[str, str] = get_request_path()
    return path


def new_puid() -> str:
    """A unique id for a prediction that came without one."""
    return uuid.uuid4().hex


def data(probabilities: npt.NDArray[np.float32], kind: Kind) -> dict[str, Any]:
    """Probabilities [n, 10] as `kind`; where it is numbers still a NumPy array, which the JSON writer takes."""
    if kind == "tensor":
        return {"tensor": {"shape": list(probabilities.shape), "values": probabilities.ravel()}}
    if kind == "tftensor":
        return {"tftensor": tftensor.to_json(probabilities)}
    return {"ndarray": probabilities}
