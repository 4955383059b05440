"""`python -m deploy.release.predict`: real test images through the ingress (the target `make predict`).

Shows image, truth, answer and probability, then where the model is served and a curl to paste.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from deploy.release import files, ingress, manifest, samples
from deploy.release.errors import PredictError, ReleaseError

_SHADES = " ░▒▓█"
_BLOCK = (4, 2)
"""Pixels, rows by columns, that one character stands for: characters are twice as high as wide."""


def message(images: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Images uint8 [n, 28, 28] as a Seldon JSON tensor."""
    return {"data": {"tensor": {"shape": list(images.shape), "values": images.ravel().tolist()}}}


def answers(response: Any, count: int) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Class names and probabilities [n, 10] of a response.  Raises PredictError where it is another one."""
    try:
        names = list(response["data"]["names"])
        tensor = response["data"]["tensor"]
        probabilities = np.array(tensor["values"], dtype=np.float64).reshape(tensor["shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise PredictError(f"the answer is not a tensor of probabilities: {error}") from error
    if probabilities.shape != (count, len(names)):
        raise PredictError(f"the answer has shape {probabilities.shape} for {count} images and {len(names)} names")
    return names, probabilities


def drawing(image: npt.NDArray[np.uint8]) -> str:
    """An image uint8 [28, 28] in seven lines of fourteen characters."""
    rows, columns = _BLOCK
    means = image.reshape(28 // rows, rows, 28 // columns, columns).mean(axis=(1, 3))
    levels = np.ceil(means / 255 * (len(_SHADES) - 1)).astype(int)
    return "\n".join("".join(_SHADES[level] for level in line) for line in levels)


def table(chosen: samples.Samples, names: list[str], probabilities: npt.NDArray[np.float64]) -> Table:
    """One row an image."""
    result = Table(show_lines=True)
    for title in ("image", "truth", "answer", "probability"):
        result.add_column(title, vertical="middle")
    for image, label, position, row in zip(chosen.images, chosen.labels, chosen.positions, probabilities, strict=True):
        best = int(row.argmax())
        style = "green" if best == label else "red"
        result.add_row(
            drawing(image), f"{names[label]}\n(test {position})", f"[{style}]{names[best]}[/]", f"{row[best]:.1%}"
        )
    return result


def _shell(path: Path) -> str:
    """The path as it is pasted: relative where that is shorter, quoted where it has to be."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 where something could not be done."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release.predict", description=__doc__)
    parser.add_argument("--count", type=int, choices=range(1, 101), default=5, metavar="N", help="images (1 to 100)")
    source = os.environ.get("TEST_DATA") or samples.SOURCE
    parser.add_argument("--source", default=source, help="repo@branch-or-commit (default: %(default)s)")
    arguments = parser.parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        base = ingress.base_url(manifest.namespace_of(manifest.seldon_of(manifest.read_overlay())))
        chosen = samples.choose(samples.read(arguments.source), arguments.count)
        response = ingress.predict(base, message(chosen.images))
        names, probabilities = answers(response, len(chosen.images))
    except ReleaseError as error:
        print(f"predict: {error}", file=sys.stderr)
        return 1
    files.write(files.SAMPLE, json.dumps(message(chosen.images[0])))
    console.print(table(chosen, names, probabilities))
    tags = response["meta"]["tags"]
    console.print(f"answered by version {tags.get('model_version')} (checkpoint {tags.get('checkpoint')})")
    console.print(f"predictions   {base}/predictions\ndocumentation {base}/doc/\n")
    console.print(f"curl -H 'Content-Type: application/json' -d @{_shell(files.SAMPLE)} \\\n  {base}/predictions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
