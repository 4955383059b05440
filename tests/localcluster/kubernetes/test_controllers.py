"""The controllers' loop, in this process: what one object does to it must not reach the others."""

from __future__ import annotations

import base64
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localcluster.kubernetes.controller import garbage, manager
from localcluster.kubernetes.controller.kubelet import Kubelet
from localcluster.kubernetes.controller.manager import Manager
from localcluster.kubernetes.controller.pods import PORTS_ANNOTATION, is_ready
from localcluster.kubernetes.layout import Layout
from localcluster.kubernetes.seed import seed
from localcluster.kubernetes.service import prepare
from localcluster.kubernetes.state.admission import admit
from localcluster.kubernetes.state.decoder import first_fault
from localcluster.kubernetes.state.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    KINDS,
    NAMESPACE,
    POD,
    SECRET,
    SELDON,
    SERVICE,
    VIRTUAL_SERVICE,
    Object,
)
from localcluster.kubernetes.state.store import Store
from localcluster.kubernetes.state.validation import unknown_fields
from localcluster.settings import Settings
from tests.contract.kubernetes.objects import config_map, deployment, secret, seldon
from tests.localcluster.kubernetes.cluster import free_port, until
from tests.localcluster.kubernetes.images import server

BINARY = base64.b64encode(b"\xff\xfe").decode()


@dataclass
class Machine:
    """A store, and what turns the controllers over it."""

    store: Store
    manager: Manager

    def events(self, reason: str) -> list[Object]:
        return [event for event in self.store.all(EVENT)[0] if event["reason"] == reason]

    def is_ready(self, name: str) -> bool:
        """Whether a Deployment has a Pod that is ready."""
        pods = self.store.all(POD)[0]
        return any(is_ready(pod) for pod in pods if pod["metadata"]["labels"].get("app") == name)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Controllers that have not been started, with the image `fast:v1`; they must not end their process."""
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    ports = {"LOCALCLUSTER_KUBERNETES_PORT": str(free_port()), "LOCALCLUSTER_INGRESS_PORT": str(free_port())}
    settings = Settings.from_environment({"LOCALCLUSTER_HOME": str(tmp_path), **ports})
    prepare(settings)
    layout = Layout(settings.home)
    server(layout.images, "fast:v1", "v1")
    store = Store(layout.database, admit)
    seed(store, settings.ingress_port)
    found = Machine(store, Manager(store, layout, Path(sys.prefix)))
    yield found
    found.manager.stop()
    store.close()
    assert not ended


def workload(name: str, template: Any = None, spec: Any = None, **container: Any) -> Object:
    """A Deployment whose container serves; `template` adds to its Pods' metadata, `spec` to their spec."""
    item = deployment(name, replicas=1)
    item["metadata"]["namespace"] = "default"
    pods = item["spec"]["template"]
    pods["metadata"] |= template or {}
    pods["spec"] |= spec or {}
    ports = [{"name": "http", "containerPort": 9000}]
    env = [{"name": "PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "value": "9000"}]
    pods["spec"]["containers"][0] |= {"image": "fast:v1", "ports": ports, "env": env, **container}
    return item


def mounting(*items: Object) -> dict[str, Any]:
    return {
        "spec": {"volumes": [{"name": "v", "secret": {"secretName": "s", "items": list(items)}}]},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }


def http(**fields: Any) -> Object:
    return {"httpGet": {"port": 9000, **fields}}


FAULTY = {
    "a command with a NUL": workload("faulty", command=["python", "a\0b"]),
    "a variable with a NUL": workload("faulty", env=[{"name": "A", "value": "a\0b"}]),
    "half a character": workload("faulty", env=[{"name": "A", "value": "\ud800"}]),
    "half a character as image": workload("faulty", image="\ud800"),
    "a file below a file": workload("faulty", **mounting({"key": "b", "path": "d"}, {"key": "b", "path": "d/e"})),
    "a header that no header can be": workload(
        "faulty", readinessProbe=http(httpHeaders=[{"name": "A", "value": "\u20ac"}])
    ),
    "a path that no path can be": workload("faulty", readinessProbe=http(path="/\u20ac")),
    "an annotation of the kubelet's": workload("faulty", {"annotations": {PORTS_ANNOTATION: "[}"}}),
    "a name that is cut at a dot": workload("faulty")
    | {"metadata": {"name": "a" * 199 + ".b", "namespace": "default"}},
}
"""A cluster accepts each of these, too; what becomes of their Pods is their authors' business."""


@pytest.mark.slow
@pytest.mark.parametrize("item", FAULTY.values(), ids=FAULTY.keys())
def test_a_faulty_workload_keeps_no_other_back(machine: Machine, item: Object) -> None:
    machine.store.create(SECRET, secret(data={"b": BINARY}) | {"metadata": {"name": "s", "namespace": "default"}})
    machine.store.create(DEPLOYMENT, item)
    machine.store.create(DEPLOYMENT, workload("sound"))
    machine.manager.start()
    until(lambda: machine.is_ready("sound"), "the other one is ready")
    until(lambda: machine.events("Started") or machine.events("Failed"), "the kubelet has tried both")


@pytest.mark.slow
def test_a_secret_that_is_no_text_becomes_a_variable_all_the_same(machine: Machine) -> None:
    machine.store.create(SECRET, secret(data={"KEY": BINARY}) | {"metadata": {"name": "s", "namespace": "default"}})
    machine.store.create(DEPLOYMENT, workload("d", envFrom=[{"secretRef": {"name": "s"}}]))
    machine.manager.start()
    until(lambda: machine.is_ready("d"), "it runs")


@pytest.mark.slow
def test_what_the_controllers_write_has_only_fields_that_the_kinds_have(machine: Machine) -> None:
    """A client that patches one of these objects strictly would be refused for the controllers' fault."""
    item = seldon(replicas=1)
    item["metadata"]["namespace"] = "default"
    item["spec"]["predictors"][0]["componentSpecs"][0]["spec"] = workload("d")["spec"]["template"]["spec"]
    item["spec"]["predictors"][0]["graph"]["name"] = "m"
    machine.store.create(SELDON, item)
    machine.store.create(DEPLOYMENT, workload("broken", command=["absent"]))
    machine.manager.start()
    until(lambda: machine.store.all(VIRTUAL_SERVICE)[0] and machine.events("Failed"), "one runs, one cannot")
    written = [(kind, each) for kind in KINDS for each in machine.store.all(kind)[0]]
    assert {POD, EVENT, SERVICE} <= {kind for kind, _ in written}
    for kind, each in written:
        assert (unknown_fields(kind, each), first_fault(kind, each)) == ([], None)


def running(machine: Machine) -> int:
    """The first process of a container that is ready."""
    machine.store.create(DEPLOYMENT, workload("d"))
    machine.manager.start()
    until(lambda: machine.is_ready("d"), "it runs")
    (pod,) = machine.store.all(POD)[0]
    return int(pod["status"]["containerStatuses"][0]["containerID"].removeprefix("process://"))


def test_a_container_that_ends_is_noticed_before_the_next_round(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is, the ingress goes on sending requests to it."""
    first = running(machine)
    begun = threading.Event()
    monkeypatch.setattr(garbage, "collect", lambda _: begun.set())
    monkeypatch.setattr(manager, "ROUND_SECONDS", 3600.0)

    def asleep() -> bool:
        begun.clear()
        return not begun.wait(0.5)

    until(asleep, "no round has begun for half a second")
    os.kill(first, signal.SIGKILL)
    until(lambda: not machine.is_ready("d"), "it is not ready any more")


@pytest.mark.slow
def test_the_end_of_a_container_that_was_found_running_is_noticed_too(machine: Machine, tmp_path: Path) -> None:
    first, noticed = running(machine), threading.Event()
    Kubelet(machine.store, Layout(tmp_path), Path(sys.prefix), lambda: None, noticed.set).sync()
    os.kill(first, signal.SIGKILL)
    assert noticed.wait(30)


def test_what_a_controller_cannot_work_with_is_told_once_and_left(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.store, "_admission", lambda *_: None)
    machine.store.create(DEPLOYMENT, {"metadata": {"name": "bare", "namespace": "default"}, "spec": {}})
    monkeypatch.setattr(machine.store, "_admission", admit)
    machine.store.create(
        DEPLOYMENT, deployment("sound", replicas=1) | {"metadata": {"name": "s", "namespace": "default"}}
    )
    machine.manager.start()
    until(lambda: machine.store.all(POD)[0], "the other one has its Pod")
    (event,) = machine.events("InternalError")
    assert (event["involvedObject"]["name"], event["count"]) == ("bare", 1)
    assert "KeyError" in event["message"]


def test_a_namespace_that_may_not_go_stays_whatever_owns_it(machine: Machine) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "gone"}

    def owned(old: Object) -> Object:
        return old | {"metadata": old["metadata"] | {"ownerReferences": [owner]}}

    machine.store.update(NAMESPACE, "", "default", owned)
    machine.manager.start()
    assert machine.events("InternalError")[0]["involvedObject"]["name"] == "default"


@pytest.mark.slow
def test_a_fault_that_lasts_does_not_write_in_every_round(machine: Machine) -> None:
    item = seldon()
    item["metadata"] |= {"namespace": "default", "annotations": {"seldon.io/istio-retries": "many"}}
    machine.store.create(SELDON, item)
    machine.manager.start()
    until(lambda: machine.events("InternalError"), "its Event")
    version = machine.store.version()
    machine.store.create(CONFIG_MAP, config_map() | {"metadata": {"name": "c", "namespace": "default"}})
    with pytest.raises(AssertionError):
        until(lambda: machine.store.version() > version + 3, "more writes", seconds=2)


def test_what_cannot_act_on_one_machine_is_told(machine: Machine) -> None:
    item = seldon()
    item["metadata"]["namespace"] = "default"
    (part,) = item["spec"]["predictors"][0]["componentSpecs"]
    part["pdbSpec"] = {"maxUnavailable": 1}
    part["spec"]["containers"][0]["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "10"]}}}
    machine.store.create(SELDON, item)
    machine.manager.start()
    until(lambda: len(machine.events("NoEffect")) == 2, "an Event for each field")
    told = {event["message"].split()[2] for event in machine.events("NoEffect")}
    assert told == {"spec.containers.lifecycle", "pdbSpec"}


def serving(machine: Machine) -> str:
    """The name of a SeldonDeployment that has its routes."""
    item = seldon()
    item["metadata"]["namespace"] = "default"
    machine.store.create(SELDON, item)
    machine.manager.start()
    until(lambda: machine.store.all(VIRTUAL_SERVICE)[0], "routes")
    return str(item["metadata"]["name"])


def test_another_selector_makes_the_deployment_anew(machine: Machine) -> None:
    """Seldon does the same: a selector cannot be changed, and the Service's name is part of it."""
    name = serving(machine)
    (old,) = machine.store.all(DEPLOYMENT)[0]

    def renamed(found: Object) -> Object:
        predictor = found["spec"]["predictors"][0]
        predictor["annotations"]["seldon.io/svc-name"] = "another"
        return found

    machine.store.update(SELDON, "default", name, renamed)

    def new() -> Any:
        found = machine.store.all(DEPLOYMENT)[0]
        return [each for each in found if each["metadata"]["uid"] != old["metadata"]["uid"]]

    (deployment,) = until(new, "another Deployment")
    assert deployment["metadata"]["name"] == old["metadata"]["name"]
    assert deployment["spec"]["selector"]["matchLabels"]["seldon-app"] == "another"
    assert not machine.events("InternalError")


def test_a_change_that_is_refused_leaves_the_deployment_that_it_would_make_anew(machine: Machine) -> None:
    name = serving(machine)
    before = {each["metadata"]["uid"] for each in machine.store.all(DEPLOYMENT)[0]}

    def broken(found: Object) -> Object:
        predictor = found["spec"]["predictors"][0]
        predictor["annotations"]["seldon.io/svc-name"] = "another"
        del predictor["componentSpecs"][0]["spec"]["containers"][0]["image"]
        return found

    machine.store.update(SELDON, "default", name, broken)
    until(lambda: machine.events("InternalError"), "its refusal")
    assert {each["metadata"]["uid"] for each in machine.store.all(DEPLOYMENT)[0]} == before
    assert not [each for each in machine.store.all(SERVICE)[0] if each["metadata"]["name"] == "another"]
