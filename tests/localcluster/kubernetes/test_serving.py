"""From a SeldonDeployment to answers at the ingress, and what happens there when things change, fail or are killed."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import kubernetes  # type: ignore[import-untyped]
import psutil
import pytest

from localcluster.settings import HOST
from tests.localcluster.kubernetes.cluster import Cluster, manifest, predictor_of, until
from tests.localcluster.kubernetes.images import microservice, server

pytestmark = pytest.mark.slow


@contextmanager
def deployed(cluster: Cluster, wanted: dict[str, object], *, wait: bool = True) -> Iterator[str]:
    """Apply a SeldonDeployment, and delete it afterwards with all it runs."""
    name = str(wanted["metadata"]["name"])  # type: ignore[index]
    cluster.apply(wanted)
    try:
        if wait:
            cluster.available(name)
        yield name
    finally:
        cluster.run("delete", "sdep", name)
        until(lambda: not cluster.pods(name), "the Pods are gone")


class Load:
    """Requests without a pause from several threads; `answers` counts (status, label)."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(cluster, name)) for _ in range(3)]

    def _ask(self, cluster: Cluster, name: str) -> None:
        while not self._done.is_set():
            status, answer = cluster.request(name)
            self.answers[status, answer["label"] if isinstance(answer, dict) else answer] += 1

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()


def test_the_genuine_microservice_answers_through_the_ingress_on_the_loopback_only(cluster: Cluster) -> None:
    microservice(cluster.images, "tiny:v1", "hello")
    probe = {"readinessProbe": {"httpGet": {"path": "/health/ping", "port": "http"}}}
    with deployed(cluster, manifest("genuine", "tiny:v1", container=probe)) as name:
        status, answer = cluster.request(name, "api/v1.0/predictions", b'{"data": {"ndarray": [[1, 2]]}}')
        assert status == 200
        assert answer["data"]["ndarray"] == ["hello"]
        assert answer["meta"]["requestPath"] == {"clf": "tiny:v1"}
        assert cluster.request(name, "api/v1.0/predictions", b"{")[0] in (400, 500)

        channel = grpc.insecure_channel(f"{HOST}:{cluster.settings.ingress_port}", [("grpc.enable_http_proxy", 0)])
        call = channel.unary_unary("/seldon.protos.Model/Predict", bytes, bytes)
        headers = (("seldon", name), ("namespace", "default"))
        assert b"hello" in call(b"\x1a\x02\x1a\x00", metadata=headers, timeout=20, wait_for_ready=True)
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", metadata=(("seldon", "other"), ("namespace", "default")), timeout=20)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        channel.close()

        for process in (*cluster.containers(), *(psutil.Process(each.pid) for each in cluster.processes.values())):
            listening = [c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
            # gRPC opens its IPv4 sockets as IPv6 ones
            assert set(listening) <= {HOST, f"::ffff:{HOST}"}, f"{process.name()} listens on {listening}"

        worker = next(each for each in cluster.containers() if _is_worker(each, cluster))
        worker.kill()
        until(lambda: cluster.request(name, "health/ping")[0] == 200, "gunicorn has a new worker")
        assert cluster.pods(name)[0]["status"]["containerStatuses"][0]["restartCount"] == 0

        before = cluster.containers()
        master = next(each for each in before if each.parent() not in before)
        master.kill()
        until(lambda: not any(each.is_running() for each in before), "nothing of the old run is left")
        until(lambda: cluster.request(name, "health/ping")[0] == 200, "the container is started again")
        assert cluster.pods(name)[0]["status"]["containerStatuses"][0]["restartCount"] == 1
    until(lambda: not cluster.containers(), "no process of the microservice is left")


def _is_worker(process: psutil.Process, cluster: Cluster) -> bool:
    """Whether the process is a child of a container's first process and shares its listening socket."""
    parent = process.parent()
    ports = {c.laddr.port for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    return (
        parent in cluster.containers()
        and parent is not None
        and bool(ports & {c.laddr.port for c in parent.net_connections("tcp") if c.status == psutil.CONN_LISTEN})
    )


def test_paths_ports_and_identity_reach_the_container(cluster: Cluster) -> None:
    cluster.run("create", "secret", "generic", "keys", "--from-literal=token=s3cret")
    variables = [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "PLAIN", "value": "/elsewhere"},
    ]
    with deployed(cluster, manifest("identity", "fast:v1", container={"env": variables})) as name:
        answer = cluster.request(name, "some/path")[1]
        assert answer["path"] == "/some/path"
        given = answer["env"]
        assert given["TOKEN"] == "s3cret"
        assert given["POD"] == cluster.pods(name)[0]["metadata"]["name"]
        assert given["PLAIN"] == "/elsewhere"
        assert given["PREDICTIVE_UNIT_ID"] == "clf"
        assert given["SELDON_DEPLOYMENT_ID"] == name
        assert given["PREDICTOR_LABELS"] == '{"version":"default"}'
        assert given["MODEL_DIR"].endswith("/model")
        assert given["MODEL_DIR"].startswith(str(cluster.home))
        assert len({given[f"PREDICTIVE_UNIT_{kind}SERVICE_PORT"] for kind in ("HTTP_", "GRPC_", "METRICS_")}) == 3
        assert "KUBECONFIG" not in given
        assert "LOCALCLUSTER_HOME" not in given


def test_coming_and_going_show_no_error_but_not_found(cluster: Cluster) -> None:
    with Load(cluster, "cold") as load, deployed(cluster, manifest("cold", "fast:v1")):
        until(lambda: load.answers[200, "v1"] > 20, "the new deployment answers")
    statuses = {status for status, _ in load.answers}
    assert statuses <= {200, 404}, load.answers


def test_a_new_version_takes_over_without_a_lost_request(cluster: Cluster) -> None:
    with deployed(cluster, manifest("rolling", "fast:v1", replicas=2)) as name, Load(cluster, name) as load:
        until(lambda: load.answers[200, "v1"] > 20, "the first version answers")
        cluster.apply(manifest(name, "fast:v2", replicas=2))
        cluster.available(name)
        assert {cluster.request(name)[1]["label"] for _ in range(4)} == {"v2"}
        before = load.answers[200, "v2"]
        until(lambda: load.answers[200, "v2"] > before + 50, "the second version answers")
        until(lambda: len(cluster.pods(name)) == 2, "the old Pods are gone")
        pids = _serving_pids(cluster, name)
        cluster.run("rollout", "restart", f"deploy/{name}-default-0-clf")
        cluster.run("rollout", "status", f"deploy/{name}-default-0-clf", "--timeout=30s")
        assert pids.isdisjoint(_serving_pids(cluster, name))
        load.__exit__()
        assert {status for status, _ in load.answers} == {200}, load.answers


def test_weights_and_a_shadow(cluster: Cluster) -> None:
    server(cluster.images, "fast:shadow", "shadow")
    main = {"name": "main", "traffic": 75}
    own = {"version": "v2"}
    canary = predictor_of("fast:v2", "canary", traffic=25, labels=own)
    shadow = predictor_of("fast:shadow", "shadow", shadow=True, traffic=100)
    with deployed(cluster, manifest("split", "fast:v1", canary, shadow, **main)) as name:
        answers = Counter(cluster.request(name)[1]["label"] for _ in range(200))
        assert set(answers) == {"v1", "v2"}
        assert 20 <= answers["v2"] <= 85
        log = ("logs", f"deploy/{name}-shadow-0-clf", "--tail", "-1")
        until(lambda: cluster.run(*log).stdout.count("request /x") >= 190, "the shadow sees the requests")
        canary = predictor_of("fast:v2", "canary", traffic=100, labels=own)
        cluster.apply(manifest(name, "fast:v1", canary, name="main", traffic=0))
        cluster.available(name)
        until(lambda: {cluster.request(name)[1]["label"] for _ in range(20)} == {"v2"}, "all traffic moves")
        until(lambda: len(cluster.pods(name)) == 2, "the shadow's Pod leaves")


def _description(cluster: Cluster, name: str) -> str:
    return str(cluster.json("sdep", name).get("status", {}).get("description", ""))


def test_an_unknown_image_is_waited_for_and_explained(cluster: Cluster) -> None:
    with deployed(cluster, manifest("later", "fast:later"), wait=False) as name:
        until(lambda: "fast:later not found" in _description(cluster, name), "the status says which image is missing")
        assert cluster.json("sdep", name)["status"]["state"] == "Creating"
        (pod,) = cluster.pods(name)
        waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"]
        assert waiting["reason"] in ("ErrImagePull", "ImagePullBackOff")
        assert "Failed to pull image" in cluster.run("describe", "pod", pod["metadata"]["name"]).stdout
        refused = cluster.run("logs", pod["metadata"]["name"], check=False)
        assert "is waiting to start" in refused.stderr
        server(cluster.images, "fast:later", "later")
        cluster.available(name)
        assert cluster.request(name)[1]["label"] == "later"


def test_a_broken_new_version_leaves_the_old_one_serving(cluster: Cluster) -> None:
    crash = {"command": ["python", "-c", "raise SystemExit('no model here')"]}
    with deployed(cluster, manifest("careful", "fast:v1")) as name:
        cluster.apply(manifest(name, "fast:v1", container=crash))
        until(lambda: "CrashLoopBackOff" in _description(cluster, name), "the status tells of the crash")
        until(lambda: "exit code 1; the log ends:\nno model here" in _description(cluster, name), "and why")
        assert cluster.request(name)[1]["label"] == "v1"
        bad = next(pod for pod in cluster.pods(name) if not pod["status"]["containerStatuses"][0]["ready"])
        until(
            lambda: "no model here" in cluster.run("logs", "-p", bad["metadata"]["name"], check=False).stdout, "its log"
        )
        cluster.apply(manifest(name, "fast:v1"))
        cluster.available(name)
        until(lambda: len(cluster.pods(name)) == 1, "the broken Pod goes")


def test_a_crash_that_outlasts_the_deadline_is_a_failure_with_its_reason(cluster: Cluster) -> None:
    crash = {"command": ["python", "-c", "raise SystemExit('looking\\nno model here')"]}
    item = manifest("doomed", "fast:v1", container=crash, progressDeadlineSeconds=1)
    with deployed(cluster, item, wait=False) as name:
        cluster.run("wait", "--for=jsonpath={.status.state}=Failed", f"sdep/{name}", "--timeout=30s")
        until(lambda: "exit code" in _description(cluster, name), "the container has crashed, too")
        (pod,) = cluster.pods(name)
        start = "Deployment is no longer progressing and not available. "
        again = f"{start}pod {pod['metadata']['name']}: Error: "
        back_off = f"{start}pod {pod['metadata']['name']}: CrashLoopBackOff: Back-off restarting failed container "
        for _ in range(20):  # while it waits and while it is tried again
            status = cluster.json("sdep", name)["status"]
            assert status["state"] == "Failed"
            assert status["description"].startswith((again, back_off))
            assert status["description"].endswith("exit code 1; the log ends:\nlooking\nno model here")
        assert cluster.request(name)[0] == 404


def test_a_container_without_an_image_fails_and_leaves_nothing_half_made(cluster: Cluster) -> None:
    item = manifest("imageless", "fast:v1", predictor_of("", "second", traffic=50), traffic=50)
    with deployed(cluster, item, wait=False) as name:
        cluster.run("wait", "--for=jsonpath={.status.state}=Failed", f"sdep/{name}", "--timeout=30s")
        words = (
            f'Deployment.apps "{name}-second-0-clf" is invalid: spec.template.spec.containers[0].image: Required value'
        )
        assert _description(cluster, name) == words
        assert cluster.json("deploy,svc,vs,pods", "-l", f"seldon-deployment-id={name}")["items"] == []
        cluster.apply(manifest(name, "fast:v1"))
        cluster.available(name)
        cluster.apply(item)
        cluster.run("wait", "--for=jsonpath={.status.state}=Failed", f"sdep/{name}", "--timeout=30s")
        assert _description(cluster, name) == words
        assert len(cluster.json("deploy", "-l", f"seldon-deployment-id={name}")["items"]) == 1
        assert cluster.request(name)[0] == 200


def test_what_the_ingress_does_not_take_is_not_called_available(cluster: Cluster) -> None:
    spec = {"hosts": ["*"], "http": [{"match": [{"uri": {"regex": "("}}], "route": [route_to("nowhere")]}]}
    faulty = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "faulty"}}
    cluster.apply(faulty | {"spec": spec})
    with deployed(cluster, manifest("kept-out", "fast:v1"), wait=False) as name:
        until(lambda: "the ingress takes no new routes" in _description(cluster, name), "the status says why")
        assert cluster.json("sdep", name)["status"]["state"] == "Creating"
        assert cluster.request(name)[0] == 404
        cluster.run("delete", "vs", "faulty")
        cluster.available(name)
        assert cluster.request(name)[0] == 200


def test_init_containers_are_not_left_out_in_silence(cluster: Cluster) -> None:
    item = manifest("initial", "fast:v1")
    pods = item["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    pods["initContainers"] = [{"name": "first", "image": "fast:v1"}]
    with deployed(cluster, item, wait=False) as name:
        until(lambda: "init containers are not served" in _description(cluster, name), "the status says so")


def test_a_log_is_cut_where_that_is_asked_for(cluster: Cluster) -> None:
    with deployed(cluster, manifest("talking", "fast:v1")) as name:
        (pod,) = cluster.pods(name)
        logs = ("logs", pod["metadata"]["name"])
        assert cluster.run(*logs, "--limit-bytes=3").stdout == "ser"
        refused = cluster.run(
            "get", "--raw", f"/api/v1/namespaces/default/pods/{logs[1]}/log?tailLines=-1", check=False
        )
        assert "tailLines: Invalid value: -1: must be greater than or equal to 0" in refused.stderr


def test_the_python_client_reads_what_runs(cluster: Cluster) -> None:
    configuration = str(cluster.home / "kubernetes" / "kubeconfig")
    api = kubernetes.config.new_client_from_config(config_file=configuration)
    core, apps = kubernetes.client.CoreV1Api(api), kubernetes.client.AppsV1Api(api)
    with deployed(cluster, manifest("typed", "fast:v1")) as name:
        status = apps.read_namespaced_deployment(f"{name}-default-0-clf", "default").status
        assert (status.ready_replicas, {c.type: c.status for c in status.conditions}["Available"]) == (1, "True")
        (pod,) = core.list_namespaced_pod("default", label_selector=f"seldon-deployment-id={name}").items
        (container,) = pod.status.container_statuses
        assert (pod.status.phase, container.ready, container.restart_count) == ("Running", True, 0)
        assert container.state.running.started_at.tzinfo
        assert pod.metadata.owner_references[0].kind == "Deployment"
        assert core.read_namespaced_pod_log(pod.metadata.name, "default", tail_lines=100).startswith("serving v1\n")
        service = core.read_namespaced_service(f"{name}-default", "default")
        assert [(port.name, port.port) for port in service.spec.ports] == [("http", 9000), ("grpc", 9500)]
        told = core.list_namespaced_event("default", field_selector=f"involvedObject.name={pod.metadata.name}").items
        assert {"Pulled", "Started"} <= {event.reason for event in told}
        custom = kubernetes.client.CustomObjectsApi(api)
        path = ("machinelearning.seldon.io", "v1", "default", "seldondeployments", name)
        assert custom.get_namespaced_custom_object(*path)["status"]["state"] == "Available"


def route_to(host: str) -> dict[str, Any]:
    return {"destination": {"host": host, "port": {"number": 80}}, "weight": 1}


def test_containers_outlive_the_controller_and_are_adopted(cluster: Cluster) -> None:
    with deployed(cluster, manifest("adopted", "fast:v1")) as name:
        pid = cluster.request(name)[1]["pid"]
        cluster.kill("kubernetes")
        assert cluster.request(name)[1]["pid"] == pid
        cluster.start("kubernetes")
        cluster.available(name)
        assert cluster.request(name)[1]["pid"] == pid
        psutil.Process(pid).kill()
        until(lambda: cluster.request(name)[0] == 200, "it is started again")
        assert cluster.request(name)[1]["pid"] != pid
        assert cluster.pods(name)[0]["status"]["containerStatuses"][0]["restartCount"] == 1


def test_death_of_a_container_while_the_controller_is_away(cluster: Cluster) -> None:
    with deployed(cluster, manifest("unseen", "fast:v1")) as name:
        pid = cluster.request(name)[1]["pid"]
        cluster.kill("kubernetes")
        psutil.Process(pid).kill()
        assert cluster.request(name)[0] == 503
        cluster.start("kubernetes")
        until(lambda: cluster.request(name)[0] == 200, "it is started again")


def test_a_dead_replica_that_still_has_its_route_costs_no_request(cluster: Cluster) -> None:
    with deployed(cluster, manifest("halved", "fast:v1", replicas=2)) as name:
        dead, alive = sorted(_serving_pids(cluster, name))
        cluster.kill("kubernetes")  # nobody takes the dead one out of the endpoints
        try:
            psutil.Process(dead).kill()
            until(lambda: all(c.pid != dead for c in psutil.net_connections("tcp")), "its connections are closed")
            answers = [cluster.request(name) for _ in range(20)]
        finally:
            cluster.start("kubernetes")
        assert [answer for status, answer in answers if status != 200] == []
        assert {answer["pid"] for _, answer in answers} == {alive}
        until(lambda: len(_serving_pids(cluster, name)) == 2, "two answer again")


def test_envoy_killed_comes_back_with_its_routes(cluster: Cluster) -> None:
    with deployed(cluster, manifest("front", "fast:v1")) as name:
        cluster.kill("ingress")
        cluster.start("ingress")
        until(lambda: cluster.request(name)[0] == 200, "the routes are read again")


def test_a_clean_stop_ends_containers_and_a_start_brings_them_back(cluster: Cluster) -> None:
    with deployed(cluster, manifest("restored", "fast:v1")) as name:
        assert cluster.kill("kubernetes", signal.SIGTERM) == 0
        assert cluster.containers() == []
        assert cluster.request(name)[0] == 503
        cluster.start("kubernetes")
        cluster.available(name)
        until(lambda: cluster.request(name)[0] == 200, "it answers again")
        assert cluster.pods(name)[0]["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_deleted_pod_is_replaced(cluster: Cluster) -> None:
    with deployed(cluster, manifest("replaced", "fast:v1", replicas=2)) as name:
        first = cluster.pods(name)[0]["metadata"]["name"]
        with Load(cluster, name) as load:
            cluster.run("delete", "pod", first)
            until(lambda: len(cluster.pods(name)) == 2, "another Pod is there")
        assert {status for status, _ in load.answers} == {200}, load.answers
        cluster.run("delete", "pod", cluster.pods(name)[0]["metadata"]["name"], "--force", "--grace-period=0")
        until(lambda: len(_serving_pids(cluster, name)) == 2, "two answer again")


def _serving_pids(cluster: Cluster, name: str) -> set[int]:
    answers = [cluster.request(name) for _ in range(8)]
    return {answer["pid"] for status, answer in answers if status == 200}
