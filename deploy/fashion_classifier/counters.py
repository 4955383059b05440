"""Seldon's metrics without its manager process: the same `/prometheus` page, counted without a round trip.

The official `SeldonMetrics.update` fetches all of a worker's metrics from a `multiprocessing.Manager` and sends them
back, locked round trips on every request, even where there is nothing to count.  Here each process counts in a
memory-mapped file of its own, with the dictionary that prometheus_client has for its multiprocess mode, and only a
scrape reads the files.  What a process has counted is in the file at once: it survives the process, also one that is
killed.  `collect`, and with it every name, label and value, stays Seldon's.

Two differences are meant.  Seldon drops the counts of a worker that leaves in order, though not those of one that is
killed; here both stay, so that a sum over workers never falls.  Seldon counts the reward of feedback that is then
refused; here it counts once the feedback is taken.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from prometheus_client.mmap_dict import MmapedDict
from seldon_core import microservice
from seldon_core.metrics import BINS, COUNTER, GAUGE, TIMER, SeldonMetrics

Tags = tuple[tuple[str, str], ...]
_SUM = -1
"""The number of a histogram's sum among its bins 0, 1, ..."""
_LAST_BIN = len(BINS) - 2

_logger = logging.getLogger(__name__)


def install() -> None:
    """Let the microservice of this process count with `MappedMetrics`.

    Called by the wrapper's constructor, which Seldon runs before it makes its metrics.
    """
    microservice.SeldonMetrics = MappedMetrics


def count(metrics: Iterable[dict[str, Any]], method: str) -> None:
    """Count what Seldon's hooks do not reach: they end with an answer, and a refusal is none."""
    if MappedMetrics.current:
        MappedMetrics.current.update(metrics, method)


def count_reward(reward: float) -> None:
    """Count the reward of feedback that was taken, under Seldon's names."""
    if MappedMetrics.current:
        SeldonMetrics.update_reward(MappedMetrics.current, reward)


class MappedMetrics(SeldonMetrics):  # type: ignore[misc]  # seldon_core has no types
    """Seldon's metrics, one file a worker; made before the workers are forked."""

    current: ClassVar[MappedMetrics | None] = None
    """The microservice makes one."""

    def __init__(
        self, worker_id_func: Callable[[], int] = os.getpid, extra_default_labels: Mapping[str, str] | None = None
    ) -> None:
        """Create the folder of the files, which goes when this process ends."""
        self.worker_id_func = worker_id_func
        self._extra_default_labels = dict(extra_default_labels or {})
        # `collect` takes this lock; reading aligned doubles of a mapped file needs none.
        self._lock = nullcontext()
        self._folder = Path(tempfile.mkdtemp(prefix="seldon-metrics-"))
        self._own: tuple[int, MmapedDict] | None = None
        self._updating = threading.Lock()
        MappedMetrics.current = self
        first = os.getpid()

        def remove() -> None:
            if os.getpid() == first:
                shutil.rmtree(self._folder, ignore_errors=True)

        atexit.register(remove)

    def __del__(self) -> None:
        """Nothing to shut down: there is no manager."""

    def update(self, custom_metrics: Iterable[dict[str, Any]], method: str) -> None:
        """Count what one call of `method` adds; as in Seldon's, the tags of a metric get the method."""
        with self._updating:
            values = self._values()
            for metric in custom_metrics:
                _count(values, metric, method)

    def update_reward(self, reward: float) -> None:
        """Seldon calls it before the wrapper has read the feedback, which it may refuse: see `count_reward`."""

    def clear(self) -> None:
        """Called in a worker that leaves: its counts stay."""

    @property
    def data(self) -> dict[str, dict[Any, dict[str, Any]]]:
        """What all processes have counted until now, in the form that `collect` reads."""
        return {file.stem: _read(file) for file in sorted(self._folder.glob("*.counts"))}

    def _values(self) -> MmapedDict:
        """The file of this process, which a fork must not share with its parent."""
        worker = self.worker_id_func()
        if self._own is None or self._own[0] != worker:
            file = self._folder / f"{worker}.counts"
            # A scrape must not meet a file without its header, so that it gets its name when it is whole.
            unfinished = file if file.exists() else file.with_suffix(".new")
            self._own = worker, MmapedDict(str(unfinished))
            unfinished.rename(file)
        return self._own[1]


@cache
def _name(kind: str, key: str, tags: Tags, part: int | None = None) -> str:
    return json.dumps([kind, key, sorted(tags), part])


def _count(values: MmapedDict, metric: dict[str, Any], method: str) -> None:
    kind, value = metric.get("type", COUNTER), metric["value"]
    tags = metric.get("tags", {})
    tags["method"] = method
    series = kind, metric["key"], tuple(tags.items())
    if kind == COUNTER:
        _add(values, _name(*series), value)
    elif kind == GAUGE:
        values.write_value(_name(*series), value)
    elif kind == TIMER:
        seconds = value / 1000
        if seconds >= 0:
            _add(values, _name(*series, min(bisect_right(BINS, seconds) - 1, _LAST_BIN)), 1)
        _add(values, _name(*series, _SUM), seconds)
    else:
        _logger.error("Unknown metrics type: %s", kind)


def _add(values: MmapedDict, name: str, value: float) -> None:
    values.write_value(name, values.read_value(name) + value)


def _read(file: Path) -> dict[Any, dict[str, Any]]:
    """A worker's metrics by type, key and tags: `value` is a number, or for a timer its bins and sum."""
    found: dict[Any, dict[str, Any]] = {}
    for name, value, _ in MmapedDict.read_all_values_from_file(str(file)):
        kind, key, tags, part = json.loads(name)
        series = kind, key, SeldonMetrics._generate_tags_key(dict(tags))
        metric = found.setdefault(series, {"value": ([0.0] * (len(BINS) - 1), 0.0), "tags": dict(tags)})
        if part is None:
            metric["value"] = value
        elif part == _SUM:
            metric["value"] = metric["value"][0], value
        else:
            metric["value"][0][part] = value
    return found
