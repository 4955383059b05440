"""Finding and ending the processes of an allocation, whoever their parent is now.

A trial's processes are told by `DET_ALLOCATION_ID` in their environment: that finds those that changed their
session, and never a stranger that got a recycled process id.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

PATIENCE = 5.0
"""Seconds for killed processes to disappear."""


def of_allocation(allocation_id: str) -> list[int]:
    """Return the ids of the allocation's living processes, this one left out."""
    wanted = f"DET_ALLOCATION_ID={allocation_id}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0"):
            found.append(int(entry.name))
    return found


def kill_all(allocation_id: str) -> None:
    """Kill the allocation's processes until none is left, or PATIENCE is over (a process in the kernel's hands)."""
    deadline = time.monotonic() + PATIENCE
    while (processes := of_allocation(allocation_id)) and time.monotonic() < deadline:
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)
