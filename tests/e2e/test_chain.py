"""The main job on a slice of the data, and what a user types against the cluster that it leaves running.

The tests of this module run in order on one cluster: the first one is `make demo`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from data.catalog import FILES
from data.sources import cache_directory
from tests.e2e.conftest import REPOSITORY, SLICE, Checkout, predictions_url

README = (REPOSITORY / "README.md").read_text()

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("chain")]


def predict(clients: Checkout) -> requests.Response:
    payload = {"data": {"names": ["feature1"], "tensor": {"shape": [28, 28], "values": [0] * 784}}}
    return requests.post(predictions_url(clients), json=payload, timeout=30, proxies={"http": ""})


def test_every_stage_says_when_it_starts_and_how_long_it_took(demo: str) -> None:
    for number in range(1, 9):
        assert f"{number}/8  " in demo
    assert demo.count("done in") == 8


def test_the_second_demo_reuses_what_is_there(checkout: Checkout, demo: str) -> None:
    again = checkout.make("demo", "TRAIN=reuse", *(f"{name}={value}" for name, value in SLICE.items()))
    assert again.count("unchanged, no new commit") == 2
    versions = checkout.clients().run("det", "model", "list-versions", "fashion-classifier", "--json").stdout
    assert len(json.loads(versions)["modelVersions"]) == 1


def test_det_shows_what_the_demo_made(clients: Checkout) -> None:
    assert "determined" in clients.run("det", "user", "whoami").stdout
    assert "COMPLETED" in clients.run("det", "experiment", "list").stdout
    described = clients.run("det", "experiment", "describe", "1").stdout
    assert "fashion" in described.lower()
    assert "validation_accuracy" in clients.run("det", "trial", "describe", "--metrics", "1").stdout
    assert clients.run("det", "experiment", "logs", "1").stdout.strip()
    assert clients.run("det", "trial", "logs", "1").stdout.strip()
    clients.run("det", "experiment", "wait", "1")
    assert "fashion-classifier" in clients.run("det", "model", "list").stdout
    assert "fashion-classifier" in clients.run("det", "model", "describe", "fashion-classifier").stdout


def test_det_downloads_the_registered_checkpoint(clients: Checkout, tmp_path: Path) -> None:
    uuid = json.loads((clients.directory / "build" / "model.json").read_text())["checkpoint_uuid"]
    assert uuid in clients.run("det", "checkpoint", "describe", uuid).stdout
    clients.run("det", "checkpoint", "download", uuid, "-o", str(tmp_path / "checkpoint"))
    serving = tmp_path / "checkpoint" / "serving"
    assert sorted(path.name for path in serving.iterdir()) == [
        "SHA256SUMS",
        "labels.json",
        "metadata.json",
        "model.tflite",
    ]


def test_kubectl_shows_what_the_demo_deployed(clients: Checkout) -> None:
    clients.run(
        "kubectl", "wait", "--for=jsonpath={.status.state}=Available", "sdep/fashion-classifier", "--timeout=30s"
    )
    assert "fashion-classifier" in clients.run("kubectl", "get", "sdep,pods").stdout
    assert "Available" in clients.run("kubectl", "describe", "sdep", "fashion-classifier").stdout
    assert clients.run("kubectl", "logs", "-l", "seldon-deployment-id=fashion-classifier").stdout.strip()
    service = clients.run("kubectl", "get", "svc", "istio-ingressgateway", "-n", "istio-system").stdout
    assert clients.environment["LOCALCLUSTER_INGRESS_PORT"] in service


def test_an_answer_carries_its_provenance(clients: Checkout) -> None:
    answer = predict(clients).json()
    model = json.loads((clients.directory / "build" / "model.json").read_text())
    assert answer["meta"]["tags"]["model_version"] == str(model["version"])
    assert answer["meta"]["tags"]["checkpoint"] == model["checkpoint_uuid"]
    assert answer["meta"]["tags"]["outlier"] is (answer["meta"]["tags"]["outlier_score"] > 1)
    assert len(answer["data"]["names"]) == 10


def test_the_report_has_versions_and_results(clients: Checkout) -> None:
    report = json.loads((clients.directory / "build" / "report" / "report.json").read_text())
    assert 0.5 <= report["results"]["accuracy"] <= 1
    assert report["verdict"]["passed"] is True
    for name in ("report.md", "report.html", "model_card.md", "junit.xml"):
        assert (clients.directory / "build" / "report" / name).stat().st_size > 500


def test_the_gate_asks_the_cluster_what_is_in_production(clients: Checkout, demo: str) -> None:
    assert "no SeldonDeployment fashion-classifier with a predictor default is deployed" in demo
    printed = clients.make("gate", *(f"{name}={value}" for name, value in SLICE.items()))
    assert "this very version is in production already" in printed
    report = json.loads((clients.directory / "build" / "report" / "report.json").read_text())
    assert [row["in_production"] for row in report["versions"]] == [True]


@pytest.mark.parametrize("service", ["pachyderm", "determined", "kubernetes", "ingress"])
def test_a_killed_service_comes_back_with_all_it_had(clients: Checkout, service: str) -> None:
    before = clients.run("det", "model", "list-versions", "fashion-classifier", "--json").stdout
    record = json.loads((clients.directory / ".localcluster" / "run" / f"{service}.json").read_text())
    os.kill(record["pid"], signal.SIGKILL)
    clients.make("up")
    deadline = time.monotonic() + 60
    while clients.run("make", "status", check=False).returncode != 0:
        assert time.monotonic() < deadline, f"{service} did not come back"
        time.sleep(0.2)
    assert clients.run("det", "model", "list-versions", "fashion-classifier", "--json").stdout == before
    assert predict(clients).status_code == 200


def test_a_killed_trial_is_resumed_and_its_experiment_completes(clients: Checkout) -> None:
    settings = ("hyperparameters.epochs=6", "hyperparameters.validation_images=500")
    options = [word for setting in settings for word in ("--config", setting)]
    source = Checkout(clients.directory / "fmnist" / "model" / "src", clients.environment)
    created = source.run("det", "experiment", "create", *options, "const.yaml", ".").stdout
    experiment = re.findall(r"Created experiment (\d+)", created)[0]
    deadline = time.monotonic() + 120
    while "epoch 2 of 6" not in clients.run("det", "experiment", "logs", experiment).stdout:
        assert time.monotonic() < deadline, f"experiment {experiment} did not reach its second epoch within 120 s"
    trainers = [process for process in psutil.process_iter() if runs(process, clients, experiment)]
    assert trainers, "no process runs train.py of that experiment"
    for process in trainers:
        with suppress(psutil.NoSuchProcess):  # What belongs to one that is killed ends with it.
            process.kill()
    clients.run("det", "experiment", "wait", experiment, "--polling-interval", "1")
    log = clients.run("det", "experiment", "logs", experiment).stdout
    assert "epoch 6 of 6" in log
    assert log.count("epoch 1 of 6") == 1, "the resumed trial began anew"


def runs(process: psutil.Process, clients: Checkout, experiment: str) -> bool:
    """Whether the process trains for this experiment of this master."""
    try:
        environment = process.environ()
        ours = environment.get("DET_MASTER") == clients.environment["DET_MASTER"]
        return ours and environment.get("DET_EXPERIMENT_ID") == experiment and "train.py" in process.cmdline()
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return False


def test_every_socket_listens_on_the_loopback_address_only(clients: Checkout) -> None:
    home = str(clients.directory / ".localcluster")
    addresses = {
        connection.laddr.ip.removeprefix("::ffff:")  # how the genuine gRPC server's dual-stack socket names 127.0.0.1
        for process in psutil.process_iter()
        if process.is_running() and belongs(process, home)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def belongs(process: psutil.Process, home: str) -> bool:
    try:
        return process.environ().get("LOCALCLUSTER_MEMBER") == home
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return False


def test_down_ends_every_process_and_up_brings_everything_back(clients: Checkout) -> None:
    home = str(clients.directory / ".localcluster")
    clients.make("down")
    assert [process for process in psutil.process_iter() if belongs(process, home)] == []
    clients.make("up")
    clients.run(
        "kubectl", "wait", "--for=jsonpath={.status.state}=Available", "sdep/fashion-classifier", "--timeout=60s"
    )
    assert predict(clients).status_code == 200
    assert clients.make("data", "FIRST=3000").count("unchanged, no new commit") == 2


def test_make_release_brings_the_next_version_live_and_make_rollback_returns(clients: Checkout) -> None:
    uuid = json.loads((clients.directory / "build" / "train.json").read_text())["checkpoint_uuid"]
    clients.run("det", "model", "register-version", "fashion-classifier", uuid)
    printed = clients.make("release", "CANARY_STEPS=50", *(f"{name}={value}" for name, value in SLICE.items()))
    places = [printed.index(words) for words in ("accuracy gate", "fashion-classifier:v2", "version 2 is live")]
    assert places == sorted(places), "gate, image and rollout, in this order"
    report = json.loads((clients.directory / "build" / "release" / "report.json").read_text())
    assert [phase["name"] for phase in report["phases"]] == ["shadow", "canary 50 %"]
    assert predict(clients).json()["meta"]["tags"]["model_version"] == "2"
    assert "version 1 (sha256:" in clients.make("rollback")
    assert predict(clients).json()["meta"]["tags"]["model_version"] == "1"
    assert "version 2 (sha256:" in clients.make("rollback", "VERSION=2")
    assert predict(clients).json()["meta"]["tags"]["model_version"] == "2"


def test_the_commands_of_the_readme_work(clients: Checkout) -> None:
    uuid = json.loads((clients.directory / "build" / "train.json").read_text())["checkpoint_uuid"]
    quick = "--config hyperparameters.epochs=1 --config hyperparameters.validation_images=500"
    blocks = re.findall(r"^```bash\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    for block in blocks:
        script = (
            block.replace("<checkpoint uuid>", uuid)
            .replace("-f const.yaml", f"-f {quick} const.yaml")  # the slice has too few images for the real one
            .replace("fashion-classifier\n", "readme-classifier\n" if "det model" in block else "fashion-classifier\n")
            .replace("version fashion-classifier", "version readme-classifier")
        )
        clients.run("bash", "-euc", script)


def test_the_curl_that_predict_prints_works(clients: Checkout) -> None:
    printed = clients.make("predict")
    command = printed[printed.index("curl ") :].split("\n\n")[0].strip()
    answer = json.loads(clients.run("bash", "-euc", f"{command} --silent --fail").stdout)
    assert sum(answer["data"]["tensor"]["values"]) == pytest.approx(1, abs=1e-3)


def test_the_keras_snippet_of_the_readme_makes_a_commit(clients: Checkout) -> None:
    """Last, because it leaves other data in the repo; Keras finds the files where it would have downloaded them."""
    snippet = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)[0]
    folder = Path(clients.environment["HOME"]) / ".keras" / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    for file in FILES:
        shutil.copy(cache_directory() / file.name, folder)
    clients.run(".venv/bin/python", "-c", snippet)
    assert "new commit" in clients.make("data", "FIRST=3000")
