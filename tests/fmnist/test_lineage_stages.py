"""Lineage against real services: a real pipeline, a real training, a gate; then without each of the platforms."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from fmnist import artifacts
from fmnist.lineage.__main__ import main
from tests.conftest import validated
from tests.fmnist.conftest import REPOSITORY, shapes
from tests.fmnist.stages.services import Stages, services

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lineage"), pytest.mark.timeout(600)]

NOBODY = "http://127.0.0.1:9"
TINY = REPOSITORY / "tests" / "localcluster" / "determined" / "experiment"


@dataclass(frozen=True)
class Chain:
    """The stages' programs, a client of their pachd, and ids: commits by repo."""

    stages: Stages
    client: Client
    commits: dict[str, str]

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        """The exit code and the error output of the program, run in this process with the chain's environment."""
        errors = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors):
            for name, value in {**self.stages.environment, **variables}.items():
                patch.setenv(name, value)
            patch.setattr(artifacts, "BUILD", self.stages.build)
            return main(list(arguments)), errors.getvalue()

    def lineage(self, *arguments: str, **variables: str) -> dict[str, Any]:
        """What build/lineage.json says after a run that succeeded."""
        assert self.run(*arguments, **variables) == (0, "")
        return self.stages.written("lineage.json")

    def refused(self, *arguments: str, **variables: str) -> str:
        """What a run that fails says."""
        code, words = self.run(*arguments, **variables)
        assert code == 1
        return words


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Two splits through a pipeline each, one training, version 1 registered and judged; no Kubernetes."""
    home = tmp_path_factory.mktemp("home")
    with services(home) as clients:
        client = Client.from_config(clients["PACH_CONFIG"])
        commits: dict[str, str] = {}
        for split, count, seed in (("train", 600, 0), ("test", 200, 1)):
            commits |= through_a_pipeline(client, f"fmnist-{split}", count, seed)
        stages = Stages(
            {**os.environ, **clients, "IMAGE_LAYOUT": str(home / "images")},
            home / "build",
            commits["fmnist-train"],
            commits["fmnist-test"],
        )
        for done in (
            stages.submit(1),
            stages.run("fmnist.model.register"),
            stages.gate(ACCURACY_THRESHOLD="0", CLASS_FLOOR="0"),
        ):
            assert done.returncode == 0, done.stdout
        yield Chain(stages, client, commits)


def through_a_pipeline(client: Client, name: str, count: int, seed: int) -> dict[str, str]:
    """Commit a split to `<name>-raw` and wait for what the pipeline `<name>` makes of it; the commits by repo."""
    raw = pfs.Repo(name=f"{name}-raw")
    client.pfs.create_repo(repo=raw)
    with client.pfs.commit(branch=pfs.Branch(repo=raw, name="master")) as commit:
        for path, content in validated(*shapes(count, seed)).items():
            commit.put_file_from_bytes(path=f"/{path}", data=content)
    pipeline = pps.Pipeline(name=name)
    client.pps.create_pipeline(
        pipeline=pipeline,
        input=pps.Input(pfs=pps.PfsInput(repo=raw.name, glob="/")),
        transform=pps.Transform(cmd=["sh"], stdin=[f"cp /pfs/{raw.name}/* /pfs/out/"]),
    )
    branch = pfs.Branch(repo=pfs.Repo(name=name), name="master")
    made = client.pfs.inspect_commit(commit=pfs.Commit(branch=branch, repo=branch.repo), wait=pfs.CommitState.FINISHED)
    assert not made.error
    return {raw.name: str(commit.id), name: str(made.commit.id)}


def by_kind(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [station for station in document["stations"] if station["kind"] == kind]


def names(document: dict[str, Any], kind: str) -> list[str]:
    return sorted(station["name"] for station in by_kind(document, kind))


def test_a_version_leads_back_to_the_raw_files(chain: Chain) -> None:
    document = chain.lineage("--version", "1")
    commits = chain.commits
    assert names(document, "commit") == sorted(f"{repo}@{commit}" for repo, commit in commits.items())
    assert names(document, "pipeline job") == sorted(
        f"{repo}@{commits[repo]}" for repo in ("fmnist-train", "fmnist-test")
    )
    job = by_kind(document, "pipeline job")[0]
    assert (job["state"], job["pipeline version"], job["datums"]["processed"]) == ("success", 1, 1)
    raw = next(each for each in by_kind(document, "commit") if each["name"].startswith("fmnist-train-raw"))
    assert {len(file["sha256"]) for file in raw["files"]} == {64}
    (experiment,), (checkpoint,), (version,) = (
        by_kind(document, kind) for kind in ("experiment", "checkpoint", "model version")
    )
    assert experiment["data"] == {"train": "fmnist-train@master"}
    assert checkpoint["checkpoint"] == chain.stages.written("train.json")["checkpoint_uuid"]
    assert len(checkpoint["config_sha256"]) == len(checkpoint["lock_sha256"]) == 64
    assert isinstance(checkpoint["seed"], int)
    assert version["gate"] == "passed"
    labels = {(edge["from"]["name"].split("@")[0], edge["to"]["kind"]): edge["label"] for edge in document["edges"]}
    assert labels["fmnist-train", "experiment"] == "train"
    assert labels["fmnist-test", "model version"] == "judged on (test)"
    assert document["problems"].keys() == {"Kubernetes"}
    for name in ("lineage.svg", "lineage.html"):
        assert chain.commits["fmnist-train"] in (chain.stages.build / name).read_text()


def test_the_program_prints_the_chain_and_says_what_it_cannot_find(chain: Chain) -> None:
    done = chain.stages.run("fmnist.lineage", "--version", "1")
    assert done.returncode == 0
    assert chain.commits["fmnist-train-raw"] in done.stdout
    done = chain.stages.run("fmnist.lineage", "--version", "7")
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)


def test_without_a_question_it_is_the_newest_version(chain: Chain) -> None:
    assert chain.lineage()["asked"] == [{"kind": "model version", "name": "fashion-classifier version 1"}]


@pytest.mark.parametrize(
    "form", ["fmnist-train-raw@{}", "default/fmnist-train-raw@{}", "{}", "fmnist-train-raw@master"]
)
def test_a_raw_commit_leads_to_the_versions_made_from_it(chain: Chain, form: str) -> None:
    made = chain.lineage("--commit", form.format(chain.commits["fmnist-train-raw"]))["made_from_asked"]
    assert made["model version"] == ["fashion-classifier version 1"]
    assert made["experiment"] == ["1"]
    assert made["pipeline job"] == made["commit"] == [f"fmnist-train@{chain.commits['fmnist-train']}"]


def test_the_test_split_leads_to_the_versions_judged_on_it(chain: Chain) -> None:
    made = chain.lineage("--commit", "fmnist-test-raw@master")["made_from_asked"]
    assert "experiment" not in made
    assert made["model version"] == ["fashion-classifier version 1"]


def test_an_answer_leads_back_to_its_version_and_says_why_nothing_is_known_of_serving(
    chain: Chain, tmp_path: Path
) -> None:
    checkpoint = chain.stages.written("train.json")["checkpoint_uuid"]
    answer = tmp_path / "answer.json"
    answer.write_text(
        '{"meta": {"puid": "p", "tags": {"model_name": "fashion-classifier", "model_version": "1", '
        f'"checkpoint": "{checkpoint}"}}}}}}'
    )
    document = chain.lineage("--answer", str(answer))
    assert f"fmnist-train-raw@{chain.commits['fmnist-train-raw']}" in names(document, "commit")
    assert "kubectl" in by_kind(document, "prediction")[0]["served by"]["unknown"]
    assert "cannot be read" in chain.refused("--answer", str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--version", "7"), "does not have fashion-classifier version 7"),
        (("--commit", "nowhere@master"), "not found"),
        (("--commit", "f" * 32), "no commits found"),
        (("--commit", "fmnist-train-raw"), "see pachctl list commit"),
    ],
)
def test_what_is_not_there_is_said(chain: Chain, arguments: tuple[str, ...], words: str) -> None:
    assert words in chain.refused(*arguments)


def test_without_determined_a_commit_still_shows_what_pachyderm_knows(chain: Chain) -> None:
    document = chain.lineage("--commit", "fmnist-train-raw@master", DET_MASTER=NOBODY)
    assert names(document, "pipeline job") == [f"fmnist-train@{chain.commits['fmnist-train']}"]
    assert NOBODY in document["problems"]["Determined"]
    assert NOBODY in chain.refused("--version", "1", DET_MASTER=NOBODY)


def test_without_pachyderm_a_version_names_its_commits_as_unknown(chain: Chain, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"v2": {"active_context": "x", "contexts": {"x": {"pachd_address": "grpc://127.0.0.1:9"}}}}')
    document = chain.lineage("--version", "1", PACH_CONFIG=str(config))
    assert names(document, "commit") == sorted(
        f"{repo}@{chain.commits[repo]}" for repo in ("fmnist-train", "fmnist-test")
    )
    assert {station["state"] for station in by_kind(document, "commit")} == {"unknown"}
    assert "127.0.0.1:9" in document["problems"]["Pachyderm"]


def test_a_version_registered_by_hand_from_foreign_training_says_what_it_lacks(chain: Chain) -> None:
    created = chain.stages.det("experiment", "create", str(TINY / "const.yaml"), str(TINY))
    number = created.split()[-1]
    chain.stages.det("experiment", "wait", number)
    listed = chain.stages.det("experiment", "list-checkpoints", number).splitlines()
    kept = next(line for line in listed if "COMPLETED" in line)  # the master has deleted the one before it
    uuid = re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", kept)[0]
    chain.stages.det("model", "create", "foreign")
    chain.stages.det("model", "register-version", "foreign", uuid)
    document = chain.lineage("--version", "1", MODEL_NAME="foreign")
    (checkpoint,), (version,) = by_kind(document, "checkpoint"), by_kind(document, "model version")
    assert "no provenance" in checkpoint["data"]["unknown"]
    assert "no provenance" in checkpoint["seed"]["unknown"]
    assert "not judged" in version["gate"]["unknown"]
    assert by_kind(document, "commit") == []


def test_new_data_does_not_touch_what_was_made_before(chain: Chain) -> None:
    repo = pfs.Repo(name="fmnist-train-raw")
    with chain.client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
        commit.put_file_from_bytes(path="/note.txt", data=b"one more")
    chain.client.pfs.inspect_commit(
        commit=pfs.Commit.from_uri(f"fmnist-train@{commit.id}"), wait=pfs.CommitState.FINISHED
    )
    made = chain.lineage("--commit", f"fmnist-train-raw@{commit.id}")["made_from_asked"]
    assert made == {"commit": [f"fmnist-train@{commit.id}"], "pipeline job": [f"fmnist-train@{commit.id}"]}
    assert f"fmnist-train@{commit.id}" not in names(chain.lineage("--version", "1"), "commit")


def test_a_deleted_pipeline_leaves_its_commits_unknown(chain: Chain) -> None:
    """Last, because it deletes."""
    chain.client.pps.delete_pipeline(pipeline=pps.Pipeline(name="fmnist-test"))
    document = chain.lineage("--version", "1")
    gone = next(each for each in by_kind(document, "commit") if each["name"].startswith("fmnist-test@"))
    assert "not found" in gone["unknown"]["unknown"]
    assert f"fmnist-train-raw@{chain.commits['fmnist-train-raw']}" in names(document, "commit")
