"""Makes a pachd run the specs: creates what is missing, updates what differs, leaves everything else alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from pipelines.errors import DeployError
from pipelines.specs import VERSION, Spec

CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"


def deploy(client: Client, specs: list[Spec]) -> dict[str, str]:
    """What was done with each pipeline, by name.  Raises DeployError, saying which spec pachd refused and why."""
    with refusals("the specs"):
        client.get_version()
    made = {spec.name for spec in specs}
    for repo in sorted({repo for spec in specs for repo in spec.inputs} - made):
        with refusals(f"repo {repo}"):
            if not client.pfs.repo_exists(pfs.Repo(name=repo)):
                client.pfs.create_repo(repo=pfs.Repo(name=repo), description="Read by the pipelines of Fashion-MNIST")
    actions = {}
    for spec in specs:
        with refusals(f"pipeline {spec.name}"):
            actions[spec.name] = _apply(client, spec)
    return actions


def _apply(client: Client, spec: Spec) -> str:
    pipeline = pps.Pipeline(name=spec.name)
    exists = client.pps.pipeline_exists(pipeline)
    if exists:
        running = client.pps.inspect_pipeline(pipeline=pipeline, details=True)
        if running.details.transform.env.get(VERSION) == spec.version:
            return UNCHANGED
    # What the old code made of a datum says nothing about what the new code makes of it: nothing may be skipped.
    client.pps.create_pipeline_v2(
        create_pipeline_request_json=json.dumps(spec.document), update=exists, reprocess=exists
    )
    return UPDATED if exists else CREATED


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turn what the client raises into a DeployError about `what`."""
    try:
        yield
    except ConnectionError as error:
        raise DeployError(
            f"{what}: pachd cannot be reached; start it (make up) or set PACH_CONFIG to your cluster's configuration"
        ) from error
    except grpc.RpcError as error:
        raise DeployError(f"{what}: {error.details()}") from error
