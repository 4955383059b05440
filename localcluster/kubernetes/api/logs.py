"""`kubectl logs`: the files that the kubelet lets each container write to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from localcluster.kubernetes.errors import BadRequest, Cause, Invalid, NotServed
from localcluster.kubernetes.layout import Layout
from localcluster.kubernetes.state.kinds import POD, Object
from localcluster.kubernetes.state.store import Store

_CHUNK = 1 << 16
_POLL_SECONDS = 0.2


def open_log(store: Store, layout: Layout, pod: Object, query: dict[str, str]) -> AsyncIterator[bytes]:
    """The bytes that the query asks for.

    Raises BadRequest where there is no such log, Invalid for numbers that cannot be, NotServed for other options.
    """
    for option in ("sinceSeconds", "sinceTime", "timestamps"):
        if query.get(option, "false") != "false":
            raise NotServed(f"the option {option} of pods/log")
    container = query.get("container") or pod["spec"]["containers"][0]["name"]
    name = pod["metadata"]["name"]
    if container not in {each["name"] for each in pod["spec"]["containers"]}:
        raise BadRequest(f"container {container} is not valid for pod {name}")
    _check_numbers(name, query)
    restarts, waiting = _run(pod, container)
    previous = query.get("previous") == "true"
    path = layout.log(pod["metadata"]["uid"], container, restarts - previous)
    if not path.exists():
        if previous:
            raise BadRequest(f'previous terminated container "{container}" in pod "{name}" not found')
        raise BadRequest(
            f'container "{container}" in pod "{name}" is waiting to start: {waiting or "ContainerCreating"}'
        )
    start = _tail(path, int(query["tailLines"])) if query.get("tailLines") else 0
    follow = query.get("follow") == "true" and not previous
    chunks = _read(store, pod, container, path, start, follow=follow)
    return _limited(chunks, int(query["limitBytes"])) if query.get("limitBytes") else chunks


def _check_numbers(name: str, query: dict[str, str]) -> None:
    """Refuse numbers that cannot be; that they are numbers has been seen to."""
    causes = []
    for option, least, words in (
        ("tailLines", 0, "must be greater than or equal to 0"),
        ("limitBytes", 1, "must be greater than 0"),
    ):
        if query.get(option) and int(query[option]) < least:
            causes.append(Cause.invalid(option, int(query[option]), words))
    if causes:
        raise Invalid("PodLogOptions", "", name, causes)


async def _limited(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk[:limit]
        limit -= len(chunk)
        if limit <= 0:
            return


def _run(pod: Object, container: str) -> tuple[int, str]:
    for status in pod.get("status", {}).get("containerStatuses", []):
        if status["name"] == container:
            return status["restartCount"], status["state"].get("waiting", {}).get("reason", "")
    return 0, ""


def _tail(path: Path, lines: int) -> int:
    """Where the last `lines` lines begin."""
    starts: deque[int] = deque(maxlen=lines)
    position = 0
    with path.open("rb") as stream:
        for line in stream:
            starts.append(position)
            position += len(line)
    return starts[0] if starts else position


async def _read(
    store: Store, pod: Object, container: str, path: Path, start: int, *, follow: bool
) -> AsyncIterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        ended = not follow
        while True:
            while block := stream.read(_CHUNK):
                yield block
            if ended:
                return
            ended = not await run_in_threadpool(_still_running, store, pod, container, path)
            if not ended:
                await asyncio.sleep(_POLL_SECONDS)


def _still_running(store: Store, pod: Object, container: str, path: Path) -> bool:
    metadata = pod["metadata"]
    current = store.find(POD, metadata["namespace"], metadata["name"])
    if current is None or current["metadata"]["uid"] != metadata["uid"]:
        return False
    return path.stem == str(_run(current, container)[0])
