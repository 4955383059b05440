"""Under which name a checkpoint is registered, and which model a training is spared by."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from determined.common.api import authentication, bindings
from determined.common.api import errors as api_errors

from fmnist import artifacts, registry
from fmnist.errors import PlatformUnreachable, RegistryError
from fmnist.model import register, submit


@pytest.mark.parametrize(("given", "name"), [("digits", "digits"), ("", "fashion-classifier")])
def test_the_model_is_the_one_that_the_gate_resolves(monkeypatch: pytest.MonkeyPatch, given: str, name: str) -> None:
    """Else a schedule's training would go into one model, and the gate judge the newest version of another."""
    monkeypatch.setenv("MODEL_NAME", given)
    asked: list[str] = []

    def registered(model: str, _: str) -> tuple[Any, bool]:
        asked.append(model)
        return SimpleNamespace(model_name=model, model_version=1), True

    def newest(_: object, model: str) -> None:
        asked.append(model)
        raise RegistryError("none")

    monkeypatch.setattr(artifacts, "read", lambda *_: {"checkpoint_uuid": "u-1"})
    monkeypatch.setattr(artifacts, "write", lambda *_: None)
    monkeypatch.setattr(register, "register", registered)
    monkeypatch.setattr(registry, "connect", lambda: None)
    monkeypatch.setattr(registry, "resolve_version", newest)
    assert register.main() == 0
    assert submit.main(["--reuse"]) == 1
    assert asked == [name, name]


def test_what_others_wrote_into_a_version_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate runs for a while, and the API replaces the whole metadata."""
    sent: list[Any] = []

    class Version(SimpleNamespace):
        def reload(self) -> None:
            self.metadata = {"owner": "me", "note": "written while the gate ran"}

    monkeypatch.setattr(registry, "session", lambda: None)
    monkeypatch.setattr(bindings, "patch_PatchModelVersion", lambda _, body, **__: sent.append(body.metadata))
    version: Any = Version(model_name="fashion-classifier", model_version=1, metadata={"owner": "somebody"})
    registry.merge_metadata(version, {"gate": {"passed": True}})
    assert sent == [{"owner": "me", "note": "written while the gate ran", "gate": {"passed": True}}]


@pytest.mark.parametrize("connect", [registry.connect, registry.session])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (api_errors.UnauthenticatedException(), "refuses the login; set DET_USER and DET_PASS, .* after make reset"),
        (api_errors.InvalidCredentialsException(), "refuses the login"),
        (api_errors.MasterNotFoundException("no answer"), "no answer; is it up"),
    ],
)
def test_a_refused_login_is_not_taken_for_a_master_that_is_down(
    connect: Callable[[], object], error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a password from before `make reset`, which a shell still has."""

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("DET_MASTER", "http://127.0.0.1:9")
    monkeypatch.setattr(registry, "Determined", refuse)
    monkeypatch.setattr(authentication, "login_with_cache", refuse)
    with pytest.raises(PlatformUnreachable, match=words):
        connect()
