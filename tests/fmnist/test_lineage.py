"""The graph of the chain, its layout, its table, its picture and its JSON: no platform needed."""

from __future__ import annotations

import graphlib
import io
import itertools
import json
import random
import re
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from fmnist.errors import FmnistError, PlatformUnreachable
from fmnist.lineage import picture, serving, table
from fmnist.lineage.__main__ import show
from fmnist.lineage.chain import Lineage
from fmnist.lineage.data import Commits
from fmnist.lineage.graph import Graph, Id, Kind, Node, State, commit_id, missing, references
from fmnist.lineage.layout import GAP, place
from fmnist.lineage.training import names, version_id

SVG = "{http://www.w3.org/2000/svg}"


def graph_of(edges: list[tuple[int, int]], count: int) -> Graph:
    """Stations 0 to count - 1 and edges between them."""
    graph = Graph()
    ids = [Id(list(Kind)[number % len(Kind)], f"{number:03d}") for number in range(count)]
    for id_ in ids:
        graph.add(Node(id_, f"title {id_.name}"))
    for source, target in edges:
        graph.connect(ids[source], ids[target])
    return graph


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs without cycles: every edge goes from a lower number to a higher one."""
    count = draw(st.integers(1, 12))
    pairs = list(itertools.combinations(range(count), 2))
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=24)) if pairs else []
    return graph_of(edges, count)


@given(graphs())
def test_up_is_down_turned_round(graph: Graph) -> None:
    for one, other in itertools.product(graph.nodes, repeat=2):
        assert (other in graph.downstream([one])) == (one in graph.upstream([other]))


@given(graphs(), st.data())
def test_the_cone_holds_what_leads_to_the_start_and_what_it_leads_to(graph: Graph, data: st.DataObject) -> None:
    start = data.draw(st.sampled_from(sorted(graph.nodes)))
    cone = graph.cone([start])
    for id_ in graph.nodes:
        expected = id_ == start or start in graph.upstream([id_]) or start in graph.downstream([id_])
        assert (id_ in cone) == expected
    assert cone.edges == {ends: "" for ends in graph.edges if set(ends) <= set(cone.nodes)}
    assert cone.cone([start]).nodes == cone.nodes


@given(graphs())
def test_every_edge_goes_to_a_higher_layer_and_no_layer_is_empty(graph: Graph) -> None:
    layers = graph.layers()
    assert all(layers[source] < layers[target] for source, target in graph.edges)
    assert set(layers.values()) == set(range(max(layers.values()) + 1))


def test_a_cycle_is_an_error() -> None:
    with pytest.raises(graphlib.CycleError):
        graph_of([(0, 1), (1, 0)], 2).layers()


def test_a_diamond_is_walked_once_and_an_island_is_left_out() -> None:
    graph = graph_of([(0, 1), (0, 2), (1, 3), (2, 3)], 5)
    first, *_, last, island = sorted(graph.nodes, key=lambda id_: id_.name)
    assert {id_.name for id_ in graph.downstream([first])} == {"001", "002", "003"}
    assert {id_.name for id_ in graph.upstream([last])} == {"000", "001", "002"}
    assert island not in graph.cone([first])


@given(graphs(), st.randoms(use_true_random=False))
def test_the_layout_has_no_overlap_no_edge_through_a_box_and_does_not_depend_on_the_order(
    graph: Graph, chance: random.Random
) -> None:
    sizes = {id_: (100.0 + 10 * number, 70.0) for number, id_ in enumerate(sorted(graph.nodes))}
    layout = place(graph, sizes)
    boxes = {id_: (*layout.corners[id_], layout.widths[id_], 70.0) for id_ in graph.nodes}
    for one, other in itertools.combinations(boxes.values(), 2):
        beside = one[0] + one[2] <= other[0] or other[0] + other[2] <= one[0]
        assert beside or abs(one[1] - other[1]) >= 70.0 + GAP - 1e-6
    for points in layout.paths.values():
        for (x, y), (next_x, next_y) in itertools.pairwise(points):
            assert next_x > x
            if y == next_y:
                crossed = [box for box in boxes.values() if x < box[0] + box[2] and box[0] < next_x]
                assert all(y <= box[1] or y >= box[1] + box[3] for box in crossed)
    for x, y, width, height in boxes.values():
        assert x >= 0
        assert y >= -1e-6
        assert x + width <= layout.width + 1e-6
        assert y + height <= layout.height + 1e-6
    shuffled = Graph()
    for id_ in chance.sample(sorted(graph.nodes), len(graph.nodes)):
        shuffled.add(graph.nodes[id_])
    for ends in chance.sample(sorted(graph.edges), len(graph.edges)):
        shuffled.connect(*ends)
    assert place(shuffled, sizes) == layout


def test_a_chain_with_a_second_branch_runs_level() -> None:
    graph = graph_of([(0, 1), (1, 2), (2, 3), (4, 3)], 5)
    layout = place(graph, dict.fromkeys(graph.nodes, (100.0, 70.0)))
    chain = [layout.corners[id_][1] for id_ in sorted(graph.nodes, key=lambda id_: id_.name)[:4]]
    assert len(set(chain)) == 1


def test_what_was_read_replaces_what_could_not_be() -> None:
    graph, id_ = Graph(), Id(Kind.EXPERIMENT, "1")
    for node in (missing(id_, "down"), Node(id_, "read"), missing(id_, "down")):
        graph.add(node)
    assert graph.nodes[id_].title == "read"


COMMIT = {"repo": "default/fmnist-train", "branch": "master", "commit": "a" * 32}


documents = st.recursive(
    st.none() | st.text(max_size=9), lambda part: st.lists(part) | st.dictionaries(st.text(), part), max_leaves=6
)


@settings(max_examples=50)
@given(documents)
def test_references_are_found_wherever_they_stand(other: Any) -> None:
    document = {"data_train": COMMIT, "more": [other, {"deep": {"data_feedback": [COMMIT]}}], "data_none": None}
    found = [(label, id_) for label, id_ in references(document) if id_.name.endswith("a" * 32)]
    assert found == [("train", commit_id("fmnist-train", "a" * 32)), ("feedback", commit_id("fmnist-train", "a" * 32))]


def test_a_reference_can_be_a_text() -> None:
    gate = {"without_near_duplicates": {"index": "fmnist-leakage@" + "a" * 32, "accuracy": 0.9}, "by": "fmnist@master"}
    assert list(references(gate)) == [("index", commit_id("fmnist-leakage", "a" * 32))]


def test_a_run_on_a_folder_has_no_reference() -> None:
    assert list(references({"data_train": {"repo": None, "branch": None, "commit": None}})) == []


def small(text: str = "fine") -> Lineage:
    """A commit, a job that cannot be read, and a version that was asked for."""
    graph = Graph()
    raw, job, version = commit_id("raw", "a" * 32), Id(Kind.JOB, "p@" + "b" * 32), version_id("m", 3)
    files = [{"name": "/x.gz", "size": 26421880, "sha256": "3" * 64, "content": "as published"}]
    graph.add(Node(raw, "raw", "a" * 12, "26.4 MB", State.GOOD, {"commit": "a" * 32, "files": files, "text": text}))
    graph.add(missing(job, "Pachyderm does not answer", "p", "b" * 12))
    graph.add(Node(version, text, "version 3", "passed", State.GOOD, {"gate": {"passed": True}}, {"config": "c" * 64}))
    graph.connect(raw, job)
    graph.connect(job, version, "judged on (test)")
    graph.problems["Pachyderm"] = "it does not answer"
    return Lineage(graph, {version})


def printed(lineage: Lineage) -> str:
    stream = io.StringIO()
    show(lineage, Console(file=stream, width=100, highlight=False))
    return stream.getvalue()


def test_the_table_shows_whole_ids_short_hashes_reasons_and_what_was_asked_for() -> None:
    text = printed(small())
    assert "a" * 32 in text
    assert "26.4 MB sha256 333333333333… as published" in text
    assert "unknown: Pachyderm does not answer" in text
    assert "(asked for)" in text
    assert "p bbbbbbbbbbbb, judged on (test)" in text
    assert "not everything is known: Pachyderm: it does not answer" in text


def test_what_was_made_from_the_asked_thing_is_listed() -> None:
    graph = small().graph
    lineage = Lineage(graph, {commit_id("raw", "a" * 32)})
    assert lineage.affected() == {Kind.JOB: ["p@" + "b" * 32], Kind.VERSION: ["m version 3"]}
    _, below = printed(lineage).split("made from it")
    assert re.search(r"model version +m version 3", below)
    assert "made from it" not in printed(small())


def test_json_says_unknown_with_the_reason() -> None:
    document = json.loads(json.dumps(table.document(small())))
    raw, job, version = document["stations"]
    assert raw["files"][0]["sha256"] == "3" * 64
    assert job["unknown"] == {"unknown": "Pachyderm does not answer"}
    assert version["config"] == "c" * 64
    assert document["asked"] == [{"kind": "model version", "name": "m version 3"}]
    assert [edge["label"] for edge in document["edges"]] == ["", "judged on (test)"]


@settings(max_examples=30)
@given(st.text())
def test_any_text_makes_a_table_and_well_formed_pictures(text: str) -> None:
    lineage = small(text)
    printed(lineage).encode()
    tree = ElementTree.fromstring(picture.svg(lineage))
    assert len(tree.findall(f".//{SVG}rect[@class='box']")) == 3
    picture.page(lineage).encode()


def test_nobody_s_name_is_markup() -> None:
    lineage = small("<script>alert(1)</script>[red]")
    assert "<script>" not in picture.page(lineage) + picture.svg(lineage)
    assert "[red]" in printed(lineage)


def test_the_picture_has_whole_ids_as_tooltips_marks_and_reasons() -> None:
    lineage = small()
    tree = ElementTree.fromstring(picture.svg(lineage))
    tooltips = [title.text or "" for title in tree.findall(f".//{SVG}g/{SVG}title")]
    assert any("a" * 32 in text and "3" * 64 in text for text in tooltips)
    assert len(tree.findall(f".//{SVG}g[@class='determined asked']")) == 1
    assert len(tree.findall(f".//{SVG}g[@class='pachyderm unread']")) == 1
    assert "it does not answer" in "".join(tree.itertext())
    assert "c" * 64 in picture.page(lineage)
    assert picture.svg(lineage) == picture.svg(lineage)


TAGS = {"model_name": "fashion-classifier", "model_version": "3", "checkpoint": "u-1", "data_commit": "d" * 32}


def served(checkpoint: str) -> Graph:
    """Version 3 in the registry, and in a live predictor."""
    graph = Graph()
    version = version_id("fashion-classifier", 3)
    graph.add(Node(version, "fashion-classifier", details={"checkpoint": checkpoint}))
    graph.connect(Id(Kind.CHECKPOINT, checkpoint), version)
    labels = {"model-version": "3", "checkpoint": checkpoint}
    graph.add(Node(Id(Kind.DEPLOYMENT, "default/f/default"), "f", facts={"labels": labels}, details={"main": True}))
    graph.connect(version, Id(Kind.DEPLOYMENT, "default/f/default"))
    return graph


def test_an_answer_leads_through_the_live_predictor_to_its_version() -> None:
    graph = served("u-1")
    answer = serving.add_answer(graph, json.dumps({"meta": {"puid": "p1", "tags": TAGS}}))
    assert graph.sources(answer) == [Id(Kind.DEPLOYMENT, "default/f/default")]
    assert version_id("fashion-classifier", 3) in graph.upstream([answer])
    assert serving.production(graph) == version_id("fashion-classifier", 3)


def test_an_answer_of_a_version_that_is_another_one_here_is_not_linked_to_it() -> None:
    graph = served("u-2")
    answer = serving.add_answer(graph, json.dumps({"meta": {"puid": "p1", "tags": TAGS}}))
    upstream = graph.upstream([answer])
    assert Id(Kind.CHECKPOINT, "u-1") in upstream
    assert version_id("fashion-classifier", 3) not in upstream
    (other,) = graph.sources(answer)
    assert "holds checkpoint u-2" in str(graph.nodes[other].facts["unknown"])
    assert "no live predictor" in str(graph.nodes[answer].facts["served by"])


def test_a_label_of_another_registry_is_not_production() -> None:
    graph = served("u-1")
    graph.edges = {ends: label for ends, label in graph.edges.items() if ends[0].kind is not Kind.VERSION}
    assert serving.production(graph) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"meta": {}}', '{"meta": {"tags": []}}', '{"meta": null}', '"x"'])
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(FmnistError, match=r"meta\.tags"):
        serving.add_answer(Graph(), text)


def test_labels_tags_and_image_labels_name_the_same_version() -> None:
    expected = (version_id("fashion-classifier", 3), Id(Kind.CHECKPOINT, "u-1"))
    assert names(TAGS) == expected
    assert names({"model-version": "3", "checkpoint": "u-1"}) == expected
    assert names({"model.name": "fashion-classifier", "model.version": "3", "model.checkpoint": "u-1"}) == expected
    assert names({}) == (None, None)


def test_without_a_configuration_of_pachyderm_its_commits_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACH_CONFIG", "/nowhere/config.json")
    graph, commit = Graph(), commit_id("fmnist-train", "0" * 32)
    commits = Commits(graph)
    with pytest.raises(PlatformUnreachable, match="set PACH_CONFIG"):
        commits.find(commit.name)
    assert commits.head_at("fmnist-train@master", datetime.now(UTC)) is None
    commits.follow({commit}, downstream=False)
    assert graph.nodes[commit].state is State.UNKNOWN
    assert "set PACH_CONFIG" in graph.problems["Pachyderm"]
