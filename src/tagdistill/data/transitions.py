"""Which labels may follow one another in well-formed BIOES."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tagdistill.data.labels import CONTINUED, OUTSIDE, has_spans, prefix_and_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


FORBIDDEN = -1e4  # score of a transition that constrained decoding rules out


class Transitions(NamedTuple):
    """What a well-formed label sequence may start with, hold side by side, and end with."""

    start: NDArray[np.bool_]  # [labels]
    between: NDArray[np.bool_]  # [labels, labels], [from, to]
    end: NDArray[np.bool_]  # [labels]


def allowed_transitions(labels: Sequence[str]) -> Transitions:
    """Return the masks for constrained decoding: all true for a tag set, the rules of BIOES for spans."""
    if not has_spans(labels):
        return Transitions(np.ones(len(labels), bool), np.ones((len(labels),) * 2, bool), np.ones(len(labels), bool))
    before = np.array([_follows(OUTSIDE, label) for label in labels])
    between = np.array([[_follows(left, right) for right in labels] for left in labels])
    after = np.array([_follows(label, OUTSIDE) for label in labels])
    return Transitions(before, between, after)


def _follows(left: str, right: str) -> bool:
    (prefix, kind), (next_prefix, next_kind) = prefix_and_type(left), prefix_and_type(right)
    if prefix in CONTINUED:
        return next_prefix in "IE" and kind == next_kind
    return next_prefix in "OBS"
