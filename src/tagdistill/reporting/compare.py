"""The page that compares two experiments."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
from markupsafe import Markup

from tagdistill import __version__
from tagdistill.artifacts.files import atomic_path, read_json, write_text
from tagdistill.errors import TagdistillError
from tagdistill.evaluation.bootstrap import DRAWS
from tagdistill.evaluation.comparison import Difference, Pair, Side, read_side
from tagdistill.evaluation.significance import BETTER, WORSE
from tagdistill.evaluation.tables import MISSING
from tagdistill.formatting import count
from tagdistill.reporting.charts import BLUE, GREY, LayeredChart, chart_of
from tagdistill.reporting.figures import ROW, WIDTH, svg
from tagdistill.reporting.headline import Number, captions, difference
from tagdistill.reporting.html import Field, Head, Table, plain_table, render
from tagdistill.reporting.notes import bare_tests, small_tests
from tagdistill.reporting.sections import VERDICTS, p_value

GROUPS = {
    "trained": "In-language",
    "trained_out_of_domain": "In-language, out of domain",
    "zero_shot": "Zero-shot",
    "zero_shot_out_of_domain": "Zero-shot, out of domain",
    "other_role": "In other averages in the two experiments",
}
# Keys of a model's config.json that are no settings; `corpora` is shown by itself.
RECORDS = ("versions", "teachers", "licences", "corpora", "seed", "format", "kind", "spec")
FOUND = ("gate", "mix", "weights_sha256")  # by its training; how it was asked for is in `distill` and `encoder`
DECODE = "evaluate.decode"
Configs = dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]  # of both experiments, by the name of a model


def compare(first: Path, second: Path, out: Path, *, draws: int = DRAWS) -> None:
    """Write out/index.html and out/differences.tsv from two folders results/NAME.

    Raises TagdistillError where both are the same folder, DataError where one has no tables, and MismatchError where no
    language and objective were scored on the same test set in both.
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
    recorded = _recorded(pair)
    return {
        "version": __version__,
        "first": pair.first.name,
        "second": pair.second.name,
        "numbers": [_number(pair, group) for group in _groups(pair)],
        "notes": _notes(pair),
        **captions(pair.tests, pair.draws),
        "averages": _averages(pair),
        "languages": _languages(pair),
        "figures": {"differences": Markup(svg(_figure(pair), "differences"))} if pair.averages else {},
        "refused": plain_table(["language", "reason"], list(pair.refused.items()), words=True),
        "missing": _missing(pair),
        "settings": _settings(pair, recorded),
        "recorded": any(recorded.values()),
    }


def _notes(pair: Pair) -> list[str]:
    """Return what a reader must know of the test sets."""
    sizes = {language: pair.bootstrap.fewest([language]) for language in pair.languages}
    return [*small_tests(sizes), *bare_tests([x for x in pair.languages if pair.bootstrap.is_bare(x)])]


def _groups(pair: Pair) -> list[str]:
    """Return the groups of languages in which both experiments have a system."""
    return list(dict.fromkeys(d.group for d in pair.averages))


def _number(pair: Pair, group: str) -> Number:
    """Return the number that summarises a group: the system whose average changed most."""
    differences = [d for d in pair.averages if d.group == group]
    largest = max(differences, key=lambda d: abs(d.difference.value))
    better = sum(d.verdict == BETTER for d in differences)
    worse = sum(d.verdict == WORSE for d in differences)
    tested = any(d.difference.p is not None for d in differences)
    counted = f"{better} of {len(differences)} clearly better, {worse} clearly worse"
    detail = counted if tested else largest.verdict
    what = f"{largest.system} changed most" if largest.difference.value else "no average changed"
    return Number(f"{GROUPS[group]}: {what}", difference(largest.difference), detail, _tone(better, worse))


def _tone(better: int, worse: int) -> str:
    if better and not worse:
        return "good"
    return "bad" if worse and not better else "plain"


def _averages(pair: Pair) -> Table | None:
    rows = []
    for d in pair.averages:
        over = f"{GROUPS[d.group]}, {count(len(d.languages), 'language')}"
        row = (
            d.system,
            Field(over, note=" ".join(d.languages[:8])),
            _score(d.first, d.first_sd),
            _score(d.second, d.second_sd),
            _difference(d),
            p_value(d.difference),
            Field(d.verdict, tone=VERDICTS[d.verdict]),
            f"{d.runs[0]} against {d.runs[1]}",
        )
        rows.append(row)
    head = ["system", "languages", pair.first.name, pair.second.name, "difference", "p, corrected", "verdict", "seeds"]
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
        differences = [cells.get((system, language)) for system in pair.systems]
        rows.append((Head(language, GROUPS[role]), [_cell(d) for d in differences]))
    return Table([Head(system) for system in pair.systems], rows, "language")


def _cell(d: Difference | None) -> Field:
    if d is None:
        return Field(MISSING, tone="missing")
    tone = {BETTER: "good", WORSE: "bad"}.get(d.verdict, "")
    low, high = f"{d.difference.low:+.2f}", f"{d.difference.high:+.2f}"
    return Field(f"{d.difference.value:+.2f}", note=f"[{low}, {high}] {d.first:.1f} → {d.second:.1f}", tone=tone)


def _figure(pair: Pair) -> alt.VConcatChart:
    """Draw the difference of each system with its interval, one panel per group of languages."""
    title = f"{pair.second.name} minus {pair.first.name}, points (95% interval)"
    panels = [_panel([d for d in pair.averages if d.group == group], title) for group in _groups(pair)]
    return alt.vconcat(*panels)


def _panel(differences: Sequence[Difference], title: str) -> LayeredChart:
    rows = [
        {"system": d.system, "value": d.difference.value, "low": d.difference.low, "high": d.difference.high}
        for d in differences
    ]
    chart = chart_of(rows)
    y = alt.Y("system:N", sort=[d.system for d in differences], title=None)
    zero = chart_of([{"zero": 0}]).mark_rule(color=GREY, strokeDash=[4, 4]).encode(x="zero:Q")
    intervals = chart.mark_rule(color=BLUE, strokeWidth=2).encode(x="low:Q", x2="high:Q", y=y)
    dots = chart.mark_circle(color=BLUE, size=70, opacity=1).encode(x=alt.X("value:Q", title=title), y=y)
    layers = alt.layer(zero, intervals, dots)
    return layers.properties(width=WIDTH, height=ROW * len(rows), title=GROUPS[differences[0].group])


def _missing(pair: Pair) -> list[str]:
    """Return the systems that only one of the experiments has."""
    sides = (pair.first, pair.second)
    return [
        f"{system} (not in {other.name})"
        for side, other in (sides, sides[::-1])
        for system in side.scores["system"].unique()
        if system not in set(other.scores["system"])
    ]


# -- settings that differ


def _settings(pair: Pair, recorded: Mapping[str, Configs]) -> Table | None:
    """Return the settings that differ: how the scores were decoded, and those that are recorded with models."""
    decoding = {d.system: pair.decoding(d.system) for d in pair.single}
    decoded: Configs = {system: ({DECODE: first}, {DECODE: second}) for system, (first, second) in decoding.items()}
    kinds: dict[str, Configs] = {"scores": decoded, **recorded}
    rows = [row for kind, configs in kinds.items() for row in _named(kind, configs)]
    return plain_table(["setting", pair.first.name, pair.second.name], rows, words=True)


def _named(kind: str, configs: Configs) -> list[tuple[str, str, str]]:
    """Return the settings that differ; one that differs otherwise in some models than in others has their names."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for name, (first, second) in configs.items():
        for row in _differing(first, second):
            found.setdefault(row, []).append(name)
    return [
        (f"{kind if len(names) == len(configs) else ', '.join(names)}: {key}", left, right)
        for (key, left, right), names in found.items()
    ]


def _recorded(pair: Pair) -> dict[str, Configs]:
    """Return the settings of the models that both experiments have, by kind and name."""
    recorded: dict[str, Configs] = {"student": {}, "teacher": {}}
    for name, models in _shared(pair).items():
        first, second = (_of_seeds(side.folder, names) for side, names in models)
        if first and second:
            kind = "teacher" if models[0][1][0].startswith("teachers/") else "student"
            recorded[kind][name] = first, second
    return recorded


def _of_seeds(folder: Path, models: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a system's models; one that differs between seeds is a tuple of values with the seeds."""
    paths = {Path(model).name: folder / model / "model" / "config.json" for model in models}
    configs = {seed: _config(path) for seed, path in paths.items() if path.is_file()}
    keys = dict.fromkeys(key for config in configs.values() for key in config)
    return {key: _common({seed: config.get(key) for seed, config in configs.items()}) for key in keys}


def _common(values: Mapping[str, Any]) -> Any:
    seeds: dict[str, list[str]] = {}
    for seed, value in values.items():
        seeds.setdefault(_shown(value) or MISSING, []).append(seed)
    if len(seeds) == 1:
        return next(iter(values.values()))
    return tuple(f"{value} ({', '.join(names)})" for value, names in seeds.items())


def _shared(pair: Pair) -> dict[str, list[tuple[Side, list[str]]]]:
    """Return the models of every shared system in each experiment; of teachers, which have one language, of each."""
    shared: dict[str, list[tuple[Side, list[str]]]] = {}
    for system in pair.systems:
        for language in pair.languages:
            models = [(side, side.models(system, language)) for side in (pair.first, pair.second)]
            teachers = system.removeprefix("teachers ")
            name = system if teachers == system else f"teacher {teachers} of {language}"
            if all(names for _, names in models):
                shared.setdefault(name, models)
    return shared


def _config(path: Path) -> dict[str, Any]:
    values = read_json(path)
    settings = {key: value for key, value in values.items() if key not in (*RECORDS, *FOUND)}
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
        values = first.get(key), second.get(key)
        if values[0] != values[1] or isinstance(values[0], tuple):
            yield key, _shown(values[0]), _shown(values[1])


def _shown(value: object) -> str:
    """Write a value as in a config file."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
