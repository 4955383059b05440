"""Pachyderm's part of the chain: commits, their files, and the pipeline jobs between them, by commit provenance."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from data.catalog import FILES
from data.errors import IngestError
from data.ingest import connect
from fmnist.errors import FmnistError, PlatformUnreachable
from fmnist.lineage.graph import Graph, Id, Kind, Node, State, Unknown, commit_id, missing

HASHED = 64 * 1024 * 1024
"""Raw files of up to this many bytes are read to name their SHA-256; of larger ones only Pachyderm's hash is given."""
REPORT = "/report.json"
LISTED = 20
"""Files named for one commit; the rest is counted."""

_DATUMS = ("processed", "skipped", "failed", "recovered")
_COMMIT_ID = re.compile(r"[0-9a-f]{32}")
_PUBLISHED = {file.sha256: file.name for file in FILES}


class Commits:
    """Adds commits and jobs to `graph`, as far as pachd answers."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._infos: dict[Id, pfs.CommitInfo | None] = {}

    @cached_property
    def _client(self) -> Client:
        """Raises ConnectionError where there is no usable configuration: nobody answers then either."""
        try:
            return connect()
        except IngestError as error:
            raise ConnectionError(str(error)) from error

    def _silence(self, error: ConnectionError) -> str:
        """Why Pachyderm says nothing."""
        if isinstance(error.__cause__, IngestError):
            return str(error)
        return f"Pachyderm at {self._client.address} does not answer; is it up?"

    def find(self, text: str) -> list[Id]:
        """The commits that `[project/]repo@branch-or-commit`, or the bare id of a commit set, stands for.

        Raises FmnistError.
        """
        try:
            if _COMMIT_ID.fullmatch(text):
                infos = list(self._client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=text)))
            else:
                infos = [self._client.pfs.inspect_commit(commit=pfs.Commit.from_uri(text))]
        except ConnectionError as error:
            raise PlatformUnreachable(self._silence(error)) from error
        except (grpc.RpcError, ValueError) as error:
            raise FmnistError(f"{text}: {_words(error)}; see pachctl list commit") from error
        found = {_id(info.commit): info for info in infos if info.commit.repo.type == "user"}
        self._infos |= found
        return list(found)

    def head_at(self, reference: str, moment: datetime) -> Id | None:
        """The commit that `[project/]repo@branch-or-commit` meant at `moment` to training, or None.

        A branch means its newest commit that was there: one that a pipeline computes counts from its start.
        """
        try:
            info = self._client.pfs.inspect_commit(commit=pfs.Commit.from_uri(reference))
            while not (_COMMIT_ID.fullmatch(reference.rpartition("@")[2]) or _counts(info, moment)):
                if info.parent_commit is None or not info.parent_commit.id:
                    return None
                info = self._client.pfs.inspect_commit(commit=info.parent_commit)
        except (ConnectionError, grpc.RpcError, ValueError):
            return None
        return _id(info.commit)

    def follow(self, starts: set[Id], *, downstream: bool) -> None:
        """Add the starts and all that they were made from, or with `downstream` all that was made from them."""
        waiting, seen = sorted(starts), set(starts)
        while waiting:
            id_ = waiting.pop()
            info = self._info(id_)
            if info is None:
                continue
            self._add(id_, info)
            neighbours = info.direct_subvenance if downstream else info.direct_provenance
            new = {_id(commit) for commit in neighbours if commit.repo.type == "user"} - seen
            seen |= new
            waiting += sorted(new)

    def _info(self, id_: Id) -> pfs.CommitInfo | None:
        if id_ not in self._infos:
            try:
                info = self._client.pfs.inspect_commit(commit=pfs.Commit.from_uri(id_.name))
                if _id(info.commit) == id_:
                    self._infos[id_] = info
                else:  # pachd answers an id that the repo lacks with the commit that its commit set was made from.
                    self._miss(id_, f"the commit is gone; its commit set was made from {info.commit.id}")
            except ConnectionError as error:
                reason = self._silence(error)
                self._graph.problems["Pachyderm"] = reason
                self._miss(id_, reason)
            except (grpc.RpcError, ValueError) as error:
                self._miss(id_, f"Pachyderm says: {_words(error)}")
        return self._infos.get(id_)

    def _miss(self, id_: Id, reason: str) -> None:
        self._infos[id_] = None
        repo, _, commit = id_.name.partition("@")
        self._graph.add(missing(id_, reason, repo, commit[:12]))

    def _add(self, id_: Id, info: pfs.CommitInfo) -> None:
        inputs = [commit for commit in info.direct_provenance if commit.repo.type == "user"]
        spec = next((commit for commit in info.direct_provenance if commit.repo.type == "spec"), None)
        made_from = [_id(commit) for commit in inputs]
        if spec is not None:
            job = self._job(info.commit, spec)
            for source in made_from:
                self._graph.connect(source, job)
            made_from = [job]
        for source in made_from:
            self._graph.connect(source, id_)
        self._graph.add(self._node(id_, info, raw=spec is None))

    def _node(self, id_: Id, info: pfs.CommitInfo, *, raw: bool) -> Node:
        details = {"made by": "a person or a program" if raw else "a pipeline", "started": _time(info.started)}
        facts: dict[str, Any] = {"commit": info.commit.id, "finished": _time(info.finished)}
        state, summary = State.OPEN, "not finished"
        if _seconds(info.finished):
            files = self._files(info, raw=raw)
            size = info.details.size_bytes if info.details else info.size_bytes_upper_bound
            facts |= {"size": size, "files": files}
            if verdict := self._verdict(info, files):
                facts["verdict"] = verdict
            state = State.GOOD
            summary = f"{size / 1e6:.1f} MB, {len(files)} files" if isinstance(files, list) else f"{size / 1e6:.1f} MB"
        if info.description:
            facts["description"] = info.description
        if info.error:
            facts["error"] = info.error
            state, summary = State.BAD, "failed"
        return Node(id_, _repo(info.commit.repo), info.commit.id[:12], summary, state, facts, details)

    def _files(self, info: pfs.CommitInfo, *, raw: bool) -> list[Any] | Unknown:
        root = pfs.File(commit=info.commit, path="/")
        try:
            entries = list(self._client.pfs.list_file(file=root))
            files = [self._file(entry, raw=raw) for entry in entries[:LISTED]]
        except (ConnectionError, grpc.RpcError, ValueError) as error:
            return Unknown(f"Pachyderm says: {_words(error)}")
        if len(entries) > LISTED:
            files.append({"name": f"and {len(entries) - LISTED} more"})
        return files

    def _verdict(self, info: pfs.CommitInfo, files: list[Any] | Unknown) -> Any:
        """What the commit's own report says, where it has one."""
        if isinstance(files, Unknown) or not any(file["name"] == REPORT for file in files):
            return None
        try:
            with self._client.pfs.pfs_file(file=pfs.File(commit=info.commit, path=REPORT)) as stream:
                return json.loads(stream.read()).get("verdict")
        except (ConnectionError, grpc.RpcError, ValueError, AttributeError) as error:
            return Unknown(f"{REPORT} cannot be read: {_words(error)}")

    def _file(self, entry: pfs.FileInfo, *, raw: bool) -> dict[str, Any]:
        file = {"name": entry.file.path, "size": entry.size_bytes, "pachyderm hash": entry.hash.hex()}
        if raw and entry.file_type == pfs.FileType.FILE and entry.size_bytes <= HASHED:
            with self._client.pfs.pfs_file(file=entry.file) as stream:
                file["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
            if published := _PUBLISHED.get(file["sha256"]):
                same = entry.file.path.endswith(f"/{published}")
                file["content"] = "as published" if same else f"as {published} was published"
        return file

    def _job(self, output: pfs.Commit, spec: pfs.Commit) -> Id:
        """The job that made a commit has the commit's id."""
        name = _repo(output.repo)
        id_ = Id(Kind.JOB, f"{name}@{output.id}")
        if id_ in self._graph:
            return id_
        facts: dict[str, Any] = {"job": output.id, "spec commit": spec.id}
        pipeline = pps.Pipeline(name=output.repo.name, project=output.repo.project)
        try:
            info = self._client.pps.inspect_job(job=pps.Job(pipeline=pipeline, id=output.id))
        except (ConnectionError, grpc.RpcError) as error:
            reason = f"Pachyderm says: {_words(error)}"
            facts["state"] = Unknown(reason)
            self._graph.add(Node(id_, name, output.id[:12], "state unknown", State.UNKNOWN, facts))
            return id_
        word = pps.JobState(info.state).name.removeprefix("JOB_").lower()
        ended = {"success": State.GOOD, "failure": State.BAD, "killed": State.BAD, "unrunnable": State.BAD}
        facts |= {"pipeline version": info.pipeline_version, "state": word}
        if info.reason:
            facts["reason"] = info.reason
        datums = {part: getattr(info, f"data_{part}") for part in ("total", *_DATUMS)}
        details = {"started": _time(info.started), "finished": _time(info.finished), "datums": datums}
        summary = f"version {info.pipeline_version}, {word}"
        self._graph.add(Node(id_, name, output.id[:12], summary, ended.get(word, State.OPEN), facts, details))
        return id_


def _repo(repo: pfs.Repo) -> str:
    return repo.name if repo.project.name in ("", "default") else f"{repo.project.name}/{repo.name}"


def _id(commit: pfs.Commit) -> Id:
    return commit_id(_repo(commit.repo), commit.id)


def _counts(info: pfs.CommitInfo, moment: datetime) -> bool:
    computed = info.origin.kind == pfs.OriginKind.AUTO
    return 0 < _seconds(info.started if computed else info.finished) <= moment.timestamp()


def _seconds(moment: datetime | None) -> float:
    # An absent protobuf timestamp reads as the epoch.
    return moment.timestamp() if moment else 0.0


def _time(moment: datetime | None) -> str | Unknown:
    if _seconds(moment) == 0 or moment is None:
        return Unknown("it has not come yet")
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _words(error: Exception) -> str:
    cause = error if isinstance(error, grpc.Call) else error.__cause__
    return str(cause.details()) if isinstance(cause, grpc.Call) else str(error)
