"""Pipelines, jobs, logs: the exact words of errors, wrapping and all; scripts and search engines know them."""

from __future__ import annotations

import pytest
from pachyderm_sdk.api import pfs, pps

from tests.contract.pachyderm.mistakes import BAD_NAME, NO_REPO, UNKNOWN, Case, Mistakes

NO_PIPELINE = (
    'pipeline was not inspected: couldn\'t find up to date spec for pipeline "PROJECT/no": pick commit tx: commit'
    ' PROJECT/no.spec@ not found\nrepo PROJECT/no.spec not found\npipeline "PROJECT/no" not found'
)
NO_PROJECT = 'get project by name: project "no" not found'
NOT_PARSED = "could not make effective spec: could not parse "
AS = " as Create Pipeline Request message: proto: "
NAMELESS = (
    "embedded message failed validation | caused by: invalid Pipeline.Name: value length must be at least 1 bytes"
)

CASES: dict[str, Case] = {
    "pipeline: exists": ("ALREADY_EXISTS", 'pipeline "PROJECT/pipe" already exists', lambda m: m.create("pipe")),
    "pipeline: a repo's name": (
        "UNKNOWN",
        'pipeline "data" cannot be created because a repo with the same name already exists',
        lambda m: m.create("data"),
    ),
    "pipeline: no input repo": ("NOT_FOUND", "repo PROJECT/no not found", lambda m: m.create("new", "no")),
    "pipeline: bad name": ("UNKNOWN", f"invalid pipeline name: {BAD_NAME}", lambda m: m.create("a b")),
    "pipeline: missing": ("NOT_FOUND", NO_PIPELINE, lambda m: m.pps.inspect_pipeline(pipeline=m.pipeline())),
    "pipeline: nothing to list": (
        "NOT_FOUND",
        'could not list pipeline info: pipeline "PROJECT/no" not found',
        lambda m: [*m.pps.list_pipeline(pipeline=m.pipeline())],
    ),
    "pipeline: nothing to start": ("NOT_FOUND", NO_PIPELINE, lambda m: m.pps.start_pipeline(pipeline=m.pipeline())),
    "pipeline: nothing to stop": (
        "NOT_FOUND",
        NO_PIPELINE,
        lambda m: m.pps.stop_pipeline(pipeline=m.pipeline(), must_exist=True),
    ),
    "pipeline: nothing to delete": (
        "NOT_FOUND",
        f"error stopping pipeline PROJECT/no: {NO_PIPELINE}",
        lambda m: m.pps.delete_pipeline(pipeline=m.pipeline(), must_exist=True),
    ),
    "pipeline: nothing to rerun": (
        "NOT_FOUND",
        f'inspect pipeline "PROJECT/no": {NO_PIPELINE}',
        lambda m: m.pps.rerun_pipeline(pipeline=m.pipeline()),
    ),
    "job: missing": ("NOT_FOUND", "jobs PROJECT/pipe@UNKNOWN not found", lambda m: m.pps.inspect_job(job=m.job())),
    "datum: no job": (
        "NOT_FOUND",
        "jobs PROJECT/pipe@UNKNOWN not found",
        lambda m: m.pps.restart_datum(job=m.job(), data_filters=["/a"]),
    ),
    "jobs: no pipeline": (
        "NOT_FOUND",
        'pipeline "PROJECT/no" not found',
        lambda m: [*m.pps.list_job(pipeline=m.pipeline())],
    ),
    "logs: no pipeline": (
        "NOT_FOUND",
        f"could not get pipeline information for PROJECT/no: {NO_PIPELINE}",
        lambda m: [*m.pps.get_logs(pipeline=m.pipeline())],
    ),
    "logs: no job": (
        "NOT_FOUND",
        'could not get job information for "UNKNOWN": jobs PROJECT/pipe@UNKNOWN not found',
        lambda m: [*m.pps.get_logs(job=m.job())],
    ),
    "pipeline: two inputs of one name": (
        "UNKNOWN",
        'name "in" was used more than once',
        lambda m: m.spec(input={"cross": [m.files("in"), m.files("in")]}),
    ),
    "pipeline: an input without a repo": (
        "UNKNOWN",
        "input must specify a repo",
        lambda m: m.spec(input={"pfs": {"name": "in", "glob": "/"}}),
    ),
    "pipeline: an input without a name": (
        "UNKNOWN",
        "input must specify a name",
        lambda m: m.spec(input={"pfs": {"glob": "/"}}),
    ),
    "pipeline: an input without a glob": (
        "UNKNOWN",
        "input must specify a glob",
        lambda m: m.spec(input={"pfs": {"repo": "in"}}),
    ),
    "pipeline: an input named out": (
        "UNKNOWN",
        "input cannot be named out",
        lambda m: m.spec(input={"pfs": {"repo": "in", "name": "out", "glob": "/"}}),
    ),
    "pipeline: two kinds of input": (
        "UNKNOWN",
        "multiple input types set",
        lambda m: m.spec(input={**m.files("in"), "cross": [m.files("data")]}),
    ),
    "pipeline: an empty input": ("UNKNOWN", "no input set", lambda m: m.spec(input={})),
    "pipeline: a bad input branch": (
        "UNKNOWN",
        f"could not create/update output branch: {BAD_NAME}",
        lambda m: m.spec(input={"pfs": {**m.files("in")["pfs"], "branch": "a b"}}),
    ),
    "pipeline: an unknown field": (
        "INVALID_ARGUMENT",
        f'{NOT_PARSED}{{"transform": {{"cmd": ["x"], "comand": 1}}}}{AS}(line 1:30): unknown field "comand"',
        lambda m: m.json('{"transform": {"cmd": ["x"], "comand": 1}}'),
    ),
    "pipeline: a field twice": (
        "INVALID_ARGUMENT",
        f'{NOT_PARSED}{{"datumTries": 1,\n "datum_tries": 2}}{AS}(line 2:2): duplicate field "datum_tries"',
        lambda m: m.json('{"datumTries": 1,\n "datum_tries": 2}'),
    ),
    "pipeline: a number in words": (
        "INVALID_ARGUMENT",
        f'{NOT_PARSED}{{"datumTries": "two"}}{AS}(line 1:16): invalid value for int64 type: "two"',
        lambda m: m.json('{"datumTries": "two"}'),
    ),
    "pipeline: a list in words": (
        "INVALID_ARGUMENT",
        f'{NOT_PARSED}{{"transform": {{"cmd": "x"}}}}{AS}syntax error (line 1:23): unexpected token "x"',
        lambda m: m.json('{"transform": {"cmd": "x"}}'),
    ),
    "pipeline: a bad duration": (
        "INVALID_ARGUMENT",
        f'{NOT_PARSED}{{"jobTimeout": "5m"}}{AS}(line 1:16): invalid google.protobuf.Duration value "5m"',
        lambda m: m.json('{"jobTimeout": "5m"}'),
    ),
    "pipeline: no JSON": (
        "INVALID_ARGUMENT",
        f"{NOT_PARSED}{{{AS}unexpected EOF",
        lambda m: m.json("{"),
    ),
    "pipeline: a comma too many": (
        "INVALID_ARGUMENT",
        f'{NOT_PARSED}{{"salt": "x",}}{AS}syntax error (line 1:14): unexpected token }}',
        lambda m: m.json('{"salt": "x",}'),
    ),
    "pipeline: no pipeline": ("UNKNOWN", "request.Pipeline cannot be nil", lambda m: m.json("{}")),
    "pipeline: no name": (
        "UNKNOWN",
        "invalid pipeline spec: request.Pipeline.Name cannot be empty",
        lambda m: m.json('{"pipeline": {}}'),
    ),
    "pipeline: no project": (
        "INVALID_ARGUMENT",
        "could not make effective spec: could not get defaults for project no: could not get defaults for project no:"
        f' error getting project "no": {NO_PROJECT}',
        lambda m: m.spec(pipeline={"name": "new", "project": {"name": "no"}}),
    ),
    "pipeline: another way to reprocess": (
        "INVALID_ARGUMENT",
        'could not make effective spec: invalid effective spec {"datumTries":"3","outputBranch":"master",'
        '"reprocessSpec":"no","resourceRequests":{"cpu":1,"disk":"1Gi","memory":"256Mi"},'
        '"sidecarResourceRequests":{"cpu":1,"disk":"1Gi","memory":"256Mi"},"transform":{"image":"ubuntu:20.04"}}:'
        ' invalid pipeline spec: ReprocessSpec must be one of "until_success" or "every_job"',
        lambda m: m.json('{"reprocessSpec": "no"}'),
    ),
    "pipeline: a pod patch that is no JSON": (
        "INVALID_ARGUMENT",
        'could not make effective spec: invalid effective spec {"datumTries":"3","outputBranch":"master",'
        '"podPatch":"nope","reprocessSpec":"until_success","resourceRequests":{"cpu":1,"disk":"1Gi","memory":"256Mi"},'
        '"sidecarResourceRequests":{"cpu":1,"disk":"1Gi","memory":"256Mi"},"transform":{"image":"ubuntu:20.04"}}:'
        " malformed PodPatch",
        lambda m: m.json('{"podPatch": "nope"}'),
    ),
    "pipeline: a toleration without an operator": (
        "INVALID_ARGUMENT",
        'could not make effective spec: invalid effective spec {"datumTries":"3","outputBranch":"master",'
        '"reprocessSpec":"until_success","resourceRequests":{"cpu":1,"disk":"1Gi","memory":"256Mi"},'
        '"sidecarResourceRequests":{"cpu":1,"disk":"1Gi","memory":"256Mi"},"tolerations":[{"key":"a"}],'
        '"transform":{"image":"ubuntu:20.04"}}:'
        " toleration 1/1: cannot omit key/value comparison operator; specify EQUAL or EXISTS",
        lambda m: m.json('{"tolerations": [{"key": "a"}]}'),
    ),
    "pipeline: a name too long for Kubernetes": (
        "UNKNOWN",
        f'Kubernetes name "PROJECT-{"p" * 50}-v99" is 13 characters longer than the 63 max',
        lambda m: m.create("p" * 50),
    ),
    "pipeline: a dot in its name": (
        "UNKNOWN",
        'invalid ancestry syntax "a.b", cannot mix . and b characters',
        lambda m: m.create("a.b"),
    ),
    "pipeline: more versions back than a number can say": (
        "UNKNOWN",
        'invalid ancestry syntax "pipe^99999999999999999999", cannot mix ^ and 9 characters',
        lambda m: m.pps.inspect_pipeline(pipeline=m.pipeline("pipe^99999999999999999999")),
    ),
    "pipeline: not so many versions": (
        "UNKNOWN",
        'pipeline "PROJECT/pipe" has only 1 versions, not enough to find ancestor 5',
        lambda m: m.pps.inspect_pipeline(pipeline=m.pipeline("pipe^5")),
    ),
    "pipeline: none": (
        "INVALID_ARGUMENT",
        "validate request: invalid InspectPipelineRequest.Pipeline: value is required",
        lambda m: m.pps.inspect_pipeline(),
    ),
    "pipeline: an empty name": (
        "INVALID_ARGUMENT",
        f"validate request: invalid InspectPipelineRequest.Pipeline: {NAMELESS}",
        lambda m: m.pps.inspect_pipeline(pipeline=m.pipeline("")),
    ),
    "pipeline: none to start": ("UNKNOWN", "request.Pipeline cannot be nil", lambda m: m.pps.start_pipeline()),
    "pipeline: in no project": (
        "NOT_FOUND",
        'pipeline was not inspected: couldn\'t find up to date spec for pipeline "no/pipe": pick commit tx: picking'
        ' commit: picking branch: picking repo: picking project: project "no" not found',
        lambda m: m.pps.inspect_pipeline(pipeline=pps.Pipeline(name="pipe", project=pfs.Project(name="no"))),
    ),
    "job: no pipeline": (
        "NOT_FOUND",
        "jobs @UNKNOWN not found",
        lambda m: m.pps.inspect_job(job=pps.Job(id=UNKNOWN)),
    ),
    "job: none": ("UNKNOWN", "must specify a job", lambda m: m.pps.inspect_job()),
    "job: none to stop": ("UNKNOWN", "Job must be specified", lambda m: m.pps.stop_job()),
    "job: none to delete": ("UNKNOWN", "job cannot be nil", lambda m: m.pps.delete_job()),
    "job: no id": (
        "NOT_FOUND",
        "jobs PROJECT/pipe@ not found",
        lambda m: m.pps.inspect_job(job=pps.Job(pipeline=m.pipeline("pipe"))),
    ),
    "jobs: an empty name": (
        "INVALID_ARGUMENT",
        f"validate recv: invalid ListJobRequest.Pipeline: {NAMELESS}",
        lambda m: [*m.pps.list_job(pipeline=m.pipeline(""))],
    ),
    "jobs: fewer than none": (
        "UNKNOWN",
        "number must be non-negative",
        lambda m: [*m.pps.list_job_set(number=-1)],
    ),
    "datum: would have no repo": (
        "UNKNOWN",
        NO_REPO,
        lambda m: [*m.pps.list_datum(input=pps.Input(pfs=pps.PfsInput(repo="no", project=m.project.name, glob="/")))],
    ),
    "datum: none": ("UNKNOWN", "must specify a datum", lambda m: m.pps.inspect_datum()),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_words(mistakes: Mistakes, case: Case) -> None:
    code, words, call = case
    assert mistakes.answer(call) == (code, words)
