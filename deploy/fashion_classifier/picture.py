"""A picture of any size and mode as the model knows images: 28x28, grey, the subject bright on black.

Fashion-MNIST was made from product pictures on white (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747, section 2): the
edges within 5 % of the corners' colour were trimmed, the longer side became 28 pixels, the result was centred, its
intensities negated, and it was turned into grey.  The same is done here, with two differences that people need: a
picture whose background is already dark is not negated, and the background ends at 0 also where it is a light grey.
Shrinking averages areas, where the data set took single pixels and sharpened: that gives an enlarged image back.

Two facts of the 70,000 images decide the rest.  None has more than two corners above 64, so three light corners tell
a light background.  Where the shorter side leaves an odd number of pixels, the odd one is above or to the left.
"""

from __future__ import annotations

import io
import threading
from contextlib import nullcontext

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from .errors import BadInput
from .pixels import SIDE, Images

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
_NAMES = "PNG, JPEG, GIF, BMP or WebP"
MAX_PIXELS = 24_000_000
"""A camera's 6000x4000; reading one takes at most about 8 bytes for each, 190 MiB."""

_WORKING = 1024
"""Pixels of the longer side from which on a picture is halved, thirded, ... before anything else is done."""
_TRIMMED = 0.05 * 255
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
"""Sizes in bytes of the headers that follow the file header: raw pixels seldom begin with all that."""

_one_large = threading.Lock()
"""A process decodes one picture over a megapixel at a time, so that threads do not add up their memory."""


def is_picture(content: bytes) -> bool:
    """Whether the bytes begin as one of FORMATS does."""
    if content.startswith(_SIGNATURES) or (content[:4] == b"RIFF" and content[8:12] == b"WEBP"):
        return True
    return content[:2] == b"BM" and int.from_bytes(content[14:18], "little") in _BMP_HEADERS


def read(content: bytes) -> Images:
    """A picture file as one image, uint8 [1, 28, 28]; of an animation the first frame.  Raises BadInput.

    A picture of 28x28 pixels is taken as framed already: dark around it goes through unchanged, to the bit.
    """
    grey = _grey(content)
    foreground = _on_black(grey)
    if foreground.shape != (SIDE, SIDE):
        foreground = _framed(foreground)
    return foreground[np.newaxis]


def _grey(content: bytes) -> npt.NDArray[np.uint8]:
    """Luminance (ITU-R 601), upright, without transparency, at most about 2000 pixels wide or high."""
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise Image.DecompressionBombError(f"{width}x{height}")
        picture.draft(None, (_WORKING, _WORKING))
        with _one_large if width * height > 2**20 else nullcontext():
            return _decoded(picture)
    except Image.DecompressionBombError as error:
        raise BadInput(f"the picture is too large ({error}); send at most {MAX_PIXELS // 10**6} megapixels") from error
    # Whatever Pillow's decoders raise for hostile bytes, and it is many things, is about those bytes.
    except Exception as error:
        raise BadInput(f"the picture cannot be read: {error}; send a whole {_NAMES} file") from error


def _decoded(picture: Image.Image) -> npt.NDArray[np.uint8]:
    picture.load()
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    transparent = picture.has_transparency_data
    mode = "RGBA" if transparent else "RGB" if picture.mode == "CMYK" else "L"
    # Pillow copies a picture that has the mode already: 4 bytes for each of its pixels.
    picture = picture if picture.mode == mode else picture.convert(mode)
    picture = picture.reduce(max(1, max(picture.size) // _WORKING))
    return _opaque(picture) if transparent else np.asarray(picture.convert("L"))


def _opaque(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Put a picture with transparency on what it stands out from: white, or black where it is mostly light."""
    alpha = np.asarray(picture.getchannel("A"), dtype=np.float32) / 255
    grey = np.asarray(picture.convert("L"), dtype=np.float32)
    light = (grey * alpha).sum() > 127.5 * alpha.sum()
    composed: npt.NDArray[np.float32] = np.rint(grey * alpha + (0 if light else 255) * (1 - alpha))
    return composed.astype(np.uint8)


def _on_black(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The distance from the background, which is dark or light: 0 at the background, 255 at its opposite."""
    corners = sorted(int(grey[row, column]) for row in (0, -1) for column in (0, -1))
    background = corners[1]
    if background < 128 and grey.shape == (SIDE, SIDE):
        return grey
    distance: npt.NDArray[np.float32] = (
        np.float32(background) - grey if background >= 128 else grey - np.float32(background)
    )
    stretched: npt.NDArray[np.float32] = np.rint(distance.clip(0) * (255 / max(background, 255 - background)))
    return stretched.astype(np.uint8)


def _framed(foreground: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Cropped to what is not background, the longer side scaled to 28, in the middle of 28x28."""
    content = foreground > _TRIMMED
    rows, columns = np.flatnonzero(content.any(axis=1)), np.flatnonzero(content.any(axis=0))
    if not len(rows):
        raise BadInput("the picture shows one colour everywhere; send one whose subject differs from its background")
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    sides = box[2] - box[0], box[3] - box[1]
    width, height = (max(1, round(side * SIDE / max(sides))) for side in sides)
    filtered = Image.Resampling.BOX if max(sides) >= SIDE else Image.Resampling.BICUBIC
    frame = Image.new("L", (SIDE, SIDE))
    scaled = Image.fromarray(foreground).resize((width, height), filtered, box=box)
    frame.paste(scaled, ((SIDE - width + 1) // 2, (SIDE - height + 1) // 2))
    return np.asarray(frame)
