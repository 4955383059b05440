"""Addresses come from the variables, then from what the home keeps, then from the defaults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.errors import SettingsError
from localcluster.settings import Settings

PORT = "LOCALCLUSTER_DETERMINED_PORT"


def test_the_defaults_are_those_of_the_readme(tmp_path: Path) -> None:
    settings = Settings.from_environment({"LOCALCLUSTER_HOME": str(tmp_path)})
    assert settings.determined_port == 8080
    assert settings.pachyderm_port == 30650
    assert settings.kubernetes_port == 6443
    assert settings.ingress_port == 8003
    assert settings.slots == 1
    assert settings.home == tmp_path


def test_a_home_remembers_its_ports_until_a_variable_says_otherwise(tmp_path: Path) -> None:
    home = {"LOCALCLUSTER_HOME": str(tmp_path)}
    Settings.from_environment(home | {PORT: "9000"}).save()
    assert Settings.from_environment(home).determined_port == 9000
    assert Settings.from_environment(home | {PORT: "9001"}).determined_port == 9001


@given(st.integers(1, 65535), st.integers(1, 65535), st.integers(1, 1024))
def test_the_environment_of_settings_reads_back_as_the_same_settings(a: int, b: int, slots: int) -> None:
    settings = Settings.from_environment({"LOCALCLUSTER_HOME": "/nowhere/with a space"})
    settings = replace(settings, determined_port=a, ingress_port=b, slots=slots)
    assert Settings.from_environment(settings.environment()) == settings


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "8080 ", "²"])
def test_a_port_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=PORT):
        Settings.from_environment({"LOCALCLUSTER_HOME": str(tmp_path), PORT: text})
