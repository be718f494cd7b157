"""The figure of the data: sentence lengths, and the share of test sentences that repeat the training text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from tagdistill.reporting.charts import GREY, ORANGE, LayeredChart, chart_of
from tagdistill.settings.language import SPLITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tagdistill.reporting.facts import Repeats, Reports

WIDTH, ROW = 420, 18  # of a panel, and of one language in it: languages may be many


def data_figure(reports: Reports, repeats: Repeats) -> alt.VConcatChart | None:
    """Draw the sentence lengths of each language, and how many test sentences also occur in text of the training.

    The lengths are those of the training text, or of the test text where there is no other.
    """
    charts = [chart for chart in (_lengths(reports), _repeats(repeats)) if chart is not None]
    return alt.vconcat(*charts, spacing=18).resolve_scale(color="independent") if charts else None


def _lengths(reports: Reports) -> alt.Chart | None:
    rows = [row for language, report in reports.items() for row in _length_shares(language, report)]
    if not rows:
        return None
    names = [row["words"] for row in sorted(rows, key=lambda row: row["place"])]
    domain = list(dict.fromkeys(names))
    chart = chart_of(rows).mark_bar(height=ROW - 5)
    figure: alt.Chart = chart.encode(
        x=alt.X("share:Q", title="sentences by length, per cent", scale=alt.Scale(domain=[0, 100], nice=False)),
        y=alt.Y("language:N", sort=list(reports), title=None),
        color=alt.Color("words:N", sort=domain, scale=alt.Scale(domain=domain, scheme="viridis"), title="words"),
        order=alt.Order("place:Q"),
    ).properties(width=WIDTH, height=ROW * len({row["language"] for row in rows}))
    return figure


def _length_shares(language: str, report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the share of each length in the first split of a language, without lengths that do not occur."""
    split = next((split for split in SPLITS if split in report.get("splits", {})), None)
    histogram = (report["splits"][split].get("lengths") or {}).get("histogram") if split else None
    if not histogram:
        return []
    total = sum(histogram["sentences"])
    rows = []
    lower = 1
    for place, (upper, count) in enumerate(zip(histogram["up_to"], histogram["sentences"], strict=True)):
        if count:
            share = 100 * count / total
            rows.append({"language": language, "words": _range(lower, upper), "place": place, "share": share})
        lower = (upper or lower) + 1
    return rows


def _range(lower: int, upper: int | None) -> str:
    """Name the lengths from `lower` to `upper`, which is None for the last and open one."""
    if upper is None:
        return f"over {lower - 1}"
    return f"{lower} to {upper}" if upper > lower else str(upper)


def _repeats(repeats: Repeats) -> LayeredChart | None:
    rows = []
    for language, found in repeats.items():
        if places := found["places"]:
            share = 100 * len(places) / found["sentences"]
            rows.append({"language": language, "share": share, "text": f"{len(places):,} of {found['sentences']:,}"})
    if not rows:
        return None
    chart = chart_of(rows)
    most = max(row["share"] for row in rows)
    x = alt.X(
        "share:Q",
        title="test sentences that also occur in text of the training, per cent",
        scale=alt.Scale(domain=[0, most * 1.3], nice=False),
    )
    y = alt.Y("language:N", sort=list(repeats), title=None)
    bars = chart.mark_bar(color=ORANGE, opacity=0.8, height=ROW - 5).encode(x=x, y=y)
    labels = chart.mark_text(align="left", dx=5, color=GREY, fontSize=11).encode(x=x, y=y, text="text:N")
    return alt.layer(bars, labels).properties(width=WIDTH, height=ROW * len(rows))
