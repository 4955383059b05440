"""The names inside an allocation's directory, and whether its agent lives."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

LOCK, PID, SPOOL, EXIT, RUN, WORK = "lock", "pid", "logs.jsonl", "exit.json", "run", "work"


def open_lock(directory: Path) -> int:
    """Open the lock file and return its descriptor (not yet locked)."""
    return os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def lives(directory: Path) -> bool:
    """Whether an agent holds the lock."""
    if not (directory / LOCK).exists():
        return False
    descriptor = open_lock(directory)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def wait_until_gone(directory: Path) -> None:
    """Block until no agent holds the lock."""
    descriptor = open_lock(directory)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def exit_code(directory: Path) -> int | None:
    """Return the trial's exit code, None where the agent did not live to write it."""
    path = directory / EXIT
    return int(json.loads(path.read_text())["code"]) if path.exists() else None
