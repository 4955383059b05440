"""What a pipeline's specification says: parsed, completed with the defaults, and refused where it cannot be run here.

Fields and rules are those of pps_v2.CreatePipelineRequest.  `image`, resources and scheduling have no meaning without
containers; they are kept and shown, and change nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pachyderm_sdk.api import pps

from localcluster.pachyderm.errors import BadSpec, PachdError, Unimplemented, during
from localcluster.pachyderm.globs import matcher
from localcluster.pachyderm.names import DEFAULT_PROJECT, USER, RepoName, check_name, clean_path
from localcluster.pachyderm.specs.schema import canonical

_DIRECTORY = re.compile(r"[^/=\0]{1,255}")
_RESOURCES = {"cpu": 1, "memory": "256Mi", "disk": "1Gi"}

DEFAULTS: dict[str, Any] = {
    "transform": {"image": "ubuntu:20.04"},
    "outputBranch": "master",
    "datumTries": "3",
    "reprocessSpec": "until_success",
    "resourceRequests": _RESOURCES,
    "sidecarResourceRequests": _RESOURCES,
}
"""The defaults of a cluster that nobody changed, into which every specification is merged."""

LONGEST_NAME = 51
EVERY_JOB = "every_job"

_UNSERVED = ("service", "spout", "egress", "s3_out", "determined", "spec_commit")
_UNSERVED_INPUTS = ("join", "group", "cron")
_UNSERVED_PFS = ("s3", "trigger", "propagation_spec", "reference")


@dataclass(frozen=True)
class Pfs:
    """One input: the files of a branch that `glob` matches, each a datum, below /pfs/<name>."""

    name: str
    repo: RepoName
    branch: str
    glob: str
    lazy: bool
    empty_files: bool


@dataclass(frozen=True)
class Cross:
    """Every combination of the inputs' datums."""

    inputs: tuple[Input, ...]


@dataclass(frozen=True)
class Union:
    """The inputs' datums one after the other."""

    inputs: tuple[Input, ...]


Input = Pfs | Cross | Union


@dataclass(frozen=True)
class Transform:
    """What runs for each datum; `stdin` and `err_stdin` are lines."""

    image: str
    cmd: tuple[str, ...]
    stdin: tuple[str, ...]
    env: Mapping[str, str]
    err_cmd: tuple[str, ...]
    err_stdin: tuple[str, ...]
    accept_return_code: frozenset[int]
    working_dir: str
    user: str


@dataclass(frozen=True)
class Spec:
    """A specification with all defaults; timeouts in seconds, None for none; `salt` as the user gave it, or ""."""

    project: str
    name: str
    description: str
    transform: Transform
    input: Input
    output_branch: str
    datum_tries: int
    datum_timeout: float | None
    job_timeout: float | None
    parallelism: int
    reprocess_every_job: bool
    salt: str

    def inputs(self) -> Iterator[Pfs]:
        """All PFS inputs of the tree, in order."""
        return leaves(self.input)


def leaves(node: Input) -> Iterator[Pfs]:
    """The PFS inputs of a tree, in order."""
    if isinstance(node, Pfs):
        yield node
    else:
        for child in node.inputs:
            yield from leaves(child)


def effective(document: object) -> dict[str, Any]:
    """A user's specification merged into the defaults, with canonical names.  Raises BadSpec with the path at fault."""
    return _merge(DEFAULTS, canonical(pps.CreatePipelineRequest, document))


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def message(document: object) -> pps.CreatePipelineRequest:
    """The effective specification as a message."""
    request: pps.CreatePipelineRequest = pps.CreatePipelineRequest().from_dict(effective(document))
    request.pipeline.project.name = request.pipeline.project.name or DEFAULT_PROJECT
    return request


def set_input_defaults(node: pps.Input, project: str) -> None:
    """Fill in what a PFS input leaves out; siblings are sorted by name, as upstream sorts them."""
    if node.pfs:
        pfs = node.pfs
        pfs.project = pfs.project or project
        pfs.name = pfs.name or pfs.repo
        pfs.branch = pfs.branch or "master"
        pfs.repo_type = pfs.repo_type or USER
        pfs.glob = clean_path(pfs.glob) if pfs.glob else ""
    for children in (node.cross, node.union):
        for child in children:
            set_input_defaults(child, project)
        children.sort(key=lambda child: child.pfs.name)


def parse(document: object) -> Spec:
    """Raises BadSpec or PachdError where the specification is wrong, Unimplemented for what this pachd cannot run."""
    request = message(document)
    _check(request)
    set_input_defaults(request.input, request.pipeline.project.name)
    transform = request.transform
    return Spec(
        project=request.pipeline.project.name,
        name=request.pipeline.name,
        description=request.description,
        transform=Transform(
            image=transform.image,
            cmd=tuple(transform.cmd),
            stdin=tuple(transform.stdin),
            env=dict(transform.env),
            err_cmd=tuple(transform.err_cmd),
            err_stdin=tuple(transform.err_stdin),
            accept_return_code=frozenset(transform.accept_return_code),
            working_dir=transform.working_dir,
            user=transform.user,
        ),
        input=parse_input(request.input),
        output_branch=request.output_branch,
        datum_tries=max(request.datum_tries or int(DEFAULTS["datumTries"]), 1),
        datum_timeout=request.datum_timeout.total_seconds() or None,
        job_timeout=request.job_timeout.total_seconds() or None,
        parallelism=request.parallelism_spec.constant or 1,
        reprocess_every_job=request.reprocess_spec == EVERY_JOB,
        salt=request.salt,
    )


def load(text: str) -> Spec:
    """As `parse`, of JSON that was accepted once."""
    return parse(json.loads(text))


def _check(request: pps.CreatePipelineRequest) -> None:
    name = request.pipeline.name
    if not name:
        raise PachdError("invalid pipeline spec: request.Pipeline.Name cannot be empty")
    with during("invalid pipeline name"):
        check_name(name)
    if not name[0].isalnum():
        raise PachdError("pipeline names must start with an alphanumeric character")
    if len(name) > LONGEST_NAME:
        raise PachdError(
            f'pipeline name "{name}" is {len(name) - LONGEST_NAME} characters longer than the {LONGEST_NAME} max'
        )
    if request.tf_job:
        raise BadSpec("embedding TFJobs in pipelines is not supported yet")
    _refuse(request, _UNSERVED, "")
    _refuse(request.transform, ("secrets",), "transform.")
    if not request.transform.cmd:
        raise PachdError("invalid pipeline transform, no command specified")
    if request.reprocess_spec not in ("until_success", EVERY_JOB):
        raise BadSpec('invalid pipeline spec: ReprocessSpec must be one of "until_success" or "every_job"')


def _refuse(message: Any, fields: tuple[str, ...], path: str) -> None:
    for field in fields:
        if getattr(message, field):
            raise Unimplemented(
                f"pps_v2.API/CreatePipelineV2: {path}{field} is not served by the local cluster's pachd"
            )


def parse_input(node: pps.Input, path: str = "input") -> Input:
    """The tree of an input with its defaults.  Raises as `parse`."""
    tree = _tree(node, path)
    _names(tree)
    return tree


def _tree(node: pps.Input, path: str) -> Input:
    _refuse(node, _UNSERVED_INPUTS, f"{path}.")
    chosen = [kind for kind in ("pfs", "cross", "union") if getattr(node, kind)]
    if not chosen:
        raise PachdError(f"no input set (at {path})")
    if len(chosen) > 1:
        raise PachdError(f"multiple input types set ({' and '.join(chosen)} at {path})")
    if chosen == ["pfs"]:
        return _pfs(node.pfs, f"{path}.pfs")
    children = tuple(_tree(child, f"{path}.{chosen[0]}[{at}]") for at, child in enumerate(getattr(node, chosen[0])))
    return Cross(children) if chosen == ["cross"] else Union(children)


def _pfs(node: pps.PfsInput, path: str) -> Pfs:
    if not node.name:
        raise PachdError(f"input must specify a name (at {path})")
    if not node.repo:
        raise PachdError(f"input must specify a repo (at {path})")
    if not node.glob:
        raise PachdError(f"input must specify a glob (at {path})")
    if node.commit:
        raise PachdError("input cannot come from a commit; use a branch with head pointing to the commit")
    if node.name in ("out", ".env"):
        raise PachdError(f"input cannot be named {node.name} (at {path}): set another name")
    if not _DIRECTORY.fullmatch(node.name) or node.name in (".", ".."):
        raise PachdError(f"input cannot be named {node.name!r} (at {path}): it is a directory of /pfs and a variable")
    matcher(node.glob)  # refuses a glob that would fail each job
    _refuse(node, _UNSERVED_PFS, f"{path}.")
    repo = RepoName(node.project, node.repo, node.repo_type)
    return Pfs(node.name, repo, node.branch, node.glob, node.lazy, node.empty_files)


def _names(node: Input) -> set[str]:
    if isinstance(node, Pfs):
        return {node.name}
    seen: set[str] = set()
    for child in node.inputs:
        names = _names(child)
        if isinstance(node, Cross) and (twice := names & seen):
            raise PachdError(f'name "{min(twice)}" was used more than once')
        seen |= names
    return seen
