"""The variables of the specs: read, defaulted, and refused by name."""

from __future__ import annotations

import pytest

from data.catalog import CLASS_NAMES
from pipelines import specs
from pipelines.errors import Misconfigured
from pipelines.settings import Settings

NAMES = {"CLASS_NAMES": ",".join(CLASS_NAMES)}


def test_the_label_list_is_any() -> None:
    digits = Settings.from_variables({"CLASS_NAMES": "0, 1,2,3,4,5,6,7,8,9"})
    assert digits.class_names == tuple("0123456789")
    assert digits.profile is None


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "CLASS_NAMES"),
        ({"CLASS_NAMES": "only one"}, "CLASS_NAMES"),
        ({"CLASS_NAMES": "a,b,a"}, "CLASS_NAMES"),
        ({"CLASS_NAMES": "a,,b"}, "CLASS_NAMES"),
        ({**NAMES, "PROFILE": "digits"}, "PROFILE=digits: there is no such profile; there is fashion-mnist"),
        ({"CLASS_NAMES": "a,b", "PROFILE": "fashion-mnist"}, "has 10 classes, CLASS_NAMES has 2"),
        ({**NAMES, "MIN_AGREEMENT": "high"}, "MIN_AGREEMENT=high"),
        ({**NAMES, "MAX_DUPLICATES": "nan"}, "MAX_DUPLICATES=nan"),
        ({**NAMES, "BALANCE_TOLERANCE": "-1"}, "BALANCE_TOLERANCE=-1"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(variables: dict[str, str], words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        Settings.from_variables(variables)


def test_the_specs_name_the_classes_of_the_data_set() -> None:
    for spec in specs.load(None):
        variables = spec.document["transform"]["env"]
        if "CLASS_NAMES" in variables:
            assert Settings.from_variables(variables).class_names == CLASS_NAMES
