"""Patches, as pure functions: properties that hold for any document, and the rules of each format."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localcluster.kubernetes.state.patches import CannotApply, CannotMerge, json_patch, merge, strategic
from localcluster.kubernetes.state.schema import reference

KEYS = st.text(alphabet="abc", min_size=1, max_size=2)
LEAVES = st.one_of(st.integers(), st.booleans(), st.text(max_size=3), st.lists(st.integers(), max_size=3))
DOCUMENTS = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=3),
    lambda inner: st.dictionaries(KEYS, st.one_of(inner, LEAVES), max_size=3),
    max_leaves=6,
)
POD_SPEC, CONTAINER = reference("io.k8s.api.core.v1.PodSpec"), reference("io.k8s.api.core.v1.Container")
BUSY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def difference(old: Any, new: Any) -> Any:
    """The merge patch that leads from one document to the other."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            patch[key] = difference(old[key], value)
        elif key not in old or old[key] != value or type(old[key]) is not type(value):
            patch[key] = value
    return patch


@BUSY_MACHINE
@given(DOCUMENTS, DOCUMENTS)
def test_a_merge_patch_leads_where_it_was_made_for(old: Any, new: Any) -> None:
    assert merge(old, difference(old, new)) == new


@BUSY_MACHINE
@given(DOCUMENTS, DOCUMENTS)
def test_patching_leaves_its_input_alone_and_again_changes_nothing(old: Any, patch: Any) -> None:
    before = repr(old)
    once = merge(old, patch)
    assert merge(once, patch) == once
    once = strategic(old, patch, {})
    assert strategic(once, patch, {}) == once
    assert repr(old) == before


def test_strategic_lists_merge_by_key() -> None:
    old = {"containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]}
    patch = {
        "$setElementOrder/containers": [{"name": "a"}],
        "containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}, {"name": "b", "$patch": "delete"}],
    }
    assert strategic(old, patch, POD_SPEC) == {
        "containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}]
    }
    ports = {"ports": [{"containerPort": 1, "name": "x"}]}
    assert strategic(ports, {"ports": [{"containerPort": 1, "name": "y"}]}, CONTAINER) == {
        "ports": [{"containerPort": 1, "name": "y"}]
    }
    assert strategic({"a": {"b": 1}}, {"a": {"$patch": "replace", "c": 2}}, {}) == {"a": {"c": 2}}
    assert strategic({"f": ["x", "y"]}, {"$deleteFromPrimitiveList/f": ["x"]}, {}) == {"f": ["y"]}
    assert strategic({"args": ["x"]}, {"args": ["y"]}, CONTAINER) == {"args": ["y"]}


def test_json_patch_operations() -> None:
    document = {"a": [1, 2], "b": {"x/y": 1}}
    operations = [
        {"op": "test", "path": "/a/0", "value": 1},
        {"op": "add", "path": "/a/-", "value": 3},
        {"op": "replace", "path": "/b/x~1y", "value": 2},
        {"op": "copy", "from": "/a", "path": "/c"},
        {"op": "move", "from": "/c/0", "path": "/d"},
        {"op": "remove", "path": "/a/1"},
    ]
    assert json_patch(document, operations) == {"a": [1, 3], "b": {"x/y": 2}, "c": [2, 3], "d": 1}
    assert document == {"a": [1, 2], "b": {"x/y": 1}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "remove", "path": "/absent"},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "fly", "path": "/a"},
        {"path": "/a"},
        7,
    ],
)
def test_a_json_patch_that_cannot_be_carried_out_is_refused(operation: Any) -> None:
    with pytest.raises(CannotApply, match="patch operation 0"):
        json_patch({"a": 1, "list": []}, [operation])


def test_a_json_patch_is_as_lenient_as_the_api_servers() -> None:
    assert json_patch({"a": 1}, [{"op": "replace", "path": "/b", "value": 2}]) == {"a": 1, "b": 2}
    assert json_patch({"a": 1}, [{"op": "add", "path": "/b"}]) == {"a": 1, "b": None}
    assert json_patch({"a": 1}, [{"op": "move", "from": "/c", "path": "/b"}]) == {"a": 1, "b": None}


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"a": {"$patch": "bogus"}}, r"unknown patch type: bogus in map: map\[\$patch:bogus\]"),
        ({"containers": [{"image": "x"}]}, r"map: map\[image:x\] does not contain declared merge key: name"),
    ],
)
def test_a_strategic_patch_that_cannot_be_merged_is_refused(patch: Any, words: str) -> None:
    with pytest.raises(CannotMerge, match=words):
        strategic({"a": {}, "containers": [{"name": "m"}]}, patch, POD_SPEC)


@pytest.mark.slow
def test_copies_that_double_come_to_an_end() -> None:
    doubling = {"op": "copy", "from": "/a", "path": "/a/-"}
    assert len(json_patch({"a": ["x"]}, [doubling] * 10)["a"]) == 11
    with pytest.raises(CannotApply, match="exceeding 3145728"):
        json_patch({"a": ["x"]}, [doubling] * 100)
