"""Runs Determined's own command line, the way a person would type it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fmnist.errors import FmnistError


def det(*arguments: str, folder: Path | None = None) -> str:
    """Run `det ARGUMENTS` in `folder` and return what it printed; raises FmnistError with its last words."""
    program = Path(sys.executable).parent / "det"
    done = subprocess.run(
        [str(program), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-5:]
        raise FmnistError(f"`det {' '.join(arguments)}` failed with status {done.returncode}: " + "\n  ".join(said))
    return done.stdout
