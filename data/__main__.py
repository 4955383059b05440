"""`python -m data`: find Fashion-MNIST, prove it, and put it into the Pachyderm repos (the target `make data`)."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from data.catalog import SPLITS, first_images
from data.errors import DataError
from data.ingest import BRANCH, Ingested, connect, ingest
from data.sources import cache_directory, find


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 where something could not be done."""
    arguments = _parser().parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        origin, files = find(arguments.folder, arguments.cache, console.print)
        console.print(f"Fashion-MNIST from {origin}: 4 files, MD5 and SHA-256 as published")
        for result in _ingest_all(console, files, arguments.first):
            action = "new commit" if result.created else "unchanged, no new commit"
            console.print(f"{result.repo}@{BRANCH} = {result.commit}  {result.size / 1e6:.1f} MB  {action}")
    except DataError as error:
        print(f"data: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m data", description=__doc__)
    parser.add_argument("--folder", type=Path, help="a folder with the four *-ubyte.gz files; nothing else is asked")
    parser.add_argument("--cache", type=Path, default=cache_directory(), help="default: %(default)s")
    parser.add_argument("--first", type=_count, help="only the first N images of each split: a quick run of the chain")
    return parser


def _count(text: str) -> int:
    """A number of images.  Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _ingest_all(console: Console, files: dict[str, bytes], first: int | None) -> list[Ingested]:
    client = connect()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    results = []
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for split in SPLITS:
            contents = first_images(split, files, first) if first else files
            task = progress.add_task(split.repo, total=sum(len(contents[file.name]) for file in split.files))
            results.append(ingest(client, split, contents, partial(progress.advance, task)))
    return results


if __name__ == "__main__":
    sys.exit(main())
