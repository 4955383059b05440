"""Starts one of the servers, sees that its answers are right, weighs it, and ends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import requests

from benchmarks.serving.servers import PEERS, SERVING, Images, Ports, Server, deployed_variables
from deploy.fashion_classifier.artifact import CLASSES
from deploy.fashion_classifier.model import Classifier
from deploy.fashion_classifier.outliers import FEATURES, Statistics
from deploy.release import outliers
from deploy.release.image import image_files
from deploy.release.registry import Registered, verified
from localcluster.settings import HOST

START_SECONDS = 180
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Running:
    """A server that answers; `seconds` from its start to the first readiness."""

    server: Server
    ports: Ports
    process: psutil.Process
    seconds: float

    @property
    def url(self) -> str:
        """Where it takes predictions."""
        return f"http://{HOST}:{self.ports.http}{self.server.path}"

    def memory(self) -> dict[str, float]:
        """MB (PSS, so that shared pages count once) of all its processes and of the largest."""
        each = [one.memory_full_info().pss / 1e6 for one in (self.process, *self.process.children(recursive=True))]
        return {"processes": len(each), "all": round(sum(each), 1), "largest": round(max(each), 1)}


def lay_out_wrapper(checkpoint: Path, root: Path) -> None:
    """The wrapper's files as they lie in the image, with the checkpoint's model, and with statistics for outliers.

    These are those of no data: scoring takes the same arithmetic whatever they are.
    """
    folder = shutil.copytree(checkpoint / "serving", root.with_suffix(".serving"))
    means, factors = np.zeros((CLASSES, FEATURES)), np.tile(np.eye(FEATURES), (CLASSES, 1, 1))
    statistics = Statistics(means.astype(np.float32), factors.astype(np.float16), np.ones((), np.float32))
    outliers.store(statistics, folder)
    registered = Registered(1, checkpoint.name, verified(folder))
    for name, content in image_files(registered, None).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


@contextmanager
def running(name: str, server: Server, checkpoint: Path, home: Path) -> Iterator[Running]:
    """Start a server and end it with all its processes; SystemExit where it does not become ready."""
    ports = Ports(*_free_ports(3))
    environment, folder = server.variables_of(ports, checkpoint, home), PEERS
    if server.is_image:
        folder = home / "image" / "app"
        environment |= {**deployed_variables(), "MODEL_DIR": str(home / "image" / "model")}
    log = home / f"{name}.log"
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            server.argv(ports), cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait(process, f"http://{HOST}:{ports.http}{server.ready}", log)
        yield Running(server, ports, psutil.Process(process.pid), time.perf_counter() - began)
    finally:
        _end(process)


def check(running: Running, classifier: Classifier, images: Images) -> None:
    """Ask once, and compare the ten probabilities of each image.  SystemExit where they differ."""
    message = running.server.request(images)
    answer = requests.post(running.url, json=message, timeout=60)
    if answer.status_code != 200:
        raise SystemExit(f"{running.server.title}: {answer.status_code} {answer.text[:500]}")
    _compare(running.server.title, running.server.probabilities(answer.json()), classifier.probabilities(images))


def grpc_bodies(running: Running, classifier: Classifier, image: Images, folder: Path) -> list[str]:
    """Ask the wrapper's gRPC server once in each kind of message; leaves `KIND.grpc` in the folder."""
    pixels = folder / "pixels"
    pixels.write_bytes(image.tobytes())
    command = [str(SERVING / "bin" / "python"), "-W", "ignore", str(PEERS / "grpc_messages.py")]
    done = subprocess.run(
        [*command, str(running.ports.grpc), str(pixels), str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"gRPC: {done.stderr}")
    answers: dict[str, Any] = json.loads(done.stdout)
    for kind, found in answers.items():
        _compare(f"gRPC {kind}", found, classifier.probabilities(image))
    return list(answers)


@contextmanager
def bare_grpc(model: Path, classifier: Classifier, image: Images, folder: Path) -> Iterator[int]:
    """The port of gRPC's server before the forward pass alone, while it runs; leaves `bare.grpc` in the folder."""
    pixels, variables = image.tobytes(), deployed_variables()
    (folder / "bare.grpc").write_bytes(struct.pack(">BI", 0, len(pixels)) + pixels)
    (port,) = _free_ports(1)
    command = [str(SERVING / "bin" / "python"), "-W", "ignore", str(PEERS / "bare_grpc.py"), str(port), str(model)]
    with (folder / "bare.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, variables["GRPC_WORKERS"], variables["GRPC_THREADS"]],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        with grpc.insecure_channel(f"{HOST}:{port}") as channel:
            forward = channel.unary_unary("/bare/Forward", request_serializer=bytes, response_deserializer=bytes)
            answer = forward(pixels, timeout=START_SECONDS, wait_for_ready=True)
        _compare("bare gRPC", np.frombuffer(answer, np.float32), classifier.probabilities(image))
        yield port
    finally:
        _end(process)


def site_packages(environment: Path) -> float:
    """MB that an environment's packages take on the disk."""
    (folder,) = environment.glob("lib/python3.*/site-packages")
    return round(sum(file.lstat().st_blocks * 512 for file in folder.rglob("*")) / 1e6, 1)


def _compare(title: str, found: Any, expected: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    difference = np.abs(np.ravel(found) - expected.ravel()).max()
    if not difference < TOLERANCE:
        raise SystemExit(f"{title}: its probabilities differ from the model's by {difference:g}")


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{url} does not answer; the end of {log}:\n{log.read_text()[-3000:]}")
        with suppress(requests.RequestException):
            if requests.get(url, timeout=5).ok:
                return
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(15)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(15)


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
