"""Documents from outside neither exhaust the stack nor grow by their aliases."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from localcluster.documents import DEPTH, Loader, TooDeep, check_json, from_yaml

LOADERS: list[Loader] = [yaml.SafeLoader, yaml.CSafeLoader]
VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(some.characters(codec="ascii", categories=["L", "P"])),
    lambda inner: (
        some.lists(inner, max_size=4) | some.dictionaries(some.text('abc[{"\\', max_size=3), inner, max_size=4)
    ),
)


@given(VALUES)
def test_what_people_write_is_read_as_it_is(value: Any) -> None:
    check_json(json.dumps(value))
    for loader in LOADERS:
        assert from_yaml(json.dumps(value), loader) == value


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_json_may_nest_so_deep_and_no_deeper(opening: str, closing: str) -> None:
    check_json(opening * DEPTH + "1" + closing * DEPTH)
    with pytest.raises(TooDeep, match=f"invalid character '\\{opening[0]}' exceeded max depth"):
        check_json(opening * (DEPTH + 1) + "1" + closing * (DEPTH + 1))


def test_brackets_in_texts_do_not_count() -> None:
    check_json(json.dumps({"a": '[{"' * 10 * DEPTH + "\\"}))


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("length", [DEPTH + 1, 100_000])
def test_yaml_that_nests_too_deep_is_refused(loader: Loader, length: int) -> None:
    with pytest.raises(yaml.YAMLError, match=f"exceeded max depth of {DEPTH}"):
        from_yaml("[" * length, loader)


@pytest.mark.parametrize("loader", LOADERS)
def test_aliases_stand_for_few_nodes_only(loader: Loader) -> None:
    assert from_yaml("a: &a [1, {b: 2}]\nc: [*a, *a]\nd: &d x\ne: *d", loader) == {
        "a": [1, {"b": 2}], "c": [[1, {"b": 2}]] * 2, "d": "x", "e": "x",
    }  # fmt: skip
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]
    with pytest.raises(yaml.YAMLError, match="document contains excessive aliasing"):
        from_yaml("\n".join(lines), loader)


@pytest.mark.parametrize("text", ["&a [*a]", "a: &a {b: [*a]}"])
@pytest.mark.parametrize("loader", LOADERS)
def test_a_value_cannot_contain_itself(loader: Loader, text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="anchor 'a' value contains itself"):
        from_yaml(text, loader)


@pytest.mark.parametrize("text", ["2020-01-01: x", "? [1]\n: x", "*nowhere", "a: ["])
@pytest.mark.parametrize("loader", LOADERS)
def test_what_json_cannot_say_is_a_mistake_of_the_yaml(loader: Loader, text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        from_yaml(text, loader)
