"""The serving part of the chain: images by their labels, deployments as kubectl shows them, answers by their tags."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.release.manifest import NAME
from fmnist import production as live
from fmnist.errors import FmnistError
from fmnist.lineage.graph import Graph, Id, Kind, Node, State, Unknown, missing
from fmnist.lineage.training import names

_LAYOUT = "IMAGE_LAYOUT"


def read_images(graph: Graph) -> None:
    """Add the images of the OCI layout that IMAGE_LAYOUT names.

    Source: OCI image specification 1.1, image-layout.md.
    """
    directory = os.environ.get(_LAYOUT)
    if not directory:
        graph.problems["images"] = f"{_LAYOUT} is not set: only what deployments say of images is known"
        return
    layout = Path(directory)
    try:
        if not (layout / "index.json").exists():
            return
        for entry in json.loads((layout / "index.json").read_text())["manifests"]:
            manifest = _blob(layout, entry["digest"])
            config = _blob(layout, manifest["config"]["digest"])
            tag = entry.get("annotations", {}).get("org.opencontainers.image.ref.name")
            _add_image(graph, entry["digest"], config.get("config", {}).get("Labels") or {}, tag, config.get("created"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        graph.problems["images"] = f"the OCI layout {layout} cannot be read: {error!r}"


def _blob(layout: Path, digest: str) -> Any:
    return json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())


def _add_image(graph: Graph, digest: str, labels: Mapping[str, str], tag: str | None, created: str | None) -> None:
    id_ = Id(Kind.IMAGE, digest)
    facts = {"digest": digest, "tag": tag or Unknown("another image has it by now")}
    revision = labels.get("org.opencontainers.image.revision")
    facts["wrapper's git commit"] = revision or Unknown("the image has no such label")
    _link(graph, labels, id_)
    title = labels.get("org.opencontainers.image.title") or (tag or digest).split(":")[0]
    short = digest.removeprefix("sha256:")[:12]
    details = {"labels": dict(labels), "created": created}
    graph.add(Node(id_, title, short, tag or "no tag any more", State.GOOD, facts, details))


def read_deployments(graph: Graph) -> None:
    """Add a station for each predictor of each SeldonDeployment."""
    listed = live.deployments()
    if listed.problem:
        graph.problems["Kubernetes"] = listed.problem
    for deployment in listed.deployments:
        for predictor in deployment["spec"]["predictors"]:
            _add_predictor(graph, deployment, predictor)


def production(graph: Graph) -> Id | None:
    """The version in production: the label on the main predictor of the live SeldonDeployment, nothing else.

    None where nothing is deployed, or where the label means a version of another registry.
    """
    for node in graph.nodes.values():
        if node.id.kind is Kind.DEPLOYMENT and node.details["main"] and isinstance(node.facts["labels"], Mapping):
            version, checkpoint = names(node.facts["labels"])
            if version in graph.upstream([node.id]) or checkpoint is None:
                return version
    return None


def _add_predictor(graph: Graph, deployment: Mapping[str, Any], predictor: Mapping[str, Any]) -> None:
    metadata, status = deployment["metadata"], deployment.get("status") or {}
    namespace = metadata.get("namespace", "default")
    id_ = Id(Kind.DEPLOYMENT, f"{namespace}/{metadata['name']}/{predictor['name']}")
    labels = predictor.get("labels") or {}
    named = (
        container["image"]
        for part in predictor.get("componentSpecs") or []
        for container in part["spec"]["containers"]
        if "image" in container
    )
    images = list(dict.fromkeys(named))
    state = status.get("state")
    weight = predictor.get("traffic", 100 if len(deployment["spec"]["predictors"]) == 1 else 0)
    share = "shadow" if predictor.get("shadow") else f"{weight} %"
    facts = {
        "namespace": namespace,
        "predictor": f"{predictor['name']}, {share}",
        "state": state or Unknown("Seldon's operator has not said yet"),
        "generation": metadata.get("generation") or Unknown("Kubernetes names none"),
        "labels": labels or Unknown("the predictor has none"),
    }
    details = {
        "deployment": metadata["name"],
        "main": live.is_main(deployment, predictor),
        "replicas": predictor.get("replicas", 1),
        "images": images,
    }
    for image in images:
        _, _, digest = image.partition("@")
        source = Id(Kind.IMAGE, digest or image)
        graph.connect(source, id_)
        if source not in graph:
            registry = f"its labels lie in the image registry: skopeo inspect --config docker://{image}"
            reason = registry if digest else "the deployment names a tag, and a tag moves"
            graph.add(missing(source, reason, image.split("@")[0].split("/")[-1], digest[7:19] or image))
            _link(graph, labels, source)
    ready = {"Available": State.GOOD, "Failed": State.BAD}.get(str(state), State.OPEN)
    title = metadata["name"] if namespace == "default" else f"{namespace}/{metadata['name']}"
    graph.add(Node(id_, title, predictor["name"], f"{state or 'no state'}, {share}", ready, facts, details))


def add_answer(graph: Graph, text: str) -> Id:
    """Add the prediction whose JSON answer this is.  Raises FmnistError."""
    try:
        meta = json.loads(text)["meta"]
        tags = {str(key): str(value) for key, value in meta["tags"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FmnistError(
            f"this is not the JSON answer of a prediction with meta.tags ({error!r}): save what curl prints"
        ) from error
    puid = meta.get("puid") or Unknown("the answer has none")
    id_ = Id(Kind.ANSWER, puid if isinstance(puid, str) else "without a puid")
    version = names(tags)[0]
    serving = [
        node.id
        for node in graph.nodes.values()
        if node.id.kind is Kind.DEPLOYMENT
        and isinstance(node.facts["labels"], Mapping)
        and names(node.facts["labels"]) == names(tags)
    ]
    for deployment in serving:
        graph.connect(deployment, id_, "serves this version now")
    if not serving:
        _link(graph, tags, id_)
    gone = "no live predictor has this version: it was replaced, or runs elsewhere"
    by = Unknown(graph.problems.get("Kubernetes", gone))
    facts = {"puid": puid, "tags": tags, "served by": [deployment.name for deployment in serving] or by}
    summary = f"version {tags.get('model_version', 'unknown')}"
    state = State.GOOD if version else State.UNKNOWN
    graph.add(Node(id_, "prediction", id_.name[:12], summary, state, facts))
    return id_


def _link(graph: Graph, labels: Mapping[str, str], target: Id) -> None:
    """Connect what the labels name; a version whose checkpoint is another one here is not the one that is meant."""
    version, checkpoint = names(labels)
    if version is None:
        if checkpoint is not None:
            graph.connect(checkpoint, target)
        return
    registered = graph.nodes[version].details.get("checkpoint") if version in graph else None
    if checkpoint is None or registered == checkpoint.name:
        graph.connect(version, target)
        return
    other = Id(Kind.VERSION, f"{version.name} of checkpoint {checkpoint.name}")
    here = f"the registry's {version.name} holds checkpoint {registered}" if registered else "not in the registry"
    reason = graph.problems.get("Determined", here)
    graph.add(missing(other, reason, labels.get("model.name") or labels.get("model_name") or NAME, version.name[-9:]))
    graph.connect(checkpoint, other)
    graph.connect(other, target)
