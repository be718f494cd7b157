"""Valid settings, of which the tests change one value."""

from __future__ import annotations

from typing import Any

import pytest
from nested import with_value

from tagdistill.errors import ConfigError
from tagdistill.experiment.config import check_experiment

VALID: dict[str, Any] = {
    "name": "study",
    "task": "ner",
    "labels": ["PER", "LOC"],
    "languages": {
        "en": {"source": "demo"},
        "fr": {"format": "conll", "train": "fr/train.conll", "test": {"path": "fr/test.conll", "take": "0:10"}},
    },
    "zero_shot": {"de": {"source": "demo"}},
    "encoder": {"provider": "tiny", "tap": 2},
    "teacher": {"updates": 6, "seeds": [0, 1]},
    "student": {"updates": 8, "head": "linear"},
    "distill": {"objectives": ["baseline", "posterior"], "k": 4, "anneal": {"from": 0.9, "to": 0.1}},
    "seeds": [0, 1],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the valid settings with one key (dots between levels) set, or removed where the value is `...`."""
    return with_value(VALID, path.split("."), value)


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        check_experiment(values, "study.yaml")
    return str(caught.value)
