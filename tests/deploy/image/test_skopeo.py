"""What a registry says of an image that it does not have, as skopeo passes it on."""

from __future__ import annotations

import subprocess

import pytest

from deploy.release import programs, skopeo
from deploy.release.errors import BuildError


def says(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    done = subprocess.CompletedProcess(("skopeo",), 1, b"", f'level=fatal msg="Error reading image: {words}"'.encode())
    monkeypatch.setattr(programs, "attempt", lambda *command: done)


@pytest.mark.parametrize(
    "words",
    [
        "reading manifest v3 in registry.example.com/group/project: manifest unknown",
        "reading manifest v3 in registry.example.com/project: name unknown: repository name not known to registry",
        # Harbor (containers/image, issue 2203).
        "reading manifest v3 in harbor.example.com/team/image: unknown: artifact team/image:v3 not found",
        "reading manifest v3 in harbor.example.com/team/image: unknown: repository team/image not found",
    ],
)
def test_an_absent_image_is_one_to_build(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    says(monkeypatch, words)
    assert skopeo.manifest("registry.example.com/group/project:v3") is None


@pytest.mark.parametrize(
    "words",
    [
        "unable to retrieve auth token: invalid username/password: unauthorized: authentication required",
        "pinging container registry registry.example.com: dial tcp: lookup registry.example.com: no such host",
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    ],
)
def test_a_registry_that_cannot_be_asked_is_an_error(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    says(monkeypatch, words)
    with pytest.raises(BuildError):
        skopeo.manifest("registry.example.com/group/project:v3")
