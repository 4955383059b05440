"""What the pipeline's files say: GitLab's schema, the order of things, and that variables and targets are there."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import LENT

REPOSITORY = Path(__file__).resolve().parents[2]
MAIN = REPOSITORY / ".gitlab-ci.yml"
FILES = [MAIN, *sorted((REPOSITORY / "pipelines" / "gitlab").glob("*.yml"))]
DOCUMENT = (REPOSITORY / "docs" / "pipeline.md").read_text()
GLOBAL = {"include", "stages", "workflow", "variables", "default"}
PHASES = ["staging", "comparison", "canary", "promote"]
_TIMED = ("SCRIPT", "AFTER_SCRIPT")


def documents() -> dict[str, Any]:
    """All files as one, the way GitLab merges includes."""
    merged: dict[str, Any] = {}
    for path in FILES:
        merged |= yaml.safe_load(path.read_text())
    return merged


def jobs() -> dict[str, dict[str, Any]]:
    """The jobs, with what they extend filled in."""
    everything = documents()

    def full(job: dict[str, Any]) -> dict[str, Any]:
        base = everything[job["extends"]] if "extends" in job else None
        return {**(full(base) if base else {}), **job}

    return {name: full(job) for name, job in everything.items() if name not in GLOBAL and not name.startswith(".")}


def scripts() -> dict[str, list[str]]:
    return {
        name: [*job.get("before_script", []), *job["script"], *job.get("after_script", [])]
        for name, job in jobs().items()
    }


def needed(job: dict[str, Any]) -> list[str]:
    return [each if isinstance(each, str) else each["job"] for each in job.get("needs", [])]


@pytest.mark.slow
def test_the_files_keep_to_gitlabs_schema(tools: Path) -> None:
    options = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    command = [str(tools / "check-jsonschema"), *options, *map(str, FILES)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_it_can_be_read_from_top_to_bottom() -> None:
    assert len(MAIN.read_text().splitlines()) < 150
    order = [jobs()[name]["stage"] for name in jobs()]
    stages: list[str] = documents()["stages"]
    main = [jobs()[name]["stage"] for name in yaml.safe_load(MAIN.read_text()) if name in jobs()]
    assert main == sorted(main, key=stages.index)
    assert set(order) == set(stages)


def test_every_job_calls_make_targets_and_knows_no_local_mode() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))
    for name, lines in scripts().items():
        called = [word for line in lines for word in re.findall(r"\bmake ([a-z -]+[a-z])(?= PHASES|$)", line)]
        assert {target for words in called for target in words.split()} <= targets, name
        assert any("make " in line for line in lines), name
    text = "".join(path.read_text() for path in FILES)
    assert re.findall(r"localcluster|LOCALCLUSTER|GITLAB_CI\b", text) == []


def test_deploying_jobs_run_on_the_default_branch_only_one_at_a_time_and_to_their_end() -> None:
    deploying = {name: job for name, job in jobs().items() if "environment" in job}
    assert deploying.keys() == {*PHASES, "stop-staging", "rollback"}
    for name, job in deploying.items():
        assert job["resource_group"] == "production", name
        assert job["interruptible"] is False, name
    for name, job in jobs().items():
        if name not in ("check", "test", "scan"):
            first, last = job["rules"][0], job["rules"][-1]
            scheduled = last["if"] == '$CI_PIPELINE_SOURCE == "schedule"'
            branch = last["if"] == "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" and first["when"] == "never"
            assert scheduled or (branch and "merge_request_event" in first["if"]), name


def test_a_phase_needs_the_one_before_and_takes_back_what_it_leaves() -> None:
    for before, after in itertools.pairwise(PHASES):
        assert before in needed(jobs()[after])
    assert {"check", "test", "accuracy", "build-image", "scan"} <= set(needed(jobs()["staging"]))
    for name in PHASES:
        assert jobs()[name]["after_script"] == ['test "$CI_JOB_STATUS" = success || make rollout PHASES=back']
        assert {"accuracy", "build-image"} <= set(needed(jobs()[name])), "the version and the image come from there"


def test_a_phase_that_runs_out_of_time_is_taken_back_within_the_jobs_own() -> None:
    """GitLab runs no after_script once the job's time is over ("Set script and after_script timeouts")."""
    assert documents()["default"]["timeout"] == "1 hour"
    for name in PHASES:
        variables = jobs()[name]["variables"]
        script, after = (int(variables[f"RUNNER_{part}_TIMEOUT"].removesuffix("m")) for part in _TIMED)
        assert "timeout" not in jobs()[name]
        assert script + after < 60


def test_what_was_gated_goes_on_whatever_the_projects_variables_say(tmp_path: Path) -> None:
    """GitLab's order: a project's variable, then a dotenv report's ("Pass dotenv variables to specific jobs")."""
    (tmp_path / "build" / "report").mkdir(parents=True)
    odd = "a b; touch spoilt $(touch spoilt)"
    (tmp_path / "build" / "report" / "model.env").write_text(f"MODEL_NAME={odd}\nMODEL_VERSION=3\n")
    settings = {"PATH": "/usr/bin:/bin", "MODEL_VERSION": "newest", "MODEL_NAME": "other"}
    for name in ("build-image", *PHASES):
        script = "\n".join(["set -eu; REGISTRY=", *jobs()[name]["before_script"], "env"])
        done = subprocess.run(["/bin/sh"], input=script, cwd=tmp_path, env=settings, text=True, capture_output=True)
        assert {"MODEL_VERSION=3", f"MODEL_NAME={odd}"} <= set(done.stdout.splitlines()), name
    assert not (tmp_path / "spoilt").exists()


def test_every_need_is_of_an_earlier_stage() -> None:
    stages: list[str] = documents()["stages"]
    for name, job in jobs().items():
        for other in needed(job):
            assert stages.index(jobs()[other]["stage"]) < stages.index(job["stage"]), f"{name} needs {other}"


def test_environments_that_are_started_can_be_stopped() -> None:
    stop = jobs()[jobs()["staging"]["environment"]["on_stop"]]
    assert stop["environment"] == {"name": "staging", "action": "stop"}
    assert stop["rules"][-1]["when"] == "manual"


def variables_of_the_document() -> set[str]:
    rows = [
        line.split("|")[1] for line in DOCUMENT.split("## Variables")[1].split("\n## ")[0].splitlines() if "|" in line
    ]
    return set(re.findall(r"`([A-Z_]+)`", "".join(rows)))


def test_the_tests_see_nothing_of_what_a_project_sets_for_its_deployments() -> None:
    """GitLab gives a project's variables to every job, so to `test`, too."""
    own = {"PYTEST_ARGS", "TEST_SUITE", "UV_CACHE_DIR", "PIP_CONFIG_FILE", "PIP_CERT"}
    runners = {"RUNNER_SCRIPT_TIMEOUT", "RUNNER_AFTER_SCRIPT_TIMEOUT"}
    assert variables_of_the_document() - own - runners <= set(LENT)
    assert set(LENT) & os.environ.keys() == set()


def test_every_variable_is_documented() -> None:
    documented = variables_of_the_document()
    used = {
        name
        for path in FILES
        for name in re.findall(r"\$\{?([A-Z][A-Z_]+)|^ +([A-Z][A-Z_]+):", path.read_text(), flags=re.MULTILINE)
        for name in name
        if name and not name.startswith("CI_")
    }
    assert used - documented == set()
    product = [*(REPOSITORY / "deploy" / "release").glob("*.py"), *(REPOSITORY / "fmnist" / "test").glob("*.py")]
    read = {
        name
        for path in product
        for name in re.findall(r'(?:environ(?:\.get\(|\[)|given\.get\(|_share\()"([A-Z_]+)"', path.read_text())
    }
    inner = {"BUILD_DIR", "CI_COMMIT_SHA", "KUBECTL", "REPORT_DIR", "SOURCE_DATE_EPOCH"}
    assert read - documented - inner == set()


def test_secrets_are_masked_and_in_no_file() -> None:
    for name in ("DET_PASS", "PACH_CONFIG", "KUBECONFIG", "INGRESS_TOKEN", "REGISTRY_AUTH_FILE"):
        row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{name}`"))
        assert "**secret** (" in row
        assert all(name not in path.read_text() for path in FILES), "it comes from the project's settings alone"


def test_every_stage_is_in_the_document() -> None:
    for name, job in jobs().items():
        if name not in ("rollback", "stop-staging"):
            assert f"| {job['stage']} | {name} |" in DOCUMENT
