"""What git says of this checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def git(*arguments: str) -> str | None:
    """What `git ARGUMENTS` prints in the checkout; None where git refuses, as in an archive without its history."""
    try:
        done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
