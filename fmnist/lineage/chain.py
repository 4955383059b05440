"""Answers a question: which station is meant, and the chain through it, from whatever platforms answer."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fmnist import registry
from fmnist.errors import FmnistError, RegistryError
from fmnist.lineage import serving
from fmnist.lineage.data import Commits
from fmnist.lineage.graph import Graph, Id, Kind, missing
from fmnist.lineage.training import Registry, version_id


@dataclass(frozen=True)
class Question:
    """What somebody wants to know the lineage of; nothing at all means the version in production, else the newest."""

    version: int | None = None
    commit: str | None = None
    answer: str | None = None
    """The text of a prediction's JSON answer."""
    model: str = registry.MODEL_NAME


@dataclass(frozen=True)
class Lineage:
    """The chain through the stations `asked`."""

    graph: Graph
    asked: AbstractSet[Id]

    def affected(self) -> dict[Kind, list[str]]:
        """Names of everything that was made from what was asked, by kind, in the order of the chain."""
        made = self.graph.downstream(self.asked) - self.asked
        names = {kind: sorted(id_.name for id_ in made if id_.kind is kind) for kind in Kind}
        return {kind: found for kind, found in names.items() if found}


def trace(question: Question) -> Lineage:
    """The lineage that is asked for; platforms that do not answer are `problems` of its graph.

    Raises FmnistError where the asked thing itself is not found.
    """
    graph = Graph()
    commits = Commits(graph)
    Registry(graph, commits.head_at).read()
    serving.read_images(graph)
    serving.read_deployments(graph)
    asked = set(_asked(question, graph, commits))
    used = {id_ for id_ in asked | graph.upstream(asked) if id_.kind is Kind.COMMIT}
    commits.follow(used, downstream=False)
    commits.follow({id_ for id_ in asked if id_.kind is Kind.COMMIT}, downstream=True)
    for id_ in {end for edge in graph.edges for end in edge} - graph.nodes.keys():
        graph.add(missing(id_, graph.problems.get("Determined", "it is not there (any more)")))
    return Lineage(graph.cone(asked), asked)


def _asked(question: Question, graph: Graph, commits: Commits) -> list[Id]:
    if question.commit is not None:
        return commits.find(question.commit)
    if question.answer is not None:
        return [serving.add_answer(graph, question.answer)]
    if question.version is not None:
        wanted: Id | None = version_id(question.model, question.version)
    else:
        wanted = serving.production(graph) or _newest(question.model, graph)
    if wanted is not None and wanted in graph:
        return [wanted]
    if "Determined" in graph.problems:
        raise FmnistError(graph.problems["Determined"])
    name = wanted.name if wanted else f"any version of {question.model}"
    raise RegistryError(f"the registry does not have {name}: see det model list-versions {question.model}")


def _newest(model: str, graph: Graph) -> Id | None:
    versions = [
        node for node in graph.nodes.values() if node.id.kind is Kind.VERSION and node.details.get("model") == model
    ]
    newest = max(versions, key=lambda node: int(node.details["version"]), default=None)
    return newest.id if newest else None
