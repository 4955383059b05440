"""Specifications: however a document is spelled it means the same, and what is wrong is named by its path."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pachyderm_sdk.api import pps

from localcluster.pachyderm.errors import BadSpec, PachdError, Unimplemented
from localcluster.pachyderm.specs import spec as specs
from localcluster.pachyderm.specs.effective import effective
from localcluster.pachyderm.specs.schema import canonical, json_name
from localcluster.pachyderm.specs.spec import Cross, Pfs, Union

NAMES = st.text("abcxyz019-_", min_size=1, max_size=20).filter(lambda name: name[0].isalnum())
TEXTS = st.text(max_size=20)
SECONDS = st.integers(1, 10**6).map(lambda seconds: f"{seconds}s")
INPUTS = st.recursive(
    st.fixed_dictionaries(
        {"repo": NAMES, "glob": st.sampled_from(["/", "/*", "/a/**"])},
        optional={"branch": NAMES, "empty_files": st.booleans(), "lazy": st.booleans()},
    ).map(lambda pfs: {"pfs": pfs}),
    lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
        lambda inputs: st.sampled_from([{"cross": inputs}, {"union": inputs}])
    ),
    max_leaves=5,
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "pipeline": NAMES.map(lambda name: {"name": name}),
        "transform": st.fixed_dictionaries(
            {"cmd": st.lists(TEXTS, min_size=1, max_size=3)},
            optional={
                "stdin": st.lists(TEXTS, max_size=3),
                "env": st.dictionaries(NAMES, TEXTS, max_size=3),
                "accept_return_code": st.lists(st.integers(0, 255), max_size=3),
                "working_dir": TEXTS,
            },
        ),
        "input": INPUTS,
    },
    optional={
        "description": TEXTS,
        "datum_tries": st.integers(1, 9),
        "datum_timeout": SECONDS,
        "job_timeout": SECONDS,
        "parallelism_spec": st.integers(1, 9).map(lambda number: {"constant": number}),
        "reprocess_spec": st.sampled_from(["until_success", "every_job"]),
        "output_branch": NAMES,
    },
)
MINIMAL = {"pipeline": {"name": "p"}, "transform": {"cmd": ["true"]}, "input": {"pfs": {"repo": "a", "glob": "/"}}}


def numbered(document: Any) -> Any:
    """The document with an input name of its own for each PFS input."""
    document = copy.deepcopy(document)
    for number, pfs in enumerate(_leaves(document["input"])):
        pfs["name"] = f"in{number}"
    return document


def _leaves(node: dict[str, Any]) -> list[dict[str, Any]]:
    if "pfs" in node:
        return [node["pfs"]]
    return [leaf for children in node.values() for child in children for leaf in _leaves(child)]


def _camel(node: Any) -> Any:
    if isinstance(node, list):
        return [_camel(item) for item in node]
    if isinstance(node, dict):
        return {json_name(key): value if key == "env" else _camel(value) for key, value in node.items()}
    return node


def _objects(node: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every message of a document with its path."""
    if isinstance(node, list):
        return [found for at, item in enumerate(node) for found in _objects(item, f"{path}[{at}]")]
    if not isinstance(node, dict):
        return []
    below = [_objects(value, f"{path}.{key}".lstrip(".")) for key, value in node.items() if key != "env"]
    return [(path, node), *(found for part in below for found in part)]


@settings(max_examples=50, deadline=None)
@given(DOCUMENTS.map(numbered))
def test_both_spellings_mean_the_same(document: Any) -> None:
    assert specs.parse(document) == specs.parse(_camel(document))


@settings(max_examples=50, deadline=None)
@given(DOCUMENTS.map(numbered))
def test_an_effective_specification_is_its_own(document: Any) -> None:
    merged = effective(document)
    assert effective(merged) == merged
    assert specs.parse(merged) == specs.parse(document)


@settings(max_examples=50, deadline=None)
@given(DOCUMENTS.map(numbered))
def test_the_message_that_the_sdk_sends_means_the_same(document: Any) -> None:
    message = pps.CreatePipelineRequest().from_dict(canonical(pps.CreatePipelineRequest, document))
    assert specs.parse(pps.CreatePipelineRequest.FromString(bytes(message)).to_dict()) == specs.parse(document)


@settings(max_examples=50, deadline=None)
@given(DOCUMENTS.map(numbered), st.data())
def test_an_unknown_field_is_named_by_its_path(document: Any, data: st.DataObject) -> None:
    path, place = data.draw(st.sampled_from(_objects(document)))
    place["colour"] = 1
    with pytest.raises(BadSpec) as caught:
        specs.parse(document)
    assert f'(at {f"{path}.colour".lstrip(".")}): unknown field "colour"' in str(caught.value)


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["pipeline", "name", "transform", "cmd", "env", "input", "pfs", "cross", "datumTries"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(document: Any) -> None:
    with suppress(PachdError):
        specs.parse(document)


def test_the_tree_of_inputs() -> None:
    one, two = ({"pfs": {"repo": name, "glob": "//x/"}} for name in ("b", "a"))
    document = {
        "pipeline": {"name": "p", "project": {"name": "mine"}},
        "transform": {"cmd": ["true"]},
        "input": {"cross": [one, {"union": [two, {"pfs": {"repo": "a", "glob": "/", "project": "other"}}]}]},
    }
    tree = specs.parse(document).input
    assert isinstance(tree, Cross)
    union, pfs = tree.inputs
    assert isinstance(union, Union)
    assert isinstance(pfs, Pfs)
    assert (pfs.name, str(pfs.repo), pfs.branch, pfs.glob) == ("b", "mine/b", "master", "/x")
    assert [str(source.repo) for source in union.inputs if isinstance(source, Pfs)] == ["mine/a", "other/a"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"input": {"join": [{"pfs": {"repo": "a", "glob": "/"}}]}}, "input.join"),
        ({"input": {"group": [{"pfs": {"repo": "a", "glob": "/"}}]}}, "input.group"),
        ({"input": {"cross": [{"cron": {"name": "tick", "spec": "@daily"}}]}}, "input.cross[0].cron"),
        ({"input": {"pfs": {"repo": "a", "glob": "/", "s3": True}}}, "input.pfs.s3"),
        ({"s3_out": True}, "s3_out"),
        ({"egress": {"URL": "s3://x"}}, "egress"),
        ({"spout": {"service": {"internal_port": 1}}}, "spout"),
        ({"service": {"internal_port": 1}}, "service"),
        ({"transform": {"cmd": ["x"], "secrets": [{"name": "s", "mount_path": "/s"}]}}, "transform.secrets"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_served_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Unimplemented, match=field.replace("[", r"\[")):
        specs.parse(MINIMAL | change)


@pytest.mark.parametrize("name", ["..", ".", "out", ".env", "a/b", "../../up", "/etc", "x=y", "n\0l", "n" * 300])
def test_an_input_is_one_directory_below_pfs(name: str) -> None:
    with pytest.raises(PachdError, match="input cannot be named"):
        specs.parse(MINIMAL | {"input": {"pfs": {"repo": "a", "glob": "/", "name": name}}})


@pytest.mark.parametrize("glob", ["/" + "{a,b}" * 25, "/{1..100000000}", "/" + "{a," * 2000])
def test_a_glob_without_bounds_is_refused(glob: str) -> None:
    with pytest.raises(PachdError, match="cannot compile glob"):
        specs.parse(MINIMAL | {"input": {"pfs": {"repo": "a", "glob": glob}}})


@pytest.mark.parametrize(
    "change",
    [
        {"datum_timeout": "315576000001s"},
        {"datum_timeout": "9" * 400 + "s"},
        {"job_timeout": "-1000000000000s"},
        {"datum_tries": 10**30},
        {"datum_tries": str(2**63)},
        {"parallelism_spec": {"constant": 2**64}},
        {"parallelism_spec": {"constant": -1}},
        {"transform": {"cmd": ["x"], "accept_return_code": [10**20]}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_numbers_out_of_their_types_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadSpec, match=r"invalid|out of range"):
        specs.parse(MINIMAL | change)


def test_a_datum_is_tried_at_least_once() -> None:
    assert specs.parse(MINIMAL | {"datum_tries": -1}).datum_tries == 1


def test_deep_nesting_is_refused() -> None:
    tree: dict[str, Any] = {"pfs": {"repo": "a", "glob": "/"}}
    for _ in range(300):
        tree = {"cross": [tree]}
    with pytest.raises(BadSpec, match="exceeded max recursion depth"):
        specs.parse(MINIMAL | {"input": tree})
