"""Runs that survive an interruption: each is written as it ends, and what the results file holds is not run again."""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.training import report, setting
from fmnist.hardware import hardware

Values = dict[str, Any]


def complete(
    arguments: argparse.Namespace,
    results: str,
    keys: Sequence[Mapping[str, Any]],
    measure: Callable[[Path, Mapping[str, Any]], Values],
    codes: Collection[str],
) -> int:
    """Measure what the file `results` lacks of `keys`, one after the other, and write the page; the exit status.

    `measure` gets the folder with the splits and a key.  Every key has a `code`, the digest of what decides its run;
    runs of code that is none of `codes` are dropped from the file.
    """
    folder = setting.results_folder(arguments)
    console = Console(highlight=False, soft_wrap=True)
    with setting.splits(arguments) as data, setting.progress(console) as progress:
        store = Store.open(folder / results, circumstances(data), codes)
        task = progress.add_task("", total=len(keys))
        for key in keys:
            name = ", ".join(f"{part} {value}" for part, value in key.items() if part != "code" and value != {})
            progress.update(task, description=name)
            if store.find(key) is None:
                store.add(key, measure(data, key))
                console.print(f"{name}: {brief(store.runs[-1], key)}")
            progress.advance(task)
    report.write(folder)
    console.print(f"{folder / 'README.md'}")
    return 0


def brief(run: Mapping[str, Any], key: Mapping[str, Any]) -> str:
    """What was found, on a line: the single numbers of a run."""
    numbers = {name: value for name, value in run.items() if name not in key and isinstance(value, (int, float))}
    return ", ".join(f"{name} {value:g}" for name, value in numbers.items())


@dataclass
class Store:
    """The runs in the file at `path`, and the circumstances that they share."""

    path: Path
    circumstances: Mapping[str, Any]
    runs: list[Values]

    @classmethod
    def open(cls, path: Path, circumstances: Mapping[str, Any], codes: Collection[str]) -> Store:
        """The runs in `path` of one of these codes.

        SystemExit where the file comes from another machine, other software or other data.
        """
        if not path.exists():
            return cls(path, circumstances, [])
        document = json.loads(path.read_text())
        for name, value in circumstances.items():
            if document[name] != value:
                raise SystemExit(f"{path} was measured with {name} {document[name]}, this is {value}: move it away")
        return cls(path, circumstances, [run for run in document["runs"] if run["code"] in codes])

    def find(self, key: Mapping[str, Any]) -> Values | None:
        """The run that was measured under this key."""
        return next((run for run in self.runs if all(run.get(name) == value for name, value in key.items())), None)

    def add(self, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Keep a run."""
        self.runs.append({**key, **values})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".part")
        temporary.write_text(json.dumps({**self.circumstances, "runs": self.runs}, indent=1) + "\n")
        temporary.replace(self.path)


def circumstances(data: Path) -> Values:
    """What all runs in a file share: the machine, the software, and a digest of both splits."""
    digest = hashlib.sha256()
    for file in sorted(data.glob("*/*.npy")):
        digest.update(file.read_bytes())
    software = {"python": platform.python_version(), "tensorflow-cpu": version("tensorflow-cpu")}
    return {"hardware": hardware(), "software": software, "data": digest.hexdigest()[:16]}
