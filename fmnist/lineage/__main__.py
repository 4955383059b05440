"""`python -m fmnist.lineage`: the chain behind a version, a commit or an answer (the target `make lineage`).

Prints it as a table and writes build/lineage.svg, build/lineage.html and build/lineage.json.  Exit code 1 where the
asked thing is not found; a platform that does not answer is named, and the rest is shown.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from fmnist import artifacts, registry
from fmnist.errors import FmnistError
from fmnist.lineage import picture, table
from fmnist.lineage.chain import Lineage, Question, trace


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    try:
        lineage = trace(_question(_parser().parse_args(argv)))
    except FmnistError as error:
        print(f"lineage: {error}", file=sys.stderr)
        return 1
    artifacts.write(artifacts.BUILD / "lineage.json", table.document(lineage))
    for name, content in (("lineage.svg", picture.svg(lineage)), ("lineage.html", picture.page(lineage))):
        (artifacts.BUILD / name).write_text(content)
    show(lineage, Console(highlight=False))
    return 0


def show(lineage: Lineage, console: Console) -> None:
    """Print the chain and what follows from it."""
    console.print(table.table(lineage))
    if lineage.affected():
        console.print(table.affected(lineage))
    for platform, reason in lineage.graph.problems.items():
        console.print(f"[magenta]not everything is known[/]: {platform}: {reason}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fmnist.lineage", description=__doc__)
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--version", type=int, help="a registered version (default: in production, else the newest)")
    asked.add_argument("--commit", help="[project/]repo@branch-or-commit, or the bare id of a commit")
    asked.add_argument("--answer", metavar="FILE", help="a prediction's JSON answer; - reads standard input")
    return parser


def _question(arguments: argparse.Namespace) -> Question:
    answer = None
    if arguments.answer:
        try:
            answer = sys.stdin.read() if arguments.answer == "-" else Path(arguments.answer).read_text()
        except (OSError, ValueError) as error:
            raise FmnistError(f"{arguments.answer} cannot be read: {error}") from error
    return Question(arguments.version, arguments.commit, answer, registry.model_name())


if __name__ == "__main__":
    sys.exit(main())
