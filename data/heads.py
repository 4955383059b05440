"""`python -m data.heads`: are the splits that training and gate would read now validated? (the target `make validated`)

It reads them as those do, and changes nothing: what is in the repos may be other data than Fashion-MNIST.
"""

from __future__ import annotations

import os
import sys

from data import validated
from data.errors import DataError
from data.ingest import connect

SPLITS = {"TRAIN_DATA": "fmnist-train@master", "TEST_DATA": "fmnist-test@master"}
"""Variable and what it is without being set."""


def main() -> int:
    """Print each split with its commit; the exit code is 1 where one cannot be used."""
    try:
        client = connect()
        for variable, default in SPLITS.items():
            split = validated.read(client, os.environ.get(variable) or default)
            print(f"{split.reference} = {split.commit}  {len(split.labels)} images, validated")
    except DataError as error:
        print(f"data: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
