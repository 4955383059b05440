"""The images that the outlier score is measured on, uint8 [n, 28, 28]: the same every time.

What would come as a picture file goes the way of one: through the wrapper's own reading, which crops and scales it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits, load_sample_images

from deploy.fashion_classifier import picture
from deploy.fashion_classifier.errors import BadInput

Images = npt.NDArray[np.uint8]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Bold")


def strange(clothes: Images, count: int) -> dict[str, Images]:
    """Sets of at most `count` images that are no clothes, or `clothes` as nobody shows them, by name."""
    rng = np.random.default_rng(0)
    shape, clothes = (count, 28, 28), clothes[:count]
    return {
        "handwritten digits, as pictures": _read(_digits(count, 160)),
        "handwritten digits, small": np.stack([np.pad(np.asarray(each), 4) for each in _digits(count, 20)]),
        "printed letters, as pictures": _read(_letters(count)),
        "drawn shapes, as pictures": _read(_shapes(count, rng)),
        "crops of photographs, as pictures": _read(_photographs(count, rng)),
        "uniform noise": rng.integers(0, 256, shape, dtype=np.uint8),
        "grey noise": np.clip(rng.normal(128, 40, shape), 0, 255).astype(np.uint8),
        "salt on black": (255 * (rng.random(shape) < 0.1)).astype(np.uint8),
        "one grey value": np.repeat(np.arange(256, dtype=np.uint8)[:count], 784).reshape(-1, 28, 28),
        "clothes, negative": 255 - clothes,
        "clothes, upside down": clothes[:, ::-1].copy(),
        "clothes, turned by 90°": np.rot90(clothes, axes=(1, 2)).copy(),
    }


def usual(clothes: Images, count: int) -> dict[str, Images]:
    """`clothes` as people may well show them, by name: to be taken for what they are."""
    rng, clothes = np.random.default_rng(1), clothes[:count]
    return {
        "mirrored": clothes[:, :, ::-1].copy(),
        "as pictures on white, ten times as large": _read(_enlarged(clothes)),
        "darker, to 60 %": (clothes * 0.6).astype(np.uint8),
        "with noise of 8 grey values": np.clip(clothes + rng.normal(0, 8, clothes.shape), 0, 255).astype(np.uint8),
        "two pixels to the right, wrapped": np.roll(clothes, 2, axis=2),
    }


def _read(pictures: Iterator[Image.Image]) -> Images:
    found = []
    for each in pictures:
        file = io.BytesIO()
        each.save(file, "PNG")
        try:
            found.append(picture.read(file.getvalue())[0])
        except BadInput:
            # A crop of one colour is refused, and so needs no score.
            continue
    return np.stack(found)


def _digits(count: int, side: int) -> Iterator[Image.Image]:
    for each in load_digits().images[:count]:
        yield Image.fromarray((each * (255 / 16)).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)


def _letters(count: int) -> Iterator[Image.Image]:
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    pairs = [(font, letter) for font in _FONTS for letter in _LETTERS][:count]
    for font, letter in pairs:
        page = Image.new("L", (160, 160), 255)
        ImageDraw.Draw(page).text((30, 20), letter, fill=0, font=ImageFont.truetype(folder / f"{font}.ttf", 100))
        yield page


def _shapes(count: int, rng: np.random.Generator) -> Iterator[Image.Image]:
    """Outlined and filled ellipses, triangles and strokes, light on black."""
    for number in range(count):
        page = Image.new("L", (200, 200))
        draw, grey, width = ImageDraw.Draw(page), int(rng.integers(120, 256)), int(rng.integers(4, 25))
        points = [(int(x), int(y)) for x, y in rng.integers(10, 190, (5, 2))]
        box = (20, 20, int(rng.integers(80, 180)), int(rng.integers(80, 180)))
        if number % 4 == 0:
            draw.ellipse(box, outline=grey, width=width)
        elif number % 4 == 1:
            draw.ellipse(box, fill=grey)
        elif number % 4 == 2:
            draw.polygon(points[:3], fill=grey)
        else:
            draw.line(points, fill=grey, width=width, joint="curve")
        yield page


def _photographs(count: int, rng: np.random.Generator) -> Iterator[Image.Image]:
    """Squares of 40 to 400 pixels from scikit-learn's photographs of a temple and of a flower."""
    photographs = load_sample_images().images
    for number in range(count):
        whole = photographs[number % len(photographs)]
        side = int(rng.integers(40, 400))
        top, left = (int(rng.integers(0, length - side + 1)) for length in whole.shape[:2])
        yield Image.fromarray(np.ascontiguousarray(whole[top : top + side, left : left + side]))


def _enlarged(clothes: Images) -> Iterator[Image.Image]:
    for each in clothes:
        page = Image.new("L", (340, 340), 255)
        page.paste(Image.fromarray(255 - each).resize((280, 280), Image.Resampling.BICUBIC), (30, 30))
        yield page
