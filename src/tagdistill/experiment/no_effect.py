"""Notes about what a config asks for and its data do not have: scores without test sets, text or types not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.settings.distill import Distill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tagdistill.experiment.runs import Runs


def no_effect(runs: Runs) -> list[str]:
    """Return a warning where nothing can be scored, or a type looks like a tag, and notes of ratios of no text."""
    lines = []
    if not runs.tested:
        lines.append("warning: no language has a test set: nothing can be scored. Give one a `test` split")
    if not runs.with_split("unlabelled") and not runs.zero_shot_text:
        ratios = _ratios(runs.experiment.distill)
        lines += [f"note: `{key}` changes nothing: no language has an `unlabelled` split" for key in ratios]
    if not isinstance(labels := runs.experiment.labels, str):
        tags = [name for name in labels if name.startswith(("B-", "I-"))]
        lines += [
            f"warning: `labels:` has {tag!r}, a tag among types: give the type alone, {tag[2:]!r}" for tag in tags
        ]
    return lines


def _ratios(distill: Distill) -> Iterator[str]:
    """Yield the ratios that are above 0 and not the default."""
    given = {"distill": distill.unlabelled_ratio}
    for number, entry in enumerate(distill.objectives):
        given[f"distill.objectives.{number}"] = 0 if isinstance(entry, str) else entry.unlabelled_ratio or 0
    for key, ratio in given.items():
        if ratio not in (0, Distill.model_fields["unlabelled_ratio"].default):
            yield f"{key}.unlabelled_ratio: {ratio:g}"
