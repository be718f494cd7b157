"""The objectives: what each reads of its teachers, whether it is tempered, its reference and its decoder."""

from __future__ import annotations

from typing import Literal, get_args

Objective = Literal[
    "baseline",
    "softmax",
    "token",
    "emission",
    "top_k",
    "top_wk",
    "posterior",
    "posterior+top_wk",
    "structural",
    "scores",
]
OBJECTIVES: tuple[str, ...] = get_args(Objective)
# Which of a teacher's files each objective reads; the registry of losses says the same (a test compares them).
NEEDS: dict[str, tuple[str, ...]] = {
    "baseline": (),
    "softmax": (),
    "token": ("targets",),
    "emission": ("scores",),
    "top_k": ("targets",),
    "top_wk": ("targets",),
    "posterior": ("targets",),
    "posterior+top_wk": ("targets",),
    "structural": ("scores",),
    "scores": ("scores",),
}


def decoder_of(objective: str) -> Literal["crf", "softmax"]:
    """Return the decoder of the student of an objective: `softmax` and `token` are locally normalised."""
    return "softmax" if objective in ("softmax", "token") else "crf"


def needs_of(objective: str) -> tuple[str, ...]:
    """Return which of a teacher's files an objective reads: targets, scores, or none."""
    return NEEDS[objective]


REFERENCES = {"softmax": "softmax", "token": "softmax"}  # all others: baseline


def reference_of(objective: str) -> str:
    """Return what an objective is compared with: the student of the same decoder that has no teachers."""
    return REFERENCES.get(objective, "baseline")


TEMPERED = ("token", "emission", "posterior", "posterior+top_wk")
