"""fmnist-train: the raw train split in, the validated one out (`pipelines.raw` says how)."""

from __future__ import annotations

import sys
from functools import partial

from data.catalog import TRAIN
from pipelines import raw
from pipelines.pfs import run

NAME = "fmnist-train"

if __name__ == "__main__":
    sys.exit(run(NAME, partial(raw.run, NAME, TRAIN)))
