"""Where the images' tests keep what they fetch and make once: expensive, and none of it this repository's."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fmnist-image-tests"
"""Read when the tests are loaded: while they run, HOME is another one."""
