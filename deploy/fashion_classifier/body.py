"""The one place that changes how Seldon's Flask app reads and writes bodies, through Flask's own hooks.

Seldon's `get_request` answers 500 where a form field is not JSON, says only "Can't find JSON in data" for every
other mistake, and reads bodies of any size.  Here each mistake is a BadInput that says what is wrong, and orjson
reads and writes in place of the standard library (it takes NumPy arrays as they are).
"""

from __future__ import annotations

import io
import math
from typing import IO, Any, NoReturn

import orjson
from flask import Flask, Request, Response, request
from flask.json.provider import JSONProvider
from seldon_core.flask_utils import get_request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from . import nesting
from .errors import BadInput

MAX_BODY = 20 * 2**20
"""Bytes: a million numbers of 17 digits, or 10,000 images as base64 of their pixels twice over."""

_DRAINED = 4 * MAX_BODY
_HINT = 'send {"data": {"tensor": {"shape": [28,28], "values": [784 numbers]}}} with Content-Type: application/json'


class JsonRequest(Request):
    """Says why a body is not JSON, and keeps uploads in memory.

    Werkzeug writes files over 500 kB to /tmp, where those of all threads together would exceed the volume's limit,
    for which Kubernetes evicts the Pod.  Seldon's reader takes a file into memory anyway; MAX_BODY bounds it.
    """

    def _get_file_stream(self, *args: Any, **kwargs: Any) -> IO[bytes]:  # noqa: ARG002 - Werkzeug's signature
        return io.BytesIO()

    def on_json_loading_failed(self, e: ValueError | None) -> NoReturn:
        """Called by Flask for a wrong content type (None) and for a body that does not parse."""
        if e is None:
            raise BadInput(f"the Content-Type is {self.mimetype or 'missing'}; {_HINT}")
        if not self.get_data():
            raise BadInput(f"the body is empty; {_HINT}")
        raise BadInput(f"the body is not JSON: {e}; {_HINT}")


class OrjsonProvider(JSONProvider):
    """Flask's JSON by orjson: ten times faster on tensors, and it refuses NaN as the JSON standard does."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:  # noqa: ARG002 - Flask's signature
        """Write `obj`, which may hold C-contiguous NumPy arrays."""
        return encode(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:  # noqa: ARG002 - Flask's signature
        """Read JSON text.  Raises ValueError, and BadInput for too many parts."""
        return decode(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """A response with the body of `flask.jsonify`'s arguments."""
        content = encode(self._prepare_response_obj(args, kwargs))
        response: Response = self._app.response_class(content, mimetype="application/json")
        return response


def decode(text: str | bytes) -> Any:
    """Read JSON text.  Raises ValueError, and BadInput for too many parts."""
    nesting.check_text(text)
    return orjson.loads(text)


def encode(value: Any) -> bytes:
    """Write what may hold C-contiguous NumPy arrays."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def install(app: Flask) -> None:
    """Make `app` read requests as this module says."""
    app.request_class = JsonRequest
    app.json = OrjsonProvider(app)


def check_encoding() -> None:
    """Refuse a compressed body, which Seldon's reader would take for broken JSON."""
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaType(f"the body is compressed (Content-Encoding: {encoding}); send it as it is")


def check_size() -> None:
    """Refuse a body over MAX_BODY, announced or chunked (Werkzeug 2.2 limits forms only).

    The rest is read and dropped, within reason: a client that is still sending sees a reset connection
    instead of the answer.
    """
    stream = request.environ["wsgi.input"]
    if request.content_length is None:
        content = stream.read(MAX_BODY + 1)
        if len(content) <= MAX_BODY:
            request.environ["wsgi.input"] = io.BytesIO(content)
            return
    elif request.content_length <= MAX_BODY:
        return
    remaining = _DRAINED
    while remaining > 0 and (block := stream.read(2**16)):
        remaining -= len(block)
    raise RequestEntityTooLarge(f"the body is larger than {MAX_BODY // 2**20} MiB; send fewer images at once")


def check_feedback() -> None:
    """Refuse feedback that Seldon would fail on or stall over, and a reward that would spoil its counter for good."""
    message = get_request()
    if not isinstance(message, dict):
        raise BadInput('feedback must be an object: {"request": ..., "reward": 1, "truth": ...}')
    reward = message.get("reward", 0)
    if type(reward) not in (int, float) or not math.isfinite(reward):
        raise BadInput('"reward" must be a number')
    values = 0
    for depth, level in enumerate(nesting.levels(message), 1):
        values += sum(map(len, level))
        if values > nesting.MAX_FEEDBACK:
            raise RequestEntityTooLarge(
                f"the feedback holds more than {nesting.MAX_FEEDBACK:,} values; send fewer images at once, or as "
                "tftensor or binData"
            )
        if depth > nesting.MAX_DEPTH:
            raise nesting.too_deep("the feedback")


def check_form() -> None:
    """Refuse form fields that Seldon's reader would fail on with a 500: `json=`, and the parts of a multipart body.

    The standard library reads these, and takes what no answer could echo: lone surrogates, numbers of any length.
    """
    if request.mimetype not in ("multipart/form-data", "application/x-www-form-urlencoded") and not request.args:
        return
    for text in request.values.values():
        nesting.check_text(text)
    try:
        message = get_request()
        orjson.dumps(message.get("meta") if isinstance(message, dict) else None)
    except UnicodeDecodeError as error:
        raise BadInput(
            "a part of the form is a file that is no text; send a picture as binData=@picture.png"
        ) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInput(f"a form field is not JSON: {error}; send json=<the message>") from error
    for file in request.files.values():
        file.seek(0)
