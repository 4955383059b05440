"""The gate's variables: what they mean, their defaults, and that a wrong one is named."""

from __future__ import annotations

import pytest

from fmnist.errors import FmnistError
from fmnist.test.settings import Floors, Settings


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ACCURACY_THRESHOLD": "91"}, "ACCURACY_THRESHOLD='91'"),
        ({"ACCURACY_THRESHOLD": "high"}, "ACCURACY_THRESHOLD='high'"),
        ({"ACCURACY_THRESHOLD": "nan"}, "ACCURACY_THRESHOLD='nan'"),
        ({"PRODUCTION_MARGIN": "-0.1"}, "PRODUCTION_MARGIN='-0.1'"),
        ({"PRODUCTION_MARGIN": "1 %"}, "PRODUCTION_MARGIN='1 %'"),
        ({"CLASS_FLOOR": "70"}, "CLASS_FLOOR='70': '70'"),
        ({"CLASS_FLOOR": "0.7,Shirt"}, "CLASS_FLOOR='0.7,Shirt': 'Shirt'"),
        ({"CLASS_FLOOR": "=0.5"}, "CLASS_FLOOR='=0.5': '=0.5'"),
        ({"CLASS_FLOOR": "Shirt=low"}, "set it like 0.7 or 0.7,Shirt=0.65"),
        ({"MODEL_VERSION": "v3"}, "MODEL_VERSION='v3'"),
        ({"CI_COMMIT_SHA": "main"}, "CI_COMMIT_SHA='main'"),
    ],
)
def test_unusable_variables_are_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(FmnistError) as refusal:
        Settings.from_environment(variables)
    assert message in str(refusal.value)


def test_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()
    settings = Settings()
    assert (settings.model_name, settings.model_version, settings.threshold) == ("fashion-classifier", None, 0.91)
    assert (settings.floors, settings.margin, settings.test_data) == (Floors(0.7), 0.0, "fmnist-test@master")


def test_an_empty_variable_is_not_set() -> None:
    names = ("MODEL_VERSION", "ACCURACY_THRESHOLD", "CLASS_FLOOR", "PRODUCTION_MARGIN", "CI_COMMIT_SHA", "REPORT_DIR")
    assert Settings.from_environment(dict.fromkeys(names, "")) == Settings()


@pytest.mark.parametrize(
    ("text", "floors"),
    [
        ("0.8", (0.8, 0.8)),
        ("0.8,Shirt=0.65", (0.65, 0.8)),
        ("Shirt=0.65", (0.65, 0.7)),
        ("T-shirt/top=0.9, Shirt = 0.5", (0.5, 0.9)),
    ],
)
def test_floors_by_class(text: str, floors: tuple[float, float]) -> None:
    settings = Settings.from_environment({"CLASS_FLOOR": text})
    assert settings.floors.of(("Shirt", "T-shirt/top")) == floors
