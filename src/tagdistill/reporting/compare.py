"""The page that sets two experiments beside each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import altair as alt
from markupsafe import Markup

from tagdistill import __version__
from tagdistill.artifacts.files import atomic_path, read_json, write_text
from tagdistill.errors import TagdistillError
from tagdistill.evaluation.comparison import Difference, Pair, read_side
from tagdistill.evaluation.significance import DRAWS
from tagdistill.evaluation.tables import MISSING
from tagdistill.reporting.charts import chart_of
from tagdistill.reporting.figures import BLUE, GREY, ROW, WIDTH, svg
from tagdistill.reporting.headline import Number, difference
from tagdistill.reporting.html import Field, Head, Table, plain_table, render
from tagdistill.reporting.sections import VERDICTS

if TYPE_CHECKING:
    from pathlib import Path

GROUPS = {
    "trained": "In-language",
    "trained_out_of_domain": "In-language, out of domain",
    "zero_shot": "Zero-shot",
    "zero_shot_out_of_domain": "Zero-shot, out of domain",
    "other_role": "Averaged with others in the two",
}
# No settings, or told apart
NOT_SETTINGS = (
    "versions",
    "teachers",
    "licences",
    "corpora",
    "seed",
    "format",
    "kind",
    "spec",
)


def compare(first: Path, second: Path, out: Path, *, draws: int = DRAWS) -> None:
    """Write out/index.html and out/differences.tsv from two folders results/NAME.

    Raises MismatchError where no language and objective were scored on the same test set in both.
    """
    names = [folder.resolve().name for folder in (first, second)]
    if first.resolve() == second.resolve():
        raise TagdistillError("this is one experiment, not two", where=str(first))
    if names[0] == names[1]:
        names = [str(first), str(second)]
    pair = Pair(read_side(first, names[0]), read_side(second, names[1]), draws=draws)
    with atomic_path(out / "differences.tsv") as temporary:
        pair.frame().to_csv(temporary, sep="\t", index=False, float_format="%.4f", lineterminator="\n")
    write_text(out / "index.html", render("compare.html.j2", **_page(pair)))


def _page(pair: Pair) -> dict[str, Any]:
    return {
        "version": __version__,
        "first": pair.first.name,
        "second": pair.second.name,
        "numbers": [_number(pair, group) for group, _ in pair.groups()],
        "draws": pair.draws,
        "averages": _averages(pair),
        "languages": _languages(pair),
        "figures": {"differences": Markup(svg(_figure(pair), "differences"))},
        "refused": plain_table(["language", "why it is not compared"], list(pair.refused.items()), words=True),
        "missing": _missing(pair),
        "settings": _settings(pair),
    }


def _number(pair: Pair, group: str) -> Number:
    """Return the number that sums up a group: the system whose average moved most."""
    found = [d for d in pair.averages if d.group == group]
    most = max(found, key=lambda d: abs(d.difference.value))
    better, worse = (sum(d.verdict == verdict for d in found) for verdict in ("better", "worse"))
    tone = "good" if better and not worse else "bad" if worse and not better else "plain"
    detail = f"{better} clearly better, {worse} clearly worse, of {len(found)}"
    return Number(f"{GROUPS[group]}: {most.system} moved most", difference(most.difference), detail, tone)


def _averages(pair: Pair) -> Table | None:
    rows = []
    for d in pair.averages:
        over = f"{GROUPS[d.group]}, {len(d.languages)} {'language' if len(d.languages) == 1 else 'languages'}"
        verdict = Field(d.verdict, tone=VERDICTS[d.verdict])
        scores = (_score(d.first, d.first_sd), _score(d.second, d.second_sd))
        rows.append(
            (
                d.system,
                Field(over, note=" ".join(d.languages[:8])),
                *scores,
                _difference(d),
                verdict,
                f"{d.runs[0]} against {d.runs[1]}",
            )
        )
    head = ["system", "languages", pair.first.name, pair.second.name, "difference", "verdict", "seeds"]
    return plain_table(head, rows, words=True)


def _score(value: float, sd: float) -> Field:
    return Field(f"{value:.2f}", extra="" if math.isnan(sd) else f"± {sd:.2f}")


def _difference(d: Difference) -> Field:
    return Field(f"{d.difference.value:+.2f}", note=f"[{d.difference.low:+.2f}, {d.difference.high:+.2f}]")


def _languages(pair: Pair) -> Table:
    """Return the difference of every system (column) in every language (row)."""
    cells = {(d.system, d.group): d for d in pair.single}
    rows = []
    for language, role in pair.languages.items():
        found = [cells.get((system, language)) for system in pair.systems]
        rows.append((Head(language, GROUPS[role]), [_cell(d) for d in found]))
    return Table([Head(system) for system in pair.systems], rows, "language")


def _cell(d: Difference | None) -> Field:
    if d is None:
        return Field(MISSING, tone="missing")
    tone = {"better": "good", "worse": "bad"}.get(d.verdict, "")
    low, high = f"{d.difference.low:+.2f}", f"{d.difference.high:+.2f}"
    return Field(f"{d.difference.value:+.2f}", note=f"[{low}, {high}] {d.first:.1f} → {d.second:.1f}", tone=tone)


def _figure(pair: Pair) -> alt.TopLevelMixin:
    rows = [
        {
            "system": d.system,
            "group": GROUPS[d.group],
            "value": d.difference.value,
            "low": d.difference.low,
            "high": d.difference.high,
        }
        for d in pair.averages
    ]
    panels = []
    for group in dict.fromkeys(row["group"] for row in rows):
        part = [row for row in rows if row["group"] == group]
        every = chart_of(part)
        y = alt.Y("system:N", sort=[str(row["system"]) for row in part], title=None)
        x = alt.X("value:Q", title=f"{pair.second.name} less {pair.first.name}, points (95 % interval)")
        zero = chart_of([{"zero": 0}]).mark_rule(color=GREY, strokeDash=[4, 4]).encode(x="zero:Q")
        lines = every.mark_rule(color=BLUE, strokeWidth=2).encode(x="low:Q", x2="high:Q", y=y)
        dots = every.mark_circle(color=BLUE, size=70, opacity=1).encode(x=x, y=y)
        layers = alt.layer(zero, lines, dots)
        panels.append(layers.properties(width=WIDTH, height=ROW * len(part), title=group))
    return alt.vconcat(*panels)


def _missing(pair: Pair) -> list[str]:
    """Return the systems that one of the two lacks."""
    sides = (pair.first, pair.second)
    return [
        f"{system} (not in {other.name})"
        for side, other in (sides, sides[::-1])
        for system in side.scores["system"].unique()
        if system not in set(other.scores["system"])
    ]


# -- what differs in the settings


def _settings(pair: Pair) -> Table | None:
    rows: list[tuple[str, str, str]] = []
    for kind, models in (("student", _shared(pair, "student")), ("teacher", _shared(pair, "teacher"))):
        if models:
            configs = [_config(side.folder / model / "model" / "config.json") for side, model in models]
            rows += [(f"{kind}: {key}", *values) for key, *values in _differing(*configs)]  # type: ignore[misc]
    return plain_table(["setting", pair.first.name, pair.second.name], rows, words=True)


def _shared(pair: Pair, kind: str) -> list[tuple[Any, str]]:
    """Return one model of each side that should differ in what the experiments differ in alone."""
    for system in [x for x in pair.systems if x.startswith("teachers") == (kind == "teacher")][::-1]:
        for language in pair.languages:
            found = [(side, side.models(system, language)) for side in (pair.first, pair.second)]
            if all(models for _, models in found):
                return [(side, models[0]) for side, models in found]
    return []


def _config(path: Path) -> dict[str, Any]:
    values = read_json(path) if path.is_file() else {}
    settings = {key: value for key, value in values.items() if key not in NOT_SETTINGS}
    texts = {f"training text of {language}": sha[:12] for language, sha in (values.get("corpora") or {}).items()}
    return {**dict(_flat(settings)), **texts}


def _flat(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{path}{key}.")
        else:
            yield f"{path}{key}", item


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for key in {**first, **second}:
        if first.get(key) != second.get(key):
            yield key, _shown(first.get(key)), _shown(second.get(key))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
