"""Runs Pods: pulls, starts, probes, restarts and ends their containers, and writes what it sees into their status.

Every step looks at the Pod and at the process records, never at memory alone: a controller that was killed goes on
where it was.  `sync` never waits; pulls and probes run in a few threads and are looked at in later rounds.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from localcluster.files import remove_tree
from localcluster.kubernetes.clock import now
from localcluster.kubernetes.controller import events, images, processes, volumes
from localcluster.kubernetes.controller.containers import command, environment, working_directory
from localcluster.kubernetes.controller.faults import contained
from localcluster.kubernetes.controller.health import PROBES, Health
from localcluster.kubernetes.controller.pods import PORTS_ANNOTATION, pod_ports, pod_status, status_of
from localcluster.kubernetes.errors import ConfigError, ImageError
from localcluster.kubernetes.layout import Layout
from localcluster.kubernetes.state.kinds import POD, Object
from localcluster.kubernetes.state.store import Store

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 60.0
STABLE_SECONDS = 60.0
"""A container that ran this long begins with the shortest back-off again."""

DRAIN_SECONDS = 5.0
"""How long to wait for Envoy to take note that a Pod is leaving, if Envoy cannot be asked."""


@dataclass
class _Container:
    """What is known of one container beyond its record; lost and found again on a restart of the controller."""

    pull: Future[images.Image] | None = None
    health: Health = field(default_factory=Health)
    problem: tuple[str, str] | None = None
    backoff: float = FIRST_BACKOFF
    not_before: float = 0.0
    last: Object | None = None
    buried: int = 0
    known: float = field(default_factory=time.monotonic)


class Kubelet:
    """The containers of one machine.

    `routed_ports` says which ports Envoy sends requests to, None if unknown; `ended` is called from another thread when
    a container's first process has ended, so that the next round can come at once.
    """

    def __init__(
        self,
        store: Store,
        layout: Layout,
        serving: Path,
        routed_ports: Callable[[], set[int] | None],
        ended: Callable[[], None],
    ) -> None:
        self._store = store
        self._layout = layout
        self._serving = serving
        self._routed_ports = routed_ports
        self._ended = ended
        self._containers: dict[tuple[str, str], _Container] = {}
        self._leaving: dict[str, tuple[float, bool]] = {}
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="kubelet")

    def adopt(self) -> None:
        """At the start: end the processes that no record knows, keep the others."""
        processes.end_strays(self._layout.root / "pods")

    def sync(self) -> None:
        """One round over all Pods."""
        volumes.bind(self._store, self._layout)
        pods = self._store.all(POD)[0]
        self._forget_all_but({pod["metadata"]["uid"] for pod in pods})
        for pod in pods:
            with contained(self._store, pod, "kubelet"):
                if pod["metadata"].get("deletionTimestamp"):
                    self._end(pod)
                else:
                    self._run(pod)

    def stop(self, grace: float) -> None:
        """End all containers gracefully, keep the Pods: the next start runs them again."""
        self._pool.shutdown(cancel_futures=True)
        running = []
        for pod in self._store.all(POD)[0]:
            for container in pod["spec"]["containers"]:
                directory = self._directory(pod, container)
                if process := processes.load(directory):
                    process.signal(signal.SIGTERM)
                    running.append((directory, process))
            statuses = [self._waiting(pod, each, "NodeShutdown", "") for each in pod["spec"]["containers"]]
            self._store.set_status(POD, pod, pod_status(pod, statuses))
        processes.wait_for_end([process for _, process in running], grace)
        for directory, process in running:
            process.kill()
            (directory / "process.json").unlink()

    def _directory(self, pod: Object, container: Object) -> Path:
        return self._layout.container(pod["metadata"]["uid"], container["name"])

    def _run(self, pod: Object) -> None:
        try:
            volumes.refresh(self._store, self._layout, pod)
        except (ConfigError, OSError) as error:
            events.record(self._store, pod, "kubelet", "FailedMount", str(error), warning=True)
        statuses = [self._container(pod, container) for container in pod["spec"]["containers"]]
        ports: dict[str, int] = {}
        for container in pod["spec"]["containers"]:
            if process := processes.load(self._directory(pod, container)):
                ports |= process.ports
        self._announce_ports(pod, ports)
        self._store.set_status(POD, pod, pod_status(pod, statuses))

    def _container(self, pod: Object, container: Object) -> Object:
        """Bring one container one step further; returns its status."""
        process = processes.load(self._directory(pod, container))
        state = self._state(pod, container, process)
        if process is not None and process.alive:
            if time.monotonic() - state.known > STABLE_SECONDS:
                state.backoff = FIRST_BACKOFF
            self._probe(pod, container, state, process)
            return self._running(pod, container, state, process)
        if process is not None and state.buried != process.pid:
            self._died(pod, container, state, process)
        if time.monotonic() < state.not_before and state.problem:
            return self._waiting(pod, container, *state.problem)
        try:
            image = self._pulled(pod, container, state)
            if image is None:
                return self._waiting(pod, container, *(state.problem or ("ContainerCreating", "")))
            process = self._start(pod, container, image, process)
        except ImageError as error:
            events.record(self._store, pod, "kubelet", "Failed", f"Failed to pull image: {error}", warning=True)
            self._back_off(state, "ImagePullBackOff" if state.problem else "ErrImagePull", str(error))
        except ConfigError as error:
            events.record(self._store, pod, "kubelet", "Failed", str(error), warning=True)
            self._back_off(state, "CreateContainerConfigError", str(error))
        except (OSError, ValueError) as error:  # what cannot be executed, as a text with a NUL in it
            events.record(self._store, pod, "kubelet", "Failed", f"Error: {error}", warning=True)
            self._back_off(state, "RunContainerError", str(error))
        else:
            fresh = _Container(backoff=state.backoff, last=state.last)
            self._containers[pod["metadata"]["uid"], container["name"]] = fresh
            return self._running(pod, container, fresh, process)
        return self._waiting(pod, container, *(state.problem or ("", "")))

    def _state(self, pod: Object, container: Object, process: processes.Process | None) -> _Container:
        """What is known of the container; of an adopted one, that it was ready."""
        key = (pod["metadata"]["uid"], container["name"])
        if key not in self._containers:
            before = status_of(pod, container)
            same = process is not None and before.get("containerID") == f"process://{process.pid}"
            self._containers[key] = _Container(
                health=Health(ready=same and before["ready"], started=same and before.get("started", True))
            )
            if process is not None and process.alive:
                processes.on_end(process.pid, self._ended)
        return self._containers[key]

    def _back_off(self, state: _Container, reason: str, message: str) -> None:
        state.problem = (reason, message)
        state.not_before = time.monotonic() + state.backoff
        state.backoff = min(state.backoff * 2, LONGEST_BACKOFF)

    def _pulled(self, pod: Object, container: Object, state: _Container) -> images.Image | None:
        """The image once it is there; a restart keeps the digest that the Pod began with, whatever its tag says now."""
        reference = container.get("image", "")
        if pinned := status_of(pod, container).get("imageID"):
            reference = f"{reference.partition('@')[0]}@{pinned}"
        if state.pull is None:
            state.pull = self._pool.submit(images.pull, self._layout.images, self._layout.rootfs, reference)
        if not state.pull.done():
            return None
        done, state.pull = state.pull, None
        image = done.result()
        events.record(
            self._store, pod, "kubelet", "Pulled", f'Successfully pulled image "{reference}" ({image.digest})'
        )
        return image

    def _start(
        self, pod: Object, container: Object, image: images.Image, before: processes.Process | None
    ) -> processes.Process:
        directory = self._directory(pod, container)
        directory.mkdir(parents=True, exist_ok=True)
        if pod["spec"].get("initContainers"):
            raise ConfigError("init containers are not served by the local cluster")
        for probe in PROBES:
            if set(container.get(probe) or {}) & {"exec", "grpc"}:
                raise ConfigError(f"exec and grpc probes are not served by the local cluster ({probe})")
        declared = [str(port["containerPort"]) for port in container.get("ports") or []]
        taken = {port for other in self._store.all(POD)[0] for port in pod_ports(other).values()}
        ports = dict(zip(declared, processes.free_ports(len(declared), taken), strict=True))
        restarts = before.restarts + 1 if before else 0
        self._layout.log(pod["metadata"]["uid"], container["name"], restarts - 2).unlink(missing_ok=True)
        mounts = volumes.mounts(self._store, self._layout, pod, container)
        argv = command(container, image, self._serving, mounts)
        values = environment(self._store, pod, container, image, ports, self._serving, directory, mounts)
        cwd = working_directory(container, image)
        log = self._layout.log(pod["metadata"]["uid"], container["name"], restarts)
        pid, created = processes.start(directory, argv, values, cwd, log)
        process = processes.Process(pid, created, now(), restarts, ports, image.digest)
        process.save(directory)
        processes.on_end(pid, self._ended)
        events.record(self._store, pod, "kubelet", "Started", f"Started container {container['name']}")
        return process

    def _died(self, pod: Object, container: Object, state: _Container, process: processes.Process) -> None:
        code = process.exit_code
        process.kill()
        state.buried = process.pid
        known = "it ended while the controller was away" if code is None else f"exit code {code}"
        log = self._layout.log(pod["metadata"]["uid"], container["name"], process.restarts)
        message = f"{known}{processes.last_lines(log)}"
        state.last = {
            "terminated": {
                "exitCode": 255 if code is None else code,
                "reason": "Completed" if code == 0 else "Error",
                "message": message,
                "startedAt": process.started_at,
                "finishedAt": now(),
            }
        }
        text = f"Back-off restarting failed container {container['name']} in pod {pod['metadata']['name']}"
        events.record(self._store, pod, "kubelet", "BackOff", text, warning=True)
        self._back_off(state, "CrashLoopBackOff", f"{text}; {message}")
        state.health = Health()

    def _probe(self, pod: Object, container: Object, state: _Container, process: processes.Process) -> None:
        for fault in state.health.look(container, process.ports, self._pool):
            events.record(self._store, pod, "kubelet", fault.reason, fault.text, warning=True)
            if fault.is_fatal:
                process.signal(signal.SIGKILL)

    def _running(self, pod: Object, container: Object, state: _Container, process: processes.Process) -> Object:
        current = {"running": {"startedAt": process.started_at}}
        known = {
            "containerID": f"process://{process.pid}",
            "ready": state.health.ready,
            "started": state.health.started,
        }
        return self._status(pod, container, process, current) | known

    def _waiting(self, pod: Object, container: Object, reason: str, message: str) -> Object:
        current = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        return self._status(pod, container, processes.load(self._directory(pod, container)), current)

    def _status(self, pod: Object, container: Object, process: processes.Process | None, current: Object) -> Object:
        before = status_of(pod, container)
        state = self._containers.get((pod["metadata"]["uid"], container["name"]))
        return {
            "name": container["name"],
            "image": container.get("image", ""),
            "imageID": process.image_digest if process else before.get("imageID", ""),
            "ready": False,
            "started": False,
            "restartCount": process.restarts if process else 0,
            "state": current,
            "lastState": (state.last if state else None) or before.get("lastState", {}),
        }

    def _announce_ports(self, pod: Object, ports: dict[str, int]) -> None:
        if ports != pod_ports(pod):
            metadata = pod["metadata"]

            def annotate(old: Object) -> Object:
                old["metadata"].setdefault("annotations", {})[PORTS_ANNOTATION] = json.dumps(ports)
                return old

            self._store.update(POD, metadata["namespace"], metadata["name"], annotate)

    def _end(self, pod: Object) -> None:
        """One step of a Pod's end: wait until Envoy has let go of it, SIGTERM, wait for its requests, SIGKILL."""
        uid, grace = pod["metadata"]["uid"], pod["metadata"].get("deletionGracePeriodSeconds", 30)
        found = [processes.load(self._directory(pod, container)) for container in pod["spec"]["containers"]]
        running = [process for process in found if process and process.alive]
        begun, signalled = self._leaving.setdefault(uid, (time.monotonic(), False))
        if running and not signalled:
            routed = self._routed_ports()
            ports = {port for process in running for port in process.ports.values()}
            gone = routed is not None and not routed & ports
            if not gone and time.monotonic() < begun + min(DRAIN_SECONDS, grace):
                return
            events.record(self._store, pod, "kubelet", "Killing", "Stopping containers")
            for process in running:
                process.signal(signal.SIGTERM)
            self._leaving[uid] = (time.monotonic(), True)
            return
        if any(process.serving() for process in running) and time.monotonic() < begun + grace:
            return
        self._store.remove(POD, pod)

    def _forget_all_but(self, known: set[str]) -> None:
        """End and delete what is left of Pods that are gone, also of those deleted without grace."""
        for directory in (self._layout.root / "pods").glob("*"):
            if directory.name not in known:
                for container in directory.glob("*"):
                    if process := processes.load(container):
                        process.kill()
                with suppress(OSError):  # What its processes still write into goes in a later round.
                    remove_tree(directory)
        self._leaving = {uid: value for uid, value in self._leaving.items() if uid in known}
        self._containers = {key: value for key, value in self._containers.items() if key[0] in known}
