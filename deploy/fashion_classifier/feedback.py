"""What people say about answers: reads Seldon's feedback message and writes the lines of the repo `fmnist-feedback`.

The lines' format is described in pipelines/feedback.py, where training reads them; here everything is refused that
would be left out there.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from . import metrics, payload, pixels
from .errors import BadInput
from .spool import Spool

_SUM_TOLERANCE = 0.01
_LONGEST_TEXT = 256
_TRUTH_HINT = (
    'send the class that the image shows, for example {"strData": "Coat"}, {"data": {"ndarray": [4]}} or a row that '
    "has 1 at its class and 0 elsewhere; several images take a list"
)
_RESPONSE_HINT = 'send as "response" the whole answer to the prediction, with its "data" and "meta"'


@dataclass(frozen=True)
class Feedback:
    """What was said about one answer: images uint8 [n, 28, 28]; n classes answered, n classes shown, as indices."""

    images: pixels.Images
    answers: list[int]
    truths: list[int]
    model_version: str
    puid: str

    def lines(self, moment: datetime | None = None) -> bytes:
        """One JSON object a line and image; images that were answered together differ in their puid's last part."""
        time = (moment or datetime.now(UTC)).isoformat(timespec="milliseconds")
        puids = [self.puid] if len(self.images) == 1 else [f"{self.puid}/{n}" for n in range(len(self.images))]
        records = (
            {
                "image": base64.b64encode(image.tobytes()).decode(),
                "answer": answer,
                "truth": truth,
                "model_version": self.model_version,
                "puid": puid,
                "time": time,
            }
            for image, answer, truth, puid in zip(self.images, self.answers, self.truths, puids, strict=True)
        )
        return b"".join(json.dumps(record).encode() + b"\n" for record in records)

    def metrics(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Seldon's COUNTERs: images by class shown and class answered, from which come accuracy and confusion."""
        return metrics.feedback(self.answers, self.truths, names)


def read(message: Mapping[str, Any], names: Sequence[str]) -> Feedback | None:
    """Read a feedback message in its JSON form; None where it holds no truth.  Raises BadInput."""
    request, response, truth = (message.get(part) or {} for part in ("request", "response", "truth"))
    if not _holds_data(truth):
        if _holds_data(request):
            payload.parse(request)
        return None
    if not _holds_data(request):
        raise BadInput('there is a "truth" and no "request"; send as "request" what was sent for the prediction')
    images = payload.parse(request).images
    if any(image.min() == image.max() for image in images):
        raise BadInput("an image of the request has one grey value everywhere; it shows nothing to learn from")
    answers = _answers(response, len(images), names)
    truths = _classes(_content(truth, '"truth"', _TRUTH_HINT), len(images), names)
    return Feedback(images, answers, truths, *_origin(response))


def store(given: Feedback | None, spool: Spool | None, *, mirrored: bool) -> str:
    """Put what was said into the spool; returns what was done with it, in words.  Raises SpoolError."""
    if given is None:
        return "counted: there is no truth to store"
    if spool is None:
        return "counted: nothing is stored here (FEEDBACK_SPOOL is not set)"
    if mirrored:
        return "counted: the predictor that this shadow copies stores it"
    spool.append(given.lines())
    return "stored"


def _holds_data(message: Any) -> bool:
    return isinstance(message, Mapping) and any(
        field in message for field in ("data", "strData", "jsonData", "binData", "customData")
    )


def _origin(response: Mapping[str, Any]) -> tuple[str, str]:
    """Model version and puid of an answer."""
    meta = response.get("meta") or {}
    version, puid = (meta.get("tags") or {}).get("model_version"), meta.get("puid")
    if not isinstance(version, str) or not _is_text(version):
        raise BadInput(f'"response" does not say which model answered (meta.tags.model_version); {_RESPONSE_HINT}')
    if not isinstance(puid, str) or not _is_text(puid):
        raise BadInput(f'"response" does not say which prediction it answers (meta.puid); {_RESPONSE_HINT}')
    return version, puid


def _answers(response: Mapping[str, Any], count: int, names: Sequence[str]) -> list[int]:
    rows = _content(response, '"response"', _RESPONSE_HINT)
    given = (response.get("data") or {}).get("names")
    if given and list(given) != list(names):
        raise BadInput(f'"response" names other classes ({", ".join(map(str, given))}); {_RESPONSE_HINT}')
    if count == 1 and _is_row(rows, names):
        rows = [rows]
    if not isinstance(rows, list) or not all(_is_row(row, names) for row in rows):
        raise BadInput(f'"response" must hold {len(names)} probabilities for each image; {_RESPONSE_HINT}')
    if len(rows) != count:
        raise BadInput(
            f'"request" holds {count} images, "response" answers {len(rows)}; send those that belong together'
        )
    return [int(np.argmax(row)) for row in rows]


def _classes(value: Any, count: int, names: Sequence[str]) -> list[int]:
    values = value if isinstance(value, list) else [value]
    if count == 1 and _is_row(values, names):
        values = [values]
    if len(values) != count:
        raise BadInput(f'"request" holds {count} images, "truth" {len(values)} classes; {_TRUTH_HINT}')
    return [_class(each, names) for each in values]


def _class(value: Any, names: Sequence[str]) -> int:
    """The index that a class index, a class name, or a row of probabilities stands for."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        found = [index for index, name in enumerate(names) if name.casefold() == value.strip().casefold()]
        if not found:
            raise BadInput(f'"truth" names the class {value[:40]!r}, which is none of {", ".join(names)}')
        return found[0]
    if isinstance(value, list) and _is_row(value, names):
        highest = max(value)
        if min(value) < 0 or abs(sum(value) - 1) > _SUM_TOLERANCE or value.count(highest) > 1:
            raise BadInput(f'a row of "truth" must add up to 1 with one highest value; {_TRUTH_HINT}')
        return value.index(highest)
    if _is_number(value) and value == int(value) and 0 <= value < len(names):
        return int(value)
    if _is_number(value):
        raise BadInput(f'"truth" is {value:g}, which is no class from 0 to {len(names) - 1}; {_TRUTH_HINT}')
    raise BadInput(f'"truth" is not a class; {_TRUTH_HINT}')


def _is_row(value: Any, names: Sequence[str]) -> bool:
    return isinstance(value, list) and len(value) == len(names) and all(map(_is_number, value))


def _is_text(value: str) -> bool:
    return 0 < len(value) <= _LONGEST_TEXT and value.isprintable()


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _content(message: Any, what: str, hint: str) -> Any:
    """The tensor, ndarray or tftensor as nested lists, the string, or the JSON value of a Seldon message."""
    data = message.get("data") if isinstance(message, Mapping) else None
    if isinstance(data, Mapping):
        if "ndarray" in data:
            return data["ndarray"]
        if "tensor" in data:
            return _nested(data["tensor"], what)
        if "tftensor" in data:
            return _nested(_tensor(data["tftensor"], what), what)
    elif isinstance(message, Mapping):
        for field in ("strData", "jsonData"):
            if field in message:
                return message[field]
    raise BadInput(f"{what} holds nothing that can be read; {hint}")


def _tensor(proto: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Shape and values of a TensorProto in the form in which this service answers: float32 as bytes."""
    try:
        shape = [int(dimension["size"]) for dimension in proto["tensorShape"]["dim"]]
        content = base64.b64decode(proto["tensorContent"], validate=True)
        values = np.frombuffer(content, {"DT_FLOAT": "<f4"}[proto["dtype"]]).tolist()
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f'the tftensor of {what} is not DT_FLOAT with "tensorContent"; send it as it came') from error
    return {"shape": shape, "values": values}


def _nested(tensor: Mapping[str, Any], what: str) -> Any:
    shape, values = tensor.get("shape") or [], tensor.get("values") or []
    if len(shape) > 2 or min(shape, default=0) < 0 or math.prod(shape) != len(values):
        raise BadInput(f"the tensor of {what} has shape {shape} and {len(values)} values; the shape must fit")
    if len(shape) < 2:
        return values
    return [values[row * shape[1] : (row + 1) * shape[1]] for row in range(shape[0])]
