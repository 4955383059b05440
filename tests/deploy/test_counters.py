"""Seldon's metrics, counted in mapped files: the same page, and no count lost."""

from __future__ import annotations

import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests

from localcluster.settings import REPOSITORY, Settings
from tests.deploy.microservice import Microservice

PROGRAM = Path(__file__).with_name("counting.py")


def in_serving_environment(temporary: Path, *program: str | Path) -> str:
    """Run a program and return what it printed; what it leaves in its folder for temporary files stays."""
    python = Settings.from_environment().serving_environment / "bin" / "python"
    environment = {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [python, "-W", "ignore", *program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["same", "whole"])
def test_counting(name: str, tmp_path: Path) -> None:
    in_serving_environment(tmp_path, PROGRAM, name)
    assert list(tmp_path.iterdir()) == []


def counted(running: Microservice) -> dict[int, float]:
    """Images that the metrics page counts, by process."""
    page = requests.get(running.metrics_url, timeout=30).text
    pattern = r'^fashion_classifier_images_total\{.*worker_id="(\d+)".*\} (\S+)$'
    return {int(worker): float(images) for worker, images in re.findall(pattern, page, re.MULTILINE)}


@pytest.mark.slow
@pytest.mark.xdist_group("microservice")
def test_a_killed_worker_takes_no_count_with_it(registered_rootfs: Path, tmp_path: Path) -> None:
    images = np.zeros((3, 28, 28), np.uint8)
    message = {"data": {"tensor": {"shape": [3, 28, 28], "values": images.ravel().tolist()}}}
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    running = Microservice(registered_rootfs, workers=2, threads=4)
    running.environment["TMPDIR"] = str(temporary)
    try:
        running.start()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: running.post(message), range(60)))
        workers = [psutil.Process(worker) for worker in counted(running)]
        assert len(workers) == 2
        for worker in workers:
            worker.kill()
        psutil.wait_procs(workers, timeout=30)
        deadline = time.monotonic() + 60
        while not running._ready():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        answers += [running.post(message) for _ in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert sum(counted(running).values()) == 3 * len(answers)
    finally:
        running.stop()
    assert list(temporary.glob("seldon-metrics-*")) == []
