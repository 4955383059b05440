"""A keeper adopts what runs, restarts what dies, and does not hammer what dies at once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcluster import platforms, supervisor
from localcluster.processes import ProcessRecord
from localcluster.services import Service
from localcluster.settings import Settings
from localcluster.supervisor import Keeper, lock, record_path


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(platforms, "service_environment", lambda settings: dict(os.environ))
    return Settings.from_environment({"LOCALCLUSTER_HOME": str(tmp_path)})


@pytest.fixture
def keeper(settings: Settings) -> Iterator[Callable[[str], Keeper]]:
    made: list[Keeper] = []

    def make(program: str) -> Keeper:
        service = Service("probe", "Probe", (sys.executable, "-c", program), "none", 1, "NONE", lambda: True)
        made.append(Keeper(service, settings))
        return made[-1]

    yield make
    record = ProcessRecord.read(record_path(settings, "probe"))
    if record is not None and (process := record.process()) is not None:
        process.kill()


def pid(settings: Settings) -> int:
    record = ProcessRecord.read(record_path(settings, "probe"))
    assert record is not None
    return record.pid


def check_until(keeper: Keeper, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true within 30 s"
        supervisor._reap()
        keeper.check()
        time.sleep(0.02)


def test_a_killed_service_is_started_again(settings: Settings, keeper: Callable[[str], Keeper]) -> None:
    kept = keeper("import time; time.sleep(60)")
    kept.check()
    first = pid(settings)
    os.kill(first, signal.SIGKILL)
    check_until(kept, lambda: pid(settings) != first)
    record = ProcessRecord.read(record_path(settings, "probe"))
    assert record is not None
    assert record.process() is not None


def test_a_running_service_is_adopted_by_the_next_supervisor(
    settings: Settings, keeper: Callable[[str], Keeper]
) -> None:
    keeper("import time; time.sleep(60)").check()
    first = pid(settings)
    keeper("import time; time.sleep(60)").check()
    assert pid(settings) == first


def test_a_service_that_dies_at_once_is_restarted_ever_more_slowly(
    settings: Settings, keeper: Callable[[str], Keeper]
) -> None:
    kept = keeper("raise SystemExit(3)")
    check_until(kept, lambda: kept.back_off > 4 * supervisor.SHORTEST_BACK_OFF)
    assert kept.back_off <= supervisor.LONGEST_BACK_OFF


def test_a_lock_has_one_holder(settings: Settings) -> None:
    held = lock(settings, "supervisor")
    assert held is not None
    assert lock(settings, "supervisor") is None
    held.close()
    again = lock(settings, "supervisor")
    assert again is not None
    again.close()
