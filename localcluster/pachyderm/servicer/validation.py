"""What the protocol itself demands of a request, before any handler sees it: messages that may not be left out."""

from __future__ import annotations

from collections.abc import Iterator

from betterproto import PLACEHOLDER, Message
from pachyderm_sdk.api import pfs, pps

from localcluster.pachyderm.errors import InvalidArgument

REQUIRED = {
    pfs.CopyFile: "src",
    pfs.DeleteBranchRequest: "branch",
    pfs.DropCommitSetRequest: "commit_set",
    pfs.FindCommitsRequest: "start",
    pfs.InspectProjectRequest: "project",
    pfs.InspectProjectV2Request: "project",
    pps.DeletePipelineRequest: "pipeline",
    pps.InspectJobSetRequest: "job_set",
    pps.InspectPipelineRequest: "pipeline",
    pps.RerunPipelineRequest: "pipeline",
    pps.RunCronRequest: "pipeline",
}
"""The rules of upstream's .proto files, but for the one that every reference to a pipeline names it."""


def check(request: object, during: str) -> None:
    """Raise InvalidArgument with every rule that a request breaks; `during` is what upstream calls the check."""
    if isinstance(request, Message) and (faults := "; ".join(_faults(request))):
        raise InvalidArgument(f"{during}: {faults}")


def _faults(message: Message) -> Iterator[str]:
    kind = type(message).__name__
    if isinstance(message, pps.Pipeline) and not message.name:
        yield f"invalid {kind}.Name: value length must be at least 1 bytes"
    for field, value in vars(message).items():
        where = f"invalid {kind}.{field.title().replace('_', '')}"
        if value is PLACEHOLDER and REQUIRED.get(type(message)) == field:
            yield f"{where}: value is required"
        inner = value if isinstance(value, list) else [value]
        for at, item in enumerate(inner):
            if isinstance(item, Message) and (faults := "; ".join(_faults(item))):
                place = f"[{at}]" if isinstance(value, list) else ""
                yield f"{where}{place}: embedded message failed validation | caused by: {faults}"


def given(message: Message, field: str) -> bool:
    """Whether the sender set a message within another; ask before the field is read, which makes an empty one."""
    return vars(message)[field] is not PLACEHOLDER
