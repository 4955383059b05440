"""Runs the programs that build and move images: buildah and skopeo, as the distributions package them.

Both find the credentials themselves, in the file that REGISTRY_AUTH_FILE names: none is ever an argument here.
"""

from __future__ import annotations

import os
import subprocess

from deploy.release.errors import BuildError

DEFAULTS = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
"""What works as root in any container, without a daemon, a mount or a namespace of its own."""

_LINES = 12
_SECONDS = 1800.0


def attempt(*command: str) -> subprocess.CompletedProcess[bytes]:
    """Run to the end, whatever the exit status.  Raises BuildError where it cannot be run or does not end."""
    try:
        return subprocess.run(command, env=DEFAULTS | os.environ, capture_output=True, check=False, timeout=_SECONDS)
    except FileNotFoundError as error:
        raise BuildError(f"{command[0]} is not installed; run make image-tools") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"`{' '.join(command[:2])}` did not end in {_SECONDS:.0f} s") from error


def run(*command: str) -> str:
    """What the program printed.  Raises BuildError with its last words where it fails."""
    done = attempt(*command)
    if done.returncode != 0:
        raise failure(command, done)
    return done.stdout.decode()


def failure(command: tuple[str, ...], done: subprocess.CompletedProcess[bytes]) -> BuildError:
    """The error of a program that failed."""
    said = (done.stderr.strip() or done.stdout.strip() or b"nothing").decode().splitlines()[-_LINES:]
    return BuildError(f"`{' '.join(command[:2])}` failed with status {done.returncode}:\n  " + "\n  ".join(said))
