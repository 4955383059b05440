"""The servers that are compared: how each is started, asked and read.

Every one has the same exported model, the same engine and two processes that predict.  The peers are written as their
documentation shows (peers/), each in a locked environment of its own (requirements/peers/).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from localcluster.settings import HOST, REPOSITORY, Settings

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
ENVIRONMENTS = REPOSITORY / "build" / "peers"
SERVING = Settings.from_environment().serving_environment
LAUNCHER = REPOSITORY / "localcluster" / "kubernetes" / "launcher.py"
MANIFEST = REPOSITORY / "deploy" / "base" / "deploy.yaml"
SELDON = "/api/v1.0/predictions"
V2 = "/v2/models/clothes/infer"

Images = npt.NDArray[np.uint8]
Message = dict[str, Any]


@dataclass(frozen=True)
class Ports:
    """Free ports of one start."""

    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True)
class Server:
    """One way to serve the model; `{python}` and `{bin}` of the command are those of its environment."""

    title: str
    environment: Path
    command: tuple[str, ...]
    path: str
    ready: str
    request: Callable[[Images], Message]
    probabilities: Callable[[Any], Any]
    variables: Mapping[str, str] = field(default_factory=dict)
    engine: str = "LiteRT"
    is_image: bool = False
    """Whether it runs in the wrapper's files as they lie in the image, with the variables of the deployment."""

    def argv(self, ports: Ports) -> list[str]:
        """The command of a start."""
        places = {"bin": str(self.environment / "bin"), "port": str(ports.http)}
        return [word.format(**places) for word in self.command]

    def variables_of(self, ports: Ports, model: Path, home: Path) -> dict[str, str]:
        """The environment variables of a start: nothing of this process but the PATH."""
        return {
            "PATH": f"{self.environment / 'bin'}:{os.defpath}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(PEERS),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MODEL": str(model / "serving" / "model.tflite"),
            "CHECKPOINT": str(model),
            "PORT": str(ports.http),
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(ports.http),
            "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(ports.grpc),
            "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(ports.metrics),
            "MLSERVER_HTTP_PORT": str(ports.http),
            "MLSERVER_GRPC_PORT": str(ports.grpc),
            "MLSERVER_METRICS_PORT": str(ports.metrics),
            **self.variables,
        }


def deployed_variables() -> dict[str, str]:
    """What the SeldonDeployment gives the wrapper: processes and threads; feedback has no place here."""
    manifest = yaml.safe_load(MANIFEST.read_text())
    containers = manifest["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"]
    (environment,) = (each["env"] for each in containers if each["name"] == manifest["metadata"]["name"])
    return {each["name"]: each["value"] for each in environment if each["name"] != "FEEDBACK_SPOOL"}


def _tensor(images: Images) -> Message:
    return {"data": {"tensor": {"shape": list(images.shape), "values": images.ravel().tolist()}}}


def _nested(images: Images) -> Message:
    return {"images": images.tolist()}


def _v2(images: Images) -> Message:
    tensor = {"name": "images", "shape": list(images.shape), "datatype": "UINT8", "data": images.ravel().tolist()}
    return {"inputs": [tensor]}


def _seldon(title: str, wrapper: str, environment: Path, **more: Any) -> Server:
    return Server(
        title=title,
        environment=environment,
        command=("{bin}/python", "-P", str(LAUNCHER), wrapper, "--service-type", "MODEL"),
        path=SELDON,
        ready="/health/status",
        request=_tensor,
        probabilities=lambda answer: answer["data"]["tensor"]["values"],
        **more,
    )


def _peer(title: str, name: str, command: tuple[str, ...], path: str, ready: str, **more: Any) -> Server:
    request, probabilities = _nested, lambda answer: answer["probabilities"]
    if path == V2:
        request, probabilities = _v2, lambda answer: answer["outputs"][0]["data"]
    reading = {"request": request, "probabilities": probabilities} | more
    return Server(title, ENVIRONMENTS / name, command, path, ready, **reading)


WRAPPER = "wrapper"
SERVERS: dict[str, Server] = {
    WRAPPER: _seldon(
        "**this wrapper** in Seldon's microservice, changed from outside", "FashionClassifier", SERVING, is_image=True
    ),
    "fastapi": _peer(
        "FastAPI and orjson, by hand",
        "fastapi",
        (
            *("{bin}/uvicorn", "fastapi_server:app", "--workers", "2", "--host", HOST, "--port", "{port}"),
            *("--no-access-log", "--log-level", "warning"),
        ),
        "/predict",
        "/ready",
    ),
    "litserve": _peer("LitServe", "litserve", ("{bin}/python", "litserve_server.py"), "/predict", "/health"),
    "mlserver": _peer(
        "MLServer, two inference workers",
        "mlserver",
        ("{bin}/mlserver", "start", "mlserver"),
        V2,
        "/v2/models/clothes/ready",
        variables={"MLSERVER_PARALLEL_WORKERS": "2"},
    ),
    "mlserver-0": _peer(
        "MLServer, in its one process",
        "mlserver",
        ("{bin}/mlserver", "start", "mlserver"),
        V2,
        "/v2/models/clothes/ready",
        variables={"MLSERVER_PARALLEL_WORKERS": "0"},
    ),
    "kserve": _peer("KServe", "kserve", ("{bin}/python", "kserve_server.py"), V2, "/v2/models/clothes/ready"),
    "bentoml": _peer(
        "BentoML",
        "bentoml",
        ("{bin}/bentoml", "serve", "bentoml_service:Clothes", "--host", HOST, "--port", "{port}"),
        "/predict",
        "/readyz",
        probabilities=lambda answer: answer,
        variables={"BENTOML_DO_NOT_TRACK": "True"},
    ),
    "stock": _seldon("Seldon's microservice as it comes, LiteRT", "Stock", SERVING, variables=deployed_variables()),
    "original": _seldon(
        "the original way: `model.predict` of Keras in it",
        "Original",
        ENVIRONMENTS / "original",
        variables={
            **deployed_variables(),
            "MODEL_SOURCE": str(REPOSITORY / "fmnist" / "model" / "src"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        engine="Keras",
    ),
}
"""The wrapper first, then the peers, then where it came from."""

STEPS: dict[str, Server] = {
    name: _seldon(title, "Reduced", SERVING, is_image=True, variables={"WITHOUT": without})
    for name, title, without in (
        ("without", "the wrapper without the three", "counters,worker,shortcut"),
        ("counters", "and `counters`: metrics in mapped files", "worker,shortcut"),
        ("counters-worker", "and `worker`: small predictions without a thread", "shortcut"),
    )
}
"""The wrapper without the three modules that change how the microservice answers JSON, and with one, and with two.

Its own JSON reader (`body`) and its gRPC server stay in each.
"""
