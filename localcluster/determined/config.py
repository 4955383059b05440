"""Experiment configurations: read, checked and completed as the real master does, with messages that name the key."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from localcluster.determined import schema
from localcluster.determined.errors import InvalidArgument
from localcluster.determined.schema import SCHEMA
from localcluster.determined.searcher.hparams import size
from localcluster.documents import from_yaml

_METHODS: dict[str, Any] = SCHEMA["definitions"]["methods"]
_AXES: dict[str, Any] = SCHEMA["definitions"]["axes"]
_MAX_POINTS = _METHODS["random"]["properties"]["max_trials"]["maximum"]
_JOINED = ("bind_mounts", "environment_variables", "labels")
_RETIRED = ("custom", "sync_halving", "adaptive", "adaptive_simple")


def complete(text: str, checkpoints: Path, slots: int) -> dict[str, Any]:
    """Parse a YAML configuration and fill in what it leaves out.

    `checkpoints` is the directory used where the configuration names no storage, `slots` what the machine has.
    Raises InvalidArgument naming every offending key.
    """
    config = _parsed(text)
    schema.drop_nulls(config, SCHEMA)
    problems = list(schema.problems(config, SCHEMA, "<config>"))
    if isinstance(config.get("searcher"), dict):
        problems += _searcher_problems(config["searcher"])
    _refuse(problems)
    schema.fill(config, SCHEMA)
    schema.fill(config["searcher"], _searcher_schema(config["searcher"]))
    config["reproducibility"].setdefault("experiment_seed", secrets.randbelow(2**31))
    config.setdefault("name", f"Experiment {secrets.token_hex(4)}")
    space, grid = config["hyperparameters"], config["searcher"]["name"] == "grid"
    problems = [
        *_space_problems(space, "<config>.hyperparameters", grid),
        *_resource_problems(config["resources"], slots),
        *_storage_problems(config["checkpoint_storage"], checkpoints),
    ]
    if grid and not problems and size(space) > _MAX_POINTS:
        problems.append(f"<config>.hyperparameters: the grid has {size(space)} points, more than {_MAX_POINTS}")
    _refuse(problems)
    config["hyperparameters"] = _explicit(space)
    return config


def read(text: str) -> Any:
    """What a YAML text says; raises yaml.YAMLError."""
    return from_yaml(text, _Loader)


def _parsed(text: str) -> dict[str, Any]:
    try:
        config = read(text)
    except yaml.YAMLError as error:
        raise InvalidArgument(f"invalid experiment configuration: not YAML: {error}") from error
    if not isinstance(config, dict):
        raise InvalidArgument("invalid experiment configuration: it must be a mapping of keys to values")
    return config


class _Loader(yaml.SafeLoader):
    """YAML as the real master reads it, where 1e-3 is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _refuse(problems: list[str]) -> None:
    if problems:
        raise InvalidArgument("invalid experiment configuration: " + "; ".join(dict.fromkeys(problems)))


def merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `override` laid over it, mapping by mapping.

    As upstream, some lists are joined, and a mapping of another `type` replaces the old one as a whole.
    """
    merged = dict(base)
    for key, value in override.items():
        old = merged.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and value.get("type", old.get("type")) == old.get("type"):
            merged[key] = merge(old, value)
        elif key in _JOINED and isinstance(value, list) and isinstance(old, list):
            merged[key] = [*(entry for entry in old if entry not in value), *value]
        else:
            merged[key] = value
    return merged


def trial_variables(config: dict[str, Any]) -> dict[str, str]:
    """Return the variables that `environment.environment_variables` gives to the trials (CPU where they differ)."""
    given = config["environment"]["environment_variables"]
    entries = given.get("cpu", []) if isinstance(given, dict) else given
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


def _searcher_schema(searcher: dict[str, Any]) -> dict[str, Any]:
    common, method = SCHEMA["definitions"]["searcher"], _METHODS[searcher["name"]]
    return {
        **common,
        "required": [*common["required"], *method.get("required", [])],
        "properties": {**common["properties"], **method["properties"]},
    }


def _searcher_problems(searcher: dict[str, Any]) -> Iterator[str]:
    name, where = searcher.get("name"), "<config>.searcher"
    if name in _RETIRED:
        yield f"{where}.name: the {name!r} searcher has been removed; use one of {', '.join(_METHODS)}"
    elif not isinstance(name, str) or name not in _METHODS:
        yield f"{where}.name: {name!r} is none of {', '.join(_METHODS)}"
    else:
        rules = _searcher_schema(searcher)
        schema.drop_nulls(searcher, rules)
        yield from schema.problems(searcher, rules, where)
        if "max_time" in rules["required"] and "max_length" in searcher and "max_time" not in searcher:
            yield f"{where}.max_length: was replaced by time_metric (such as batches or epochs) and max_time"
    if "source_trial_id" in searcher and "source_checkpoint_uuid" in searcher:
        yield f"{where}: at most one of source_trial_id and source_checkpoint_uuid may be set"


def _space_problems(space: dict[str, Any], where: str, grid: bool) -> Iterator[str]:
    """Complete the axes of `space` in place; `grid`: all of them need a count."""
    for name, axis in space.items():
        path = f"{where}.{name}"
        if not isinstance(axis, dict):
            continue
        kind = axis.get("type")
        if "type" not in axis:
            yield from _space_problems(axis, path, grid)
        elif not isinstance(kind, str) or kind not in _AXES:
            yield f"{path}.type: {kind!r} is none of {', '.join(_AXES)}"
        else:
            yield from _axis_problems(axis, path, grid)


def _explicit(space: dict[str, Any]) -> dict[str, Any]:
    """The space with its constants as axes of their own, as the real master answers and hands it to trials."""
    return {name: _constant(axis) for name, axis in space.items()}


def _constant(axis: Any) -> dict[str, Any]:
    if not isinstance(axis, dict):
        return {"type": "const", "val": axis}
    return axis if "type" in axis else _explicit(axis)


def _axis_problems(axis: dict[str, Any], path: str, grid: bool) -> Iterator[str]:
    rules = _AXES[axis["type"]]
    if axis["type"] != "const":  # whose value may be null
        schema.drop_nulls(axis, rules)
    found = list(schema.problems(axis, rules, path))
    yield from found
    if found or "minval" not in axis:
        return
    schema.fill(axis, rules)
    ends = axis["minval"], axis["maxval"]
    if not ends[0] < ends[1]:
        yield f"{path}: minval must be less than maxval, but {ends[0]} is not less than {ends[1]}"
    elif axis["type"] == "log" and max(end * math.log(axis["base"]) for end in ends) > math.log(1e308):
        yield f"{path}: base {axis['base']} to the power of minval or maxval is too large a number"
    if grid and "count" not in axis:
        yield f"{path}.count: grid search is in use but count was not provided"


def _resource_problems(resources: dict[str, Any], slots: int) -> Iterator[str]:
    wanted = resources["slots_per_trial"]
    if wanted > slots:
        yield (
            f"<config>.resources.slots_per_trial: {wanted} slots can never be given, this machine has {slots}"
            " (LOCALCLUSTER_DETERMINED_SLOTS makes more)"
        )


def _storage_problems(storage: dict[str, Any], checkpoints: Path) -> Iterator[str]:
    needed = "host_path" if storage.setdefault("type", "directory") == "shared_fs" else "container_path"
    if needed == "container_path":
        storage.setdefault(needed, str(checkpoints))
    if not Path(storage.get(needed) or "").is_absolute():
        yield f"<config>.checkpoint_storage.{needed}: an absolute path is required by type {storage['type']}"


def storage_root(config: dict[str, Any]) -> Path:
    """Return the directory that holds the checkpoints' directories."""
    storage = config["checkpoint_storage"]
    if storage["type"] == "directory":
        return Path(storage["container_path"])
    inner = storage.get("storage_path") or storage.get("checkpoint_path") or ""
    return Path(storage["host_path"]) / inner


def for_trial(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration that the harness sees: without containers, `shared_fs` is a plain directory."""
    storage = config["checkpoint_storage"]
    policy = {key: value for key, value in storage.items() if key.startswith("save_")}
    return {
        **config,
        "checkpoint_storage": {"type": "directory", "container_path": str(storage_root(config)), **policy},
    }
