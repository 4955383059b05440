"""Images as bytes: a picture file, or raw pixels; in JSON as base64 text, also as a data URL."""

from __future__ import annotations

import base64
import binascii
import re

import numpy as np

from . import picture
from .errors import BadInput
from .pixels import MAX_IMAGES, PIXELS, SIDE, Images, name

_HINT = (
    "send a PNG, JPEG, GIF, BMP or WebP picture, or raw pixels: one byte each, row by row, "
    f"{PIXELS} for each {SIDE}x{SIDE} image"
)
_DATA_URL = re.compile(r"data:[^,;]*(;[^,;]*)*?;base64,", re.IGNORECASE)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def from_bytes(content: bytes) -> Images:
    """Images uint8 [n, 28, 28]: one of a picture, or n of n times 784 bytes.  Raises BadInput."""
    if picture.is_picture(content):
        return picture.read(content)
    count, rest = divmod(len(content), PIXELS)
    if rest or not count:
        raise BadInput(f"{len(content)} bytes that are no picture this server knows; {_HINT}")
    if count > MAX_IMAGES:
        raise BadInput(f"{count} images in one request; send at most {MAX_IMAGES}")
    return np.frombuffer(content, np.uint8).reshape(count, SIDE, SIDE)


def from_text(text: object, field: str) -> Images:
    """Images of base64 text, which stands in `field`.  Raises BadInput."""
    return from_bytes(decoded(text, field))


def decoded(text: object, field: str) -> bytes:
    """The bytes of base64 text: standard or URL-safe alphabet, in lines, padded or not, or in a data URL.

    Seldon's reader of forms gives bytes instead of text.  Raises BadInput.
    """
    if isinstance(text, str):
        prefix = _DATA_URL.match(text)
        if text[:5].lower() == "data:" and not prefix:
            raise BadInput(f'"{field}" is a data URL without base64; send data:image/png;base64,...')
        text = text[prefix.end() if prefix else 0 :].encode(errors="replace")
    if not isinstance(text, bytes):
        raise BadInput(f'"{field}" is {name(text)}; send a string: base64 of a picture or of raw pixels')
    joined = b"".join(text.split()).translate(_URL_SAFE).rstrip(b"=")
    try:
        return base64.b64decode(joined + b"=" * (-len(joined) % 4), validate=True)
    except binascii.Error as error:
        raise BadInput(f'"{field}" is not base64 ({error}); {_HINT}') from error
