"""What a datum sees of Pachyderm: folders below one root, and variables.  And how a pipeline starts and ends.

`/pfs/<input>` holds the datum's files with their paths in the repo, `/pfs/out` takes the output, and the variable
`<input>_COMMIT` names the commit that was read.  `PFS_DIR` moves the root, for runs without Pachyderm.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import Misconfigured, PipelineError


@dataclass(frozen=True)
class Pfs:
    """The folders and variables of one datum."""

    root: Path
    variables: Mapping[str, str]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Pfs:
        """The root in `PFS_DIR`, else `/pfs`."""
        return cls(Path(environ.get("PFS_DIR") or "/pfs"), environ)

    def input(self, name: str) -> Path:
        """The folder of an input.  Raises Misconfigured where there is none."""
        folder = self.root / name
        if not folder.is_dir():
            raise Misconfigured(f"there is no input folder {folder}: name the input {name} in the spec, or set PFS_DIR")
        return folder

    def only_input(self) -> str:
        """The name of the one input: a repo's, unless the spec gives it another.  Raises Misconfigured."""
        folders = [path.name for path in self.root.iterdir() if path.is_dir()] if self.root.is_dir() else []
        names = sorted(name for name in folders if name != "out")
        if len(names) != 1:
            found = ", ".join(names) or "none"
            raise Misconfigured(
                f"one input is read, {self.root} has {found}: name one repo in the spec, or set PFS_DIR"
            )
        return names[0]

    def pipeline(self, default: str) -> str:
        """The name under which Pachyderm runs this; `default` outside of Pachyderm."""
        return self.variables.get("PPS_PIPELINE_NAME") or default

    def commit(self, name: str) -> str | None:
        """The commit id that the files of an input belong to; None outside of Pachyderm."""
        return self.variables.get(f"{name}_COMMIT") or None

    @property
    def out(self) -> Path:
        """The folder that becomes the output commit."""
        folder = self.root / "out"
        folder.mkdir(exist_ok=True)
        return folder


def run(name: str, pipeline: Callable[[Pfs], None]) -> int:
    """The exit code of a pipeline; a refusal is 1, and its reason the last line of the log."""
    pfs = Pfs.from_environment()
    try:
        pipeline(pfs)
    except PipelineError as error:
        sys.stdout.flush()
        print(f"{pfs.pipeline(name)}: {error}", file=sys.stderr)
        return 1
    return 0
