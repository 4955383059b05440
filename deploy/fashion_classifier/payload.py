"""Reads a Seldon message into images, or says what is wrong with it and what to send.

A message holds `data` (tensor, ndarray or tftensor), `binData` or `strData` (a picture file, or raw pixels), or
`jsonData`.  The answer comes as Seldon's own wrapper gives it: `data` in its own kind, everything else as a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from . import binary, tftensor
from .errors import BadInput
from .pixels import Images, from_lists, from_tensor, name

_FIELDS = ("data", "binData", "strData", "jsonData")
_HINT = '{"data": {"tensor": {"shape": [28,28], "values": [784 numbers]}}} or {"binData": "a picture, base64"}'

Kind = Literal["tensor", "ndarray", "tftensor"]
"""How `data` holds an array."""


class Request(NamedTuple):
    """One prediction request."""

    images: Images
    """uint8 [n, 28, 28]."""
    kind: Kind
    """How the answer is to hold its array."""
    payload: str
    """What the images came as: `tensor`, `ndarray`, `tftensor`, `binData`, `strData` or `jsonData`."""


def parse(message: object) -> Request:
    """Read a decoded Seldon message.  Raises BadInput, and nothing else, for whatever cannot be read."""
    if not isinstance(message, Mapping):
        raise BadInput(f"the body is {name(message)}; send an object: {_HINT}")
    found = [field for field in _FIELDS if field in message]
    if len(found) > 1:
        raise BadInput(f"the message holds {_listed(found)}; send one of them")
    if not found:
        if "customData" in message:
            raise BadInput(f'"customData" is not served; send {_HINT}')
        raise BadInput(f'there is no "data"; send {_HINT}')
    (field,) = found
    content = message[field]
    if field == "data":
        return _data(content)
    if field == "jsonData":
        return Request(_json(content), "tensor", field)
    return Request(binary.from_text(content, field), "tensor", field)


def check_names(names: object) -> None:
    """The optional `names` of `data`: ours to check, not to use.  Raises BadInput."""
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise BadInput('"names" must be a list of strings; it may be left out')


def _data(data: object) -> Request:
    if not isinstance(data, Mapping):
        raise BadInput(f'"data" is {name(data)}; send an object with {_listed(_READERS, "or")}')
    check_names(data.get("names"))
    kinds: list[Kind] = [kind for kind in _READERS if kind in data]
    if len(kinds) != 1:
        raise BadInput(f'"data" must hold {_listed(_READERS, "or")}; found {_listed(kinds) or "none of them"}')
    (kind,) = kinds
    return Request(_READERS[kind](data[kind]), kind, kind)


def _json(content: object) -> Images:
    """`jsonData` is free in Seldon; here it is nested lists, or the object that could stand as `data`."""
    return _data(content).images if isinstance(content, Mapping) else from_lists(content, "jsonData")


def _listed(names: Iterable[str], word: str = "and") -> str:
    quoted = [f'"{each}"' for each in names]
    return f" {word} ".join(filter(None, (", ".join(quoted[:-1]), *quoted[-1:])))


_READERS: dict[Kind, Callable[[object], Images]] = {
    "tensor": from_tensor,
    "ndarray": from_lists,
    "tftensor": tftensor.from_json,
}
