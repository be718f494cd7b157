"""What the page tells of the data beside the table of splits: labels, characters, repeats, and scores without them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from tagdistill.evaluation.tables import MISSING
from tagdistill.evaluation.variants import Variant, repeated_sentences
from tagdistill.reporting.charts import chart_of
from tagdistill.reporting.html import Field, Head, Table, plain_table
from tagdistill.settings.language import SPLITS

CHARACTERS = {
    "zero_width": "with a zero-width character",
    "only_zero_width": "of such alone",
    "no_break_space": "with a no-break space",
    "other_white_space": "with other white space",
    "replacement_character": "with U+FFFD",
    "not_nfc": "not in NFC",
}
WIDTH, ROW = 420, 18
Reports = Mapping[str, Mapping[str, Any]]


def splits(reports: Reports) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield language, split and facts, splits in their usual order."""
    for language, report in reports.items():
        for split in SPLITS:
            if split in report.get("splits", {}):
                yield language, split, report["splits"][split]


def label_table(reports: Reports) -> Table | None:
    """Return how often each type (of spans) or tag occurs in every labelled split."""
    rows = []
    for language, split, facts in splits(reports):
        if labels := facts.get("labels"):
            counts = labels.get("spans", labels.get("tokens", {}))  # a language without spans is counted too
            bare = labels.get("sentences_without_spans")
            rows.append((f"{language} {split}", counts, bare))
    names = sorted({name for _, counts, _ in rows for name in counts})
    if not names:
        return None
    heads = [Head(name) for name in names]
    spans = any(bare is not None for *_, bare in rows)
    shown = []
    for title, counts, bare in rows:
        cells = [Field(f"{counts.get(name, 0):,}") for name in names]
        shown.append((Head(title), cells + ([Field(f"{bare:,}" if bare is not None else MISSING)] if spans else [])))
    return Table(heads + ([Head("sentences without any")] if spans else []), shown, "split").narrow()


def character_table(reports: Reports) -> Table | None:
    """Return how many words hold characters worth knowing of, in the splits that have such words."""
    rows = []
    for language, split, facts in splits(reports):
        found = facts.get("characters") or {}
        if any(found.get(name) for name in CHARACTERS):
            rows.append((f"{language} {split}", *(found.get(name, 0) for name in CHARACTERS)))
    return plain_table(["words", *CHARACTERS.values()], rows)


def variant_table(variants: Iterable[Variant], kind: str) -> Table | None:
    """Return the other readings of one kind: systems by languages, the main score small below."""
    found = {(v.system, v.language): v for v in variants if v.kind == kind}
    languages = list(dict.fromkeys(language for _, language in found))
    systems = list(dict.fromkeys(system for system, _ in found))
    rows = [(Head(system), [_variant(found.get((system, x))) for x in languages]) for system in systems]
    heads = [Head(x, _left_out(kind, [v for (_, y), v in found.items() if y == x])) for x in languages]
    return Table(heads, rows, "system").narrow() if rows else None


def _variant(found: Variant | None) -> Field:
    if found is None:
        return Field(MISSING, tone="missing")
    return Field(f"{found.other:.2f}", note=f"all: {found.main:.2f}")


def _left_out(kind: str, found: Sequence[Variant]) -> str:
    if kind == "unrepeated":
        return f"without {found[0].left_out:.0f} of {found[0].of:,} sentences"
    least, most = (f(v.left_out for v in found) for f in (min, max))
    return f"without {least:.0f}" + (f" to {most:.0f}" if round(most) > round(least) else "") + " spans"


def data_figure(reports: Reports) -> Any:
    """Draw the lengths of each language's training (else test) sentences, and how many test sentences it repeats."""
    charts = [chart for chart in (_lengths(reports), _repeats(reports)) if chart is not None]
    return alt.vconcat(*charts, spacing=18).resolve_scale(color="independent") if charts else None


def _lengths(reports: Reports) -> Any:
    rows, order = [], []
    for language, report in reports.items():
        split = next((s for s in SPLITS if s in report.get("splits", {})), None)
        histogram = (report["splits"][split].get("lengths") or {}).get("histogram") if split else None
        total = sum(histogram["sentences"]) if histogram else 0
        if not histogram or not total:
            continue
        lower = 1
        for place, (upper, count) in enumerate(zip(histogram["up_to"], histogram["sentences"], strict=True)):
            name = f"over {lower - 1}" if upper is None else str(upper) if upper == lower else f"{lower} to {upper}"
            if count:
                rows.append({"language": language, "words": name, "place": place, "share": 100 * count / total})
                order.append((place, name))
            lower = (upper or lower) + 1
    if not rows:
        return None
    names = [name for _, name in sorted(set(order))]
    color = alt.Color("words:N", sort=names, scale=alt.Scale(domain=names, scheme="viridis"), title="words")
    chart = chart_of(rows).mark_bar(height=ROW - 5)
    return chart.encode(
        x=alt.X("share:Q", title="sentences by length, per cent", scale=alt.Scale(domain=[0, 100], nice=False)),
        y=alt.Y("language:N", sort=list(reports), title=None),
        color=color,
        order=alt.Order("place:Q"),
    ).properties(width=WIDTH, height=ROW * len({row["language"] for row in rows}))


def _repeats(reports: Reports) -> Any:
    rows = []
    for language, report in reports.items():
        places, facts = repeated_sentences(report), report.get("splits", {}).get("test")
        if facts and places:
            share = 100 * len(places) / facts["sentences"]
            rows.append({"language": language, "share": share, "text": f"{len(places):,} of {facts['sentences']:,}"})
    if not rows:
        return None
    every = chart_of(rows)
    most = max(row["share"] for row in rows)
    x = alt.X(
        "share:Q",
        title="test sentences that the training text holds, per cent",
        scale=alt.Scale(domain=[0, most * 1.3], nice=False),
    )
    y = alt.Y("language:N", sort=list(reports), title=None)
    bars = every.mark_bar(color="#e0772b", opacity=0.8, height=ROW - 5).encode(x=x, y=y)
    labels = every.mark_text(align="left", dx=5, color="#7f8894", fontSize=11).encode(x=x, y=y, text="text:N")
    return alt.layer(bars, labels).properties(width=WIDTH, height=ROW * len(rows))
