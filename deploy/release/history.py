"""What was deployed when, and what became of it: the ConfigMap `fashion-classifier-deployments`, newest first.

`make rollback` reads it.  Kept on the cluster, beside what it speaks of, so that any machine finds the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from deploy.release import kubectl
from deploy.release.errors import DeployError

NAME = "fashion-classifier-deployments"
KEPT = 20
"""Entries of each verdict, so that refusals never push out what rollback goes back to.  A ConfigMap holds 1 MiB."""

LIVE, REFUSED = "live", "refused"
_KEY = "history.json"
_ATTEMPTS = 5
_RACES = ("Conflict", "AlreadyExists")


@dataclass(frozen=True)
class Entry:
    """One deployment: by `action` deploy, release or rollback; `verdict` live, or refused for the `reason`."""

    time: str
    action: str
    verdict: str
    reason: str
    version: str | None
    checkpoint: str | None
    image: str
    git_commit: str | None
    data_commit: str | None

    @classmethod
    def of(cls, action: str, image: Mapping[str, Any], verdict: str = LIVE, reason: str = "") -> Entry:
        """From what `make image` wrote, or `phases.image_of` read."""
        version = image.get("model_version")
        return cls(
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            action=action,
            verdict=verdict,
            reason=reason,
            version=None if version is None else str(version),
            checkpoint=image.get("checkpoint_uuid"),
            image=image["reference"],
            git_commit=image.get("revision"),
            data_commit=image.get("data_commit"),
        )

    def as_image(self) -> dict[str, Any]:
        """What `manifest.render` needs to deploy it again."""
        return {
            "reference": self.image,
            "digest": self.image.partition("@")[2],
            "model_version": self.version,
            "checkpoint_uuid": self.checkpoint,
            "data_commit": self.data_commit,
            "revision": self.git_commit,
        }


def read(namespace: str) -> list[Entry]:
    """All entries, newest first.  Raises DeployError where they cannot be read."""
    return _entries(kubectl.find_object("configmap", NAME, "-n", namespace))


def add(namespace: str, entry: Entry) -> None:
    """Put an entry in front; nobody's entry is lost where two write at once.  Raises DeployError."""
    for attempt in range(1, _ATTEMPTS + 1):
        found = kubectl.find_object("configmap", NAME, "-n", namespace)
        text = json.dumps([asdict(each) for each in _bounded([entry, *_entries(found)])], indent=1)
        try:
            _write(namespace, found, text)
        except DeployError as error:
            if attempt == _ATTEMPTS or not any(word in str(error) for word in _RACES):
                raise
        else:
            return


def was_live(entries: Sequence[Entry], reference: str) -> bool:
    """Whether a deployment of this image came to its end."""
    return any(entry.verdict == LIVE and entry.image == reference for entry in entries)


def previous(entries: Sequence[Entry], reference: str | None, version: str | None) -> Entry | None:
    """The newest entry that was live with another image than `reference` (of `version`, if given)."""
    for entry in entries:
        fits = entry.version == version if version else entry.image != reference
        if entry.verdict == LIVE and fits:
            return entry
    return None


def _bounded(entries: Sequence[Entry]) -> list[Entry]:
    counts: Counter[str] = Counter()
    kept = []
    for entry in entries:
        counts[entry.verdict] += 1
        if counts[entry.verdict] <= KEPT:
            kept.append(entry)
    return kept


def _write(namespace: str, found: Mapping[str, Any] | None, text: str) -> None:
    fresh = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": namespace}}
    verb = "replace" if found else "create"
    kubectl.run(verb, "-f", "-", stdin=json.dumps({**(found or fresh), "data": {_KEY: text}}))


def _entries(found: Mapping[str, Any] | None) -> list[Entry]:
    try:
        raw = json.loads((found or {}).get("data", {}).get(_KEY, "[]"))
        known = [field.name for field in fields(Entry)]
        return [Entry(**{name: each[name] for name in known}) for each in raw]
    except (ValueError, TypeError, KeyError) as error:
        raise DeployError(
            f"ConfigMap {NAME} is damaged ({error!r}); look at it with kubectl get configmap {NAME} -o yaml, "
            "and delete it to begin a new history"
        ) from error
