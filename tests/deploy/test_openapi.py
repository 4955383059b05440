"""The OpenAPI document is valid, and the running service keeps to it, whatever schemathesis makes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from openapi_spec_validator import validate

from deploy.fashion_classifier.openapi import example_request
from tests.deploy.microservice import Microservice
from tests.deploy.tiny_model import LABELS

pytestmark = pytest.mark.xdist_group("microservice")

DOCUMENT = "/api/v1.0/doc/openapi.json"
NOT_DESCRIBED = ("ignored_auth", "positive_data_acceptance")
"""Nothing is secret, and no schema says that a shape and the number of its values belong together."""


def test_the_document_is_valid_openapi_and_names_the_classes(microservice: Microservice) -> None:
    document = microservice.get(DOCUMENT).json()
    validate(document)
    for _ in range(8):
        assert microservice.get("/api/v1.0/doc/seldon.json").json() == document, "from either worker"
    assert document["components"]["schemas"]["Answer"]["properties"]["data"]["oneOf"][0]["properties"]["names"] == {
        "type": "array",
        "items": {"type": "string", "enum": LABELS},
    }


def test_its_examples_are_what_the_service_answers(microservice: Microservice) -> None:
    document = microservice.get(DOCUMENT).json()
    prediction = document["paths"]["/api/v1.0/predictions"]["post"]
    sent = prediction["requestBody"]["content"]["application/json"]["example"]
    assert sent == example_request()
    answer = microservice.post(sent).json()
    assert answer["data"] == prediction["responses"]["200"]["content"]["application/json"]["example"]["data"]
    refusal = microservice.post({"data": {"tensor": {"shape": [28, 28], "values": [0] * 783}}}).json()
    assert refusal == document["components"]["responses"]["400"]["content"]["application/json"]["example"]
    unknown = microservice.get("/api/v1.0/status/other").json()
    assert unknown == document["components"]["responses"]["404"]["content"]["application/json"]["example"]
    for message, schema in ((sent, "Request"), (answer, "Answer"), (refusal, "Error")):
        jsonschema.validate(message, {"$ref": f"#/components/schemas/{schema}", **document})
    feedback = document["paths"]["/api/v1.0/feedback"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert microservice.post(feedback, "/api/v1.0/feedback").status_code == 200


@pytest.mark.parametrize(
    "examples", [pytest.param(5, marks=pytest.mark.slow), pytest.param(500, marks=pytest.mark.long)]
)
def test_answers_keep_to_the_document(microservice: Microservice, tmp_path: Path, examples: int) -> None:
    options = {
        "url": microservice.url,
        "max-examples": examples,
        "phases": "examples,coverage,fuzzing",
        "checks": "all",
        "exclude-checks": ",".join(NOT_DESCRIBED),
        "request-timeout": 30,
        "suppress-health-check": "all",
        "warnings": "off",
    }
    command = [sys.executable, "-m", "schemathesis.cli", "run", microservice.url + DOCUMENT]
    command += ["--generation-deterministic", "--continue-on-failure", "--no-color"]
    command += [f"--{name}={value}" for name, value in options.items()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert microservice.post(example_request()).ok
    assert "Tested: 10" in done.stdout
