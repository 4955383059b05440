"""The identity of a training run: what went in, in a form that every later station can compare."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_IGNORED_FOLDERS = {"__pycache__"}
_IGNORED_SUFFIXES = {".pyc", ".pyo"}
_SETTINGS = ("data", "entrypoint", "hyperparameters", "reproducibility", "searcher")


def git_tree(folder: Path) -> str:
    """The id (SHA-1, hex) that git gives the tree of `folder`: equal to `git rev-parse HEAD:<folder>` when clean.

    Byte-compiled files are left out, as `det experiment create` and .gitignore leave them out.  Format: git-scm.com,
    "Git Internals - Git Objects".
    """
    return _tree(folder).hex()


def config_sha256(config: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over the parts of an experiment's configuration that decide what is trained.

    The master's defaults (storage, resources) and the submitter's own `data.provenance` do not count.
    """
    settings = {key: config[key] for key in _SETTINGS if key in config}
    if isinstance(settings.get("data"), Mapping):
        settings["data"] = {key: value for key, value in settings["data"].items() if key != "provenance"}
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def collect(
    *,
    config: Mapping[str, Any],
    data: Mapping[str, Any],
    source: Path,
    experiment_id: int,
    trial_id: int,
    seed: int,
) -> dict[str, Any]:
    """The provenance that the checkpoint and the exported model carry.

    `data` has a key for each commit that was read: data_train, data_feedback.  `config["data"]["provenance"]` holds
    what only the submitter's checkout knows (git commit, dirty flag, hash of the lock); it is null throughout where
    somebody ran `det experiment create` by hand.
    """
    submitted = (config.get("data") or {}).get("provenance") or {}
    return {
        **data,
        "git": {"commit": submitted.get("git_commit"), "dirty": submitted.get("git_dirty")},
        "source_tree": git_tree(source),
        "experiment_id": experiment_id,
        "trial_id": trial_id,
        "seed": seed,
        "config_sha256": config_sha256(config),
        "lock_sha256": submitted.get("lock_sha256"),
    }


def _tree(folder: Path) -> bytes:
    entries = []
    for path in folder.iterdir():
        if path.is_dir() and path.name not in _IGNORED_FOLDERS:
            if children := _tree(path):
                # git sorts a folder as if its name ended in a slash.
                entries.append((path.name.encode() + b"/", b"40000 " + path.name.encode() + b"\0" + children))
        elif path.is_file() and path.suffix not in _IGNORED_SUFFIXES:
            mode = b"100755 " if path.stat().st_mode & 0o100 else b"100644 "
            blob = _object(b"blob", path.read_bytes())
            entries.append((path.name.encode(), mode + path.name.encode() + b"\0" + blob))
    # git knows no empty folders.
    return _object(b"tree", b"".join(entry for _, entry in sorted(entries))) if entries else b""


def _object(kind: bytes, content: bytes) -> bytes:
    return hashlib.sha1(kind + b" %d\0" % len(content) + content, usedforsecurity=False).digest()
