"""Experiment configurations: read, checked and completed as the real master does, with messages that name the key."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from localcluster.determined.errors import InvalidArgument
from localcluster.determined.searcher.hparams import KINDS

_SCHEMA: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "config_schema.yaml").read_text())
_METHODS: dict[str, Any] = _SCHEMA["definitions"]["methods"]
_RETIRED = {"custom", "sync_halving", "adaptive", "adaptive_simple"}


def complete(text: str, checkpoints: Path, slots: int) -> dict[str, Any]:
    """Parse a YAML configuration and fill in what it leaves out.

    `checkpoints` is the directory used where the configuration names no storage, `slots` what the machine has.
    Raises InvalidArgument naming every offending key.
    """
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidArgument(f"invalid experiment configuration: not YAML: {error}") from error
    if not isinstance(config, dict):
        raise InvalidArgument("invalid experiment configuration: it must be a mapping of keys to values")
    config = copy.deepcopy(config)
    problems = list(_problems(config, _SCHEMA, "<config>"))
    if isinstance(config.get("searcher"), dict):
        problems += _searcher_problems(config["searcher"])
    if problems:
        raise InvalidArgument("invalid experiment configuration: " + "; ".join(dict.fromkeys(problems)))
    _fill(config, _SCHEMA)
    _fill(config["searcher"], _searcher_schema(config["searcher"]["name"]))
    config["reproducibility"].setdefault("experiment_seed", secrets.randbelow(2**31))
    config.setdefault("name", f"Experiment {secrets.token_hex(4)}")
    problems = [
        *_hyperparameter_problems(
            config["hyperparameters"], "<config>.hyperparameters", config["searcher"]["name"] == "grid"
        ),
        *_resource_problems(config["resources"], slots),
        *_storage_problems(config["checkpoint_storage"], checkpoints),
    ]
    if problems:
        raise InvalidArgument("invalid experiment configuration: " + "; ".join(problems))
    return config


def merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `override` laid over it, mapping by mapping."""
    merged = dict(base)
    for key, value in override.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def trial_variables(config: dict[str, Any]) -> dict[str, str]:
    """Return the variables that `environment.environment_variables` gives to the trials (CPU where they differ)."""
    given = config["environment"]["environment_variables"]
    entries = given.get("cpu", []) if isinstance(given, dict) else given
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


def _searcher_schema(name: str) -> dict[str, Any]:
    common, method = _SCHEMA["definitions"]["searcher"], _METHODS[name]
    return {
        **common,
        "required": [*common["required"], *method.get("required", [])],
        "properties": {**common["properties"], **method.get("properties", {})},
    }


def _searcher_problems(searcher: dict[str, Any]) -> list[str]:
    name = searcher.get("name")
    where = "<config>.searcher"
    if name is None:
        return []
    if name in _RETIRED:
        return [f"{where}.name: the searcher {name!r} was retired; use one of {', '.join(_METHODS)}"]
    if name not in _METHODS:
        return [f"{where}.name: {name!r} is none of {', '.join(_METHODS)}"]
    problems = list(_problems(searcher, _searcher_schema(name), where))
    if searcher.get("source_trial_id") and searcher.get("source_checkpoint_uuid"):
        problems.append(f"{where}: at most one of source_trial_id and source_checkpoint_uuid may be set")
    return problems


def _problems(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
        path = where + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path)
        yield f"{path}: {error.message}"


def _fill(value: dict[str, Any], schema: dict[str, Any]) -> None:
    for key, part in schema.get("properties", {}).items():
        if key not in value and "default" in part:
            value[key] = copy.deepcopy(part["default"])
        if isinstance(value.get(key), dict):
            _fill(value[key], part)


def _hyperparameter_problems(space: dict[str, Any], where: str, in_grid: bool) -> Iterator[str]:
    for name, axis in space.items():
        path = f"{where}.{name}"
        if not isinstance(axis, dict):
            continue
        kind = axis.get("type")
        if kind is None:
            yield from _hyperparameter_problems(axis, path, in_grid)
        elif kind not in KINDS:
            yield f"{path}.type: {kind!r} is none of {', '.join(KINDS)}"
        else:
            yield from _axis_problems(axis, path, in_grid)


def _axis_problems(axis: dict[str, Any], path: str, in_grid: bool) -> Iterator[str]:
    kind = axis["type"]
    if kind == "const":
        if "val" not in axis:
            yield f"{path}.val: is required"
        return
    if kind == "categorical":
        if not isinstance(axis.get("vals"), list) or not axis["vals"]:
            yield f"{path}.vals: must be a list with at least one value"
        return
    number = int if kind == "int" else (int, float)
    bounds = [axis.get("minval"), axis.get("maxval")]
    if any(isinstance(bound, bool) or not isinstance(bound, number) for bound in bounds):
        yield f"{path}: minval and maxval are required and must be {'integers' if kind == 'int' else 'numbers'}"
    elif axis["minval"] > axis["maxval"]:
        yield f"{path}: minval {axis['minval']} is greater than maxval {axis['maxval']}"
    count = axis.get("count")
    if count is None and in_grid:
        yield f"{path}.count: is required by the grid searcher"
    if count is not None and (not isinstance(count, int) or count < 1):
        yield f"{path}.count: must be a positive integer"


def _resource_problems(resources: dict[str, Any], slots: int) -> Iterator[str]:
    wanted = resources["slots_per_trial"]
    if wanted > slots:
        yield (
            f"<config>.resources.slots_per_trial: {wanted} slots can never be given, this machine has {slots}"
            " (LOCALCLUSTER_DETERMINED_SLOTS makes more)"
        )


def _storage_problems(storage: dict[str, Any], checkpoints: Path) -> Iterator[str]:
    storage.setdefault("type", "directory")
    if storage["type"] == "directory":
        storage.setdefault("container_path", str(checkpoints))
        needed = "container_path"
    else:
        needed = "host_path"
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
