"""How fast the wrapper serves, beside the peers: `python -m benchmarks.serving.measure --checkpoint FOLDER`.

All in one run on the same cores, load generator included: each round takes every server once, in another order, starts
it anew, compares its answers with the model's, and measures

one        one 28x28 image a request as JSON, one connection
many       the same, 32 connections
hundred    100 images a request, 4 connections
memory     of all its processes after that (PSS)
ready      seconds from the start to the first readiness

and for the wrapper also, with the environment that deploy/base/deploy.yaml gives it

envoy_…    one and many through the genuine Envoy with the routes of its SeldonDeployment
grpc_…     one image a call as `tensor`, `tftensor` and raw bytes (`binData`), 32 connections, direct
profile    where a worker's time goes under `many`, by py-spy, in a start of its own that is not timed

The wrapper with none, one and two of the three changes by which it answers JSON faster is measured like a peer.
`bare` is the forward pass alone, in two processes, and behind gRPC's own Python server.

Peers are installed from their locks into build/peers the first time.  Each server of each round is kept when it ends:
started again, the program goes on where it was.  Results go to results.json beside this file; README.md and
throughput.png are made of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving import load, process, profiler, report
from benchmarks.serving.ingress import ingress, prefix
from benchmarks.serving.report import BARE
from benchmarks.serving.servers import (
    ENVIRONMENTS,
    HERE,
    MANIFEST,
    PEERS,
    SERVERS,
    SERVING,
    STEPS,
    WRAPPER,
    Images,
    deployed_variables,
)
from benchmarks.training.runs import Store
from deploy.fashion_classifier.model import Classifier
from deploy.release.registry import fetch
from fmnist.hardware import hardware
from localcluster.settings import HOST, REPOSITORY

LOCKS = REPOSITORY / "requirements" / "peers"
NAMES = [*SERVERS, *STEPS, BARE]
ROUNDS = 5
SECONDS = 6.0
MANY, FEW = 32, 4


def main() -> int:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m benchmarks.serving.measure", formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, help="folder of a checkpoint (else the newest registered version)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s; 5 take about 35 minutes")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load; default: %(default)s")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--results", type=Path, default=HERE, help="folder of results.json; default: this module's")
    arguments = parser.parse_args()
    load.tool()
    # Ended from outside, it ends the server that runs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="serving-") as temporary:
        home = Path(temporary)
        checkpoint = (
            arguments.checkpoint or fetch("fashion-classifier", None, home / "fetched").artifact.directory.parent
        )
        for environment in environments(arguments.only):
            install(environment)
        process.lay_out_wrapper(checkpoint, home / "image")
        bench = Bench(checkpoint.resolve(), home, arguments.seconds)
        code = digest()
        store = Store.open(arguments.results / "results.json", bench.circumstances(), {code})
        for number in range(arguments.rounds):
            for name in _rotated(arguments.only, number):
                key = {"server": name, "round": number, "code": code}
                if store.find(key) is None:
                    store.add(key, {"load_before": round(os.getloadavg()[0], 2), **bench.run(name, number)})
                    print(f"round {number}, {name}: {json.dumps(store.runs[-1])}", flush=True)
    report.write(arguments.results)
    return 0


class Bench:
    """The measurements of one checkpoint, with loads of a given length."""

    def __init__(self, checkpoint: Path, home: Path, seconds: float) -> None:
        self._checkpoint, self._home, self._seconds = checkpoint, home, seconds
        self._model = checkpoint / "serving" / "model.tflite"
        self._classifier = Classifier(self._model)
        self._images: Images = np.random.default_rng(6).integers(0, 256, (100, 28, 28), dtype=np.uint8)
        self._log = home / "requests.log"

    def circumstances(self) -> dict[str, Any]:
        """What all runs share."""
        metadata = json.loads((self._checkpoint / "serving" / "metadata.json").read_text())
        return {
            "hardware": hardware(),
            "python": platform.python_version(),
            "load_generator": load.version(),
            "seconds": self._seconds,
            "model": hashlib.sha256(self._model.read_bytes()).hexdigest()[:16],
            "parameters": metadata["model"]["parameters"],
            "variables": deployed_variables(),
        }

    def run(self, name: str, number: int) -> dict[str, Any]:
        """One start of a server, with all its loads."""
        if name == BARE:
            return {"one": self._bare(1), "hundred": self._bare(100), "grpc": self._bare_grpc()}
        server = (SERVERS | STEPS)[name]
        with process.running(name, server, self._checkpoint, self._home) as running:
            process.check(running, self._classifier, self._images[:1])
            process.check(running, self._classifier, self._images)
            result: dict[str, Any] = {"ready": round(running.seconds, 2)}
            one, hundred = (self._body(server.request(self._images[:count])) for count in (1, 100))
            result["one"] = self._load(running.url, one, 1)
            result["many"] = self._load(running.url, one, MANY)
            result["hundred"] = self._load(running.url, hundred, FEW)
            result["memory"] = running.memory()
            if name == WRAPPER:
                result |= self._through_envoy(running, one) | self._over_grpc(running)
        if name == WRAPPER and number == 0:
            with process.running(name, server, self._checkpoint, self._home) as running:
                result["profile"] = profiler.record(running, one, self._seconds, self._log)
        result["site_packages"] = process.site_packages(server.environment)
        return result

    def _through_envoy(self, running: process.Running, one: Path) -> dict[str, Any]:
        with ingress(running, self._home) as port:
            url = f"http://{HOST}:{port}{prefix()}{running.server.path}"
            return {"envoy_one": self._load(url, one, 1), "envoy_many": self._load(url, one, MANY)}

    def _over_grpc(self, running: process.Running) -> dict[str, Any]:
        kinds = process.grpc_bodies(running, self._classifier, self._images[:1], self._home)
        url = f"http://{HOST}:{running.ports.grpc}{load.GRPC_PATH}"
        return {
            f"grpc_{kind}": load.run(url, self._home / f"{kind}.grpc", MANY, self._seconds, load.GRPC, self._log)
            for kind in kinds
        }

    def _body(self, message: Mapping[str, Any]) -> Path:
        content = json.dumps(message, separators=(",", ":"))
        path = self._home / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.json"
        path.write_text(content)
        return path

    def _load(self, url: str, body: Path, connections: int) -> dict[str, Any]:
        return load.run(url, body, connections, self._seconds, load.JSON, self._log)

    def _bare(self, batch: int) -> dict[str, Any]:
        command = [str(SERVING / "bin" / "python"), "-W", "ignore", str(PEERS / "bare.py"), str(self._model)]
        done = subprocess.run(
            [*command, str(batch), str(self._seconds)], capture_output=True, text=True, timeout=300, check=True
        )
        return {"per_second": round(float(done.stdout) / batch, 1)}

    def _bare_grpc(self) -> dict[str, Any]:
        with process.bare_grpc(self._model, self._classifier, self._images[:1], self._home) as port:
            url = f"http://{HOST}:{port}/bare/Forward"
            return load.run(url, self._home / "bare.grpc", MANY, self._seconds, load.GRPC, self._log)


def environments(names: Sequence[str]) -> list[Path]:
    """What these servers need beside the serving environment."""
    found = [SERVERS[name].environment for name in names if name in SERVERS]
    wanted = [ENVIRONMENTS / "profiler", *(each for each in found if each != SERVING)]
    return list(dict.fromkeys(wanted))


def install(environment: Path) -> None:
    """Make the environment of a peer from its lock, unless it is there; compiled, as the wrapper's is."""
    lock = f"peers/{environment.name}.txt"
    command = ["requirements/install.sh", str(environment.relative_to(REPOSITORY)), lock]
    subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "UV_COMPILE_BYTECODE": "1"}, check=True)


def digest() -> str:
    """Sixteen hexadecimal digits that change with whatever decides a measurement: servers, wrapper, locks."""
    files = [
        *PEERS.rglob("*.py"),
        *PEERS.rglob("*.json"),
        *(LOCKS / f"{each.name}.txt" for each in environments(NAMES)),
        *HERE.glob("[!r]*.py"),
        MANIFEST,
    ]
    files += [REPOSITORY / "deploy" / "FashionClassifier.py", REPOSITORY / "requirements" / "serving.txt"]
    files += (REPOSITORY / "deploy" / "fashion_classifier").glob("*.py")
    contents = b"".join(f"{file.relative_to(REPOSITORY)}\n".encode() + file.read_bytes() for file in sorted(files))
    return hashlib.sha256(contents).hexdigest()[:16]


def _rotated(names: Sequence[str], number: int) -> list[str]:
    start = number * 3 % len(names)
    return [*names[start:], *names[:start]]


if __name__ == "__main__":
    sys.exit(main())
