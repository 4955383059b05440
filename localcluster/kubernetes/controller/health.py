"""Whether a container has started, is ready and is alive: asks its probes when they are due, and counts failures.

As the kubelet does it (https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/): until a
startup probe has succeeded nothing else is asked.  Two differences: a container without a readiness probe is ready once
its port is listened on, and what is not ready yet is asked more often, since being ready early is never wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import NamedTuple

from localcluster.kubernetes.controller import probes
from localcluster.kubernetes.state.kinds import Object

PROBES = STARTUP, READINESS, LIVENESS = "startupProbe", "readinessProbe", "livenessProbe"
UNTIL_SUCCESS_SECONDS = 0.25
"""Startup and readiness are asked this often until their first success, and at once."""


class Fault(NamedTuple):
    """What a probe's failures come to."""

    reason: str
    text: str
    is_fatal: bool
    """Whether the container is to be restarted."""


@dataclass
class Health:
    """One container's, from its start or from when the controller found it; adopted ones were ready before."""

    ready: bool = False
    started: bool = False
    _was_ready: bool = False
    _asked: dict[str, Future[str]] = field(default_factory=dict)
    _next: dict[str, float] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def look(self, container: Object, ports: Mapping[str, int], pool: Executor) -> Iterator[Fault]:
        """Take the answers that have come, ask the probes that are due; never waits.

        `ports` are those really listened on, by the container's own.
        """
        for name in PROBES:
            probe = container.get(name) or ({"tcpSocket": {}} if name == READINESS else None)
            port = probes.port_of(probe, container, ports) if probe else None
            if probe is None or port is None:
                self._succeeded(name)
                continue
            answer = self._asked.get(name)
            if answer and answer.done():
                yield from self._judge(container, name, probe, self._asked.pop(name).result())
            if not answer and self._is_due(name, probe):
                self._asked[name] = pool.submit(probes.check, probe, port)
            if name == STARTUP and not self.started:
                return

    def _is_due(self, name: str, probe: Object) -> bool:
        current = time.monotonic()
        hurries = not (self.started if name == STARTUP else name == LIVENESS or self._was_ready)
        delay = 0 if hurries else probe.get("initialDelaySeconds", 0)
        if (name == STARTUP and self.started) or current < max(self._next.get(name, 0.0), self._since + delay):
            return False
        self._next[name] = current + (UNTIL_SUCCESS_SECONDS if hurries else probe.get("periodSeconds", 10))
        return True

    def _judge(self, container: Object, name: str, probe: Object, failure: str) -> Iterator[Fault]:
        if not failure:
            self._succeeded(name)
            return
        self._failures[name] = self._failures.get(name, 0) + 1
        threshold = probe.get("failureThreshold", 3)
        if name == STARTUP:
            # Asked more often than the manifest says, so it is the time that counts.
            allowed = probe.get("initialDelaySeconds", 0) + probe.get("periodSeconds", 10) * threshold
            if time.monotonic() >= self._since + allowed:
                yield _restart(container, "startup", failure)
        elif self._failures[name] < threshold:
            return
        elif name == LIVENESS:
            yield _restart(container, "liveness", failure)
        elif self.ready:
            self.ready = False
            yield Fault("Unhealthy", f"Readiness probe failed: {failure}", is_fatal=False)

    def _succeeded(self, name: str) -> None:
        self._failures[name] = 0
        if name == STARTUP and not self.started:
            self.started, self._since = True, time.monotonic()
        elif name == READINESS:
            self.ready = self._was_ready = True


def _restart(container: Object, kind: str, failure: str) -> Fault:
    text = f"Container {container['name']} failed {kind} probe, will be restarted: {failure}"
    return Fault("Killing", text, is_fatal=True)
