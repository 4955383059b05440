"""What a pipeline's specification says: parsed, and refused where it cannot be run here.

Fields and rules are those of pps_v2.CreatePipelineRequest.  `image`, resources and scheduling have no meaning without
containers; they are kept and shown, and change nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from betterproto import Message, serialized_on_wire
from pachyderm_sdk.api import pps

from localcluster.pachyderm.errors import PachdError, Unimplemented, during
from localcluster.pachyderm.globs import matcher
from localcluster.pachyderm.names import USER, RepoName, check_name, clean_path, parse_version
from localcluster.pachyderm.specs.effective import DEFAULTS, EVERY_JOB, message

_DIRECTORY = re.compile(r"[^/=\0]{1,255}")
LONGEST_NAME = 51
LONGEST_LABEL = 63
"""Of Kubernetes; what is accepted here can also be created on a cluster."""

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


def set_input_defaults(node: pps.Input, project: str) -> None:
    """Fill in what a PFS input leaves out; siblings are sorted by name, as upstream sorts them."""
    if serialized_on_wire(node.pfs):
        pfs = node.pfs
        pfs.project = pfs.project or project
        pfs.name = pfs.name or pfs.repo
        pfs.branch = pfs.branch or "master"
        pfs.repo_type = pfs.repo_type or USER
        pfs.glob = clean_path(pfs.glob) if pfs.glob else ""
    for children in (node.cross, node.union, node.join, node.group):
        for child in children:
            set_input_defaults(child, project)
        children.sort(key=lambda child: child.pfs.name)


def parse(document: object) -> Spec:
    """Raises BadSpec or PachdError where the specification is wrong, Unimplemented for what this pachd cannot run."""
    request = message(document)
    _check(request)
    set_input_defaults(request.input, request.pipeline.project.name)
    tree = parse_input(request.input)
    transform = request.transform
    if not transform.cmd:
        raise PachdError("invalid pipeline transform, no command specified")
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
        input=tree,
        output_branch=request.output_branch or "master",
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
    parse_version(name)
    with during("invalid pipeline name"):
        check_name(name)
    if not name[0].isalnum():
        raise PachdError("pipeline names must start with an alphanumeric character")
    worker = f"{request.pipeline.project.name}-{name}-v99".replace("_", "-").lower()
    for kind, text, most in (("pipeline", name, LONGEST_NAME), ("Kubernetes", worker, LONGEST_LABEL)):
        if (over := len(text) - most) > 0:
            raise PachdError(f'{kind} name "{text}" is {over} characters longer than the {most} max')
    _refuse(request, _UNSERVED, "")
    _refuse(request.transform, ("secrets",), "transform.")


def _refuse(message: Any, fields: tuple[str, ...], path: str) -> None:
    for field in fields:
        value = getattr(message, field)
        if serialized_on_wire(value) if isinstance(value, Message) else value:
            raise Unimplemented(
                f"pps_v2.API/CreatePipelineV2: {path}{field} is not served by the local cluster's pachd"
            )


def parse_input(node: pps.Input, path: str = "input") -> Input:
    """The tree of an input with its defaults.  Raises as `parse`."""
    _check_names(node, set())
    return _tree(node, path)


def _check_names(node: pps.Input, taken: set[str]) -> None:
    """Refuse two inputs of one name, unless only one of them is in a datum; `taken` gets the names found."""
    if leaf := next((leaf for leaf in (node.pfs, node.cron) if serialized_on_wire(leaf)), None):
        if not leaf.name:
            raise PachdError("input must specify a name")
        if leaf.name in ("out", ".env"):
            raise PachdError(f"input cannot be named {leaf.name}")
        if leaf.name in taken:
            raise PachdError(f'name "{leaf.name}" was used more than once')
        taken.add(leaf.name)
    elif node.union:
        names = [set(taken) for _ in node.union]
        for child, own in zip(node.union, names, strict=True):
            _check_names(child, own)
        taken.update(*names)
    else:
        for child in (*node.cross, *node.join, *node.group):
            _check_names(child, taken)


def _tree(node: pps.Input, path: str) -> Input:
    _refuse(node, _UNSERVED_INPUTS, f"{path}.")
    trees = {
        kind: tuple(_tree(child, f"{path}.{kind}[{at}]") for at, child in enumerate(children))
        for kind, children in (("cross", node.cross), ("union", node.union))
        if children
    }
    pfs = [_pfs(node.pfs, f"{path}.pfs")] if serialized_on_wire(node.pfs) else []
    if len(pfs) + len(trees) > 1:
        raise PachdError("multiple input types set")
    for kind, children in trees.items():
        return Cross(children) if kind == "cross" else Union(children)
    if not pfs:
        raise PachdError("no input set")
    return pfs[0]


def _pfs(node: pps.PfsInput, path: str) -> Pfs:
    if not node.repo:
        raise PachdError("input must specify a repo")
    if not node.glob:
        raise PachdError("input must specify a glob")
    if node.commit:
        raise PachdError("input cannot come from a commit; use a branch with head pointing to the commit")
    if not _DIRECTORY.fullmatch(node.name) or node.name in (".", ".."):
        raise PachdError(f"input cannot be named {node.name}: it is a directory of /pfs and a variable")
    matcher(node.glob)  # refuses a glob that would fail each job
    _refuse(node, _UNSERVED_PFS, f"{path}.")
    repo = RepoName(node.project, node.repo, node.repo_type)
    return Pfs(node.name, repo, node.branch, node.glob, node.lazy, node.empty_files)
