"""fmnist-test: the raw test split in, the validated one out (`pipelines.raw` says how)."""

from __future__ import annotations

import sys
from functools import partial

from data.catalog import TEST
from pipelines import raw
from pipelines.pfs import run

NAME = "fmnist-test"

if __name__ == "__main__":
    sys.exit(run(NAME, partial(raw.run, NAME, TEST)))
