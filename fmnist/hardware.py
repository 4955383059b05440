"""The machine that a measurement ran on, as every result states it."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def hardware() -> str:
    """The processor's name as Linux gives it, and how many cores this process may use."""
    names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores"
