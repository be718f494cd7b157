"""The figures, as SVG: drawn offline, the same bytes from the same numbers."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import altair as alt

from tagdistill.artifacts.files import write_text
from tagdistill.formatting import duration
from tagdistill.reporting.charts import BLUE, GREY, ORANGE, LayeredChart, chart_of
from tagdistill.reporting.data_figure import data_figure
from tagdistill.reporting.headline import score_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tagdistill.evaluation.analysis import Analysis, Group
    from tagdistill.reporting.facts import Repeats, Reports, Run, Stage

FIGURES = ("in_language", "zero_shot", "gap_closed", "training", "teachers", "data", "time")
LONGEST = 430  # pixels of a name of 60 characters, the most that one has
WIDTH, HALF, ROW = 560, 400, 28  # HALF: two beside each other on a page
MAX_POINTS = 200  # of a curve: more cannot be seen
MAX_NUMBERED = 25  # languages up to which the heat map shows its numbers
FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"  # of equal widths: what fits here fits elsewhere
TEXT: dict[str, Any] = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
Rows = list[dict[str, Any]]


def draw_figures(
    analysis: Analysis, runs: Sequence[Run], stages: Sequence[Stage], data: tuple[Reports, Repeats], folder: Path
) -> dict[str, str]:
    """Write all FIGURES as folder/NAME.svg and return their SVG; a figure without data says so."""
    charts = {
        "in_language": averages(analysis, "in_language"),
        "zero_shot": averages(analysis, "zero_shot"),
        "gap_closed": gap_closed(analysis),
        "training": training(runs),
        "teachers": teachers(analysis),
        "data": data_figure(*data),
        "time": time(stages),
    }
    figures = {}
    for name in FIGURES:
        figures[name] = svg(charts[name] or nothing("No data for this figure."), name)
        write_text(folder / f"{name}.svg", figures[name])
    return figures


def svg(chart: alt.TopLevelMixin, name: str) -> str:
    """Return the chart as SVG whose ids begin with `name`, so that several can stand in one page."""
    styled = chart.configure(
        background="white",
        padding={"left": 24, "right": 12, "top": 6, "bottom": 6},  # left: labels in a wider font
        font=FONT,
        axis=alt.AxisConfig(gridColor="#8884", domainColor="#8888", tickColor="#8888", labelLimit=LONGEST, **TEXT),
        view=alt.ViewConfig(stroke=None),
        legend=alt.LegendConfig(orient="bottom", columns=5, columnPadding=24, labelLimit=LONGEST, labelFontSize=12),
    )
    buffer = io.StringIO()
    with alt.data_transformers.enable("default", max_rows=None):
        styled.save(buffer, format="svg")
    return _own_ids(buffer.getvalue(), name)


def _own_ids(text: str, name: str) -> str:
    # Vega numbers its ids through a whole process: numbered by figure, they do not depend on what was drawn before.
    ids = {old: f"{name}-{number}" for number, old in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', text)))}
    text = re.sub(r'\bid="([^"]+)"', lambda match: f'id="{ids[match[1]]}"', text)
    return re.sub(r"url\(#([^)]+)\)", lambda match: f"url(#{ids.get(match[1], match[1])})", text)


def nothing(why: str) -> alt.Chart:
    """Return a figure that shows a sentence instead of data."""
    mark = chart_of([{"text": why}]).mark_text(color=GREY, fontSize=13)
    figure: alt.Chart = mark.encode(text="text:N").properties(width=WIDTH, height=40)
    return figure


def averages(analysis: Analysis, key: str) -> alt.TopLevelMixin | None:
    """Draw the average of each objective: dots for seeds, a tick for the mean, a line for one standard deviation."""
    group = next((g for g in analysis.groups if g.key == key), None)
    seeds, means, order = _averages(analysis, group) if group else ([], [], [])
    if not means:
        return None
    y = alt.Y("system:N", sort=order, title=None)
    x = alt.X(
        "value:Q",
        title=f"{score_name(analysis)}, per cent",
        scale=alt.Scale(zero=False, padding=12),
        axis=alt.Axis(tickCount=6),
    )
    colour = alt.Color("kind:N", scale=alt.Scale(domain=["student", "teacher"], range=[BLUE, ORANGE]), legend=None)
    dots = chart_of(seeds).mark_circle(size=45, opacity=0.45).encode(x=x, y=y, color=colour)
    chart = chart_of(means)
    ticks = chart.mark_tick(thickness=3, size=16).encode(x=x, y=y, color=colour)
    spread = chart.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=colour)
    layers = [dots, spread, ticks]
    if base := [row for row in means if row["system"] == "baseline"]:
        line = chart_of(base).mark_rule(strokeDash=[4, 4], color=GREY)
        layers.insert(0, line.encode(x="value:Q"))
    return alt.layer(*layers).properties(width=HALF, height=ROW * len(order))


def _averages(analysis: Analysis, group: Group) -> tuple[Rows, Rows, list[str]]:
    of = analysis.own_and_shared if group.role == "trained" else analysis.shared_teachers
    teachers = [system for decoder in analysis.decoders for system in of(decoder)]
    seeds, means, order = [], [], []
    for system in [*teachers, *analysis.students]:
        value = analysis.average(system, group)
        if value is None:
            continue
        sd = value.sd or 0.0
        head = {"system": system.title, "kind": system.kind}
        order.append(system.title)
        means.append({**head, "value": value.mean, "low": value.mean - sd, "high": value.mean + sd})
        seeds += [{**head, "value": score} for score in analysis.averages(system, group).values()]
    return seeds, means, order


def gap_closed(analysis: Analysis) -> alt.TopLevelMixin | None:
    """Draw the share of the gap that each objective closes on average, with its interval."""
    gaps = [gap for gap in analysis.gaps if not gap.language]
    rows: Rows = [
        {"system": gap.objective, "value": gap.closed.value, "low": gap.closed.low, "high": gap.closed.high}
        for gap in gaps
        if gap.closed
    ]
    if not rows:
        clear = any(gap.gap.above_zero for gap in gaps)
        few = "Too few test sentences" if any(gap.gap.too_few for gap in gaps) else ""
        unclear = few or "No gap to close: the teachers are not clearly better"
        why = "The seeds differ too much" if clear else unclear
        return nothing(f"{why}.") if gaps else None
    y = alt.Y("system:N", sort=[row["system"] for row in rows], title=None)
    chart = chart_of(rows)
    x = alt.X("value:Q", title="gap closed on average, per cent (95% interval)")
    bars = chart.mark_bar(color=BLUE, opacity=0.75, height=14).encode(x=x, y=y)
    lines = chart.mark_rule(color=ORANGE, strokeWidth=2).encode(x="low:Q", x2="high:Q", y=y)
    return alt.layer(bars, lines).properties(width=WIDTH, height=ROW * len(rows))


def training(runs: Sequence[Run]) -> alt.TopLevelMixin | None:
    """Draw the loss, the dev score and the teacher weight of each student over its updates."""
    panels: dict[str, Rows] = {"loss": [], "dev score": [], "teacher weight": []}
    for run in runs:
        if run.model.objective:
            _add_curves(panels, run)
    order = list(dict.fromkeys(run.model.objective for run in runs if run.model.objective))
    drawn = [_curves(title, rows, order) for title, rows in panels.items() if rows]
    return alt.vconcat(*drawn, spacing=14).resolve_scale(x="shared") if drawn else None


def _add_curves(panels: dict[str, Rows], run: Run) -> None:
    head = {"objective": run.model.objective, "run": run.model.name}
    steps = [line for line in run.history if "loss" in line]
    for line in steps[:: max(1, len(steps) // MAX_POINTS)]:
        panels["loss"].append({**head, "update": line["update"], "value": line["loss"]})
        if line.get("teacher_weight") is not None:
            panels["teacher weight"].append({**head, "update": line["update"], "value": line["teacher_weight"]})
    for line in run.history:
        if (dev := line.get("dev")) and dev.get("macro") is not None:
            panels["dev score"].append({**head, "update": line["update"], "value": dev["macro"]})


def _curves(title: str, rows: Rows, order: list[str]) -> alt.Chart:
    logarithmic = title == "loss" and all(row["value"] > 0 for row in rows)
    scale = alt.Scale(type="log", nice=False) if logarithmic else alt.Scale(zero=title == "teacher weight")
    chart = chart_of(rows).mark_line(strokeWidth=1.4, opacity=0.8, clip=True)
    curves: alt.Chart = chart.encode(
        x=alt.X("update:Q", title="updates"),
        y=alt.Y("value:Q", title=title, scale=scale, axis=alt.Axis(tickCount=5)),
        color=alt.Color("objective:N", sort=order, scale=alt.Scale(domain=order, scheme="tableau10"), title=None),
        detail="run:N",
    ).properties(width=WIDTH, height=90 if title == "teacher weight" else 150)
    return curves


def teachers(analysis: Analysis) -> alt.TopLevelMixin | None:
    """Draw the score of each teacher on each language; its own language is framed."""
    drawn = [_heat_map(analysis, decoder) for decoder in analysis.decoders if analysis.matrix(decoder)]
    return alt.vconcat(*drawn) if drawn else None


def _heat_map(analysis: Analysis, decoder: str) -> LayeredChart:
    matrix = analysis.matrix(decoder)
    rows: Rows = [
        {"teacher": teacher, "language": language, "value": value, "text": f"{value:.1f}", "own": teacher == language}
        for teacher, scores in matrix.items()
        for language, value in scores.items()
    ]
    languages = [t.language for t in analysis.targets if any(t.language in scores for scores in matrix.values())]
    middle = (min(row["value"] for row in rows) + max(row["value"] for row in rows)) / 2
    side = max(10, min(46, WIDTH // len(languages)))
    chart = chart_of(rows).encode(
        x=alt.X("language:N", sort=languages, title=None, axis=alt.Axis(labelAngle=0 if side > 30 else -90)),
        y=alt.Y("teacher:N", sort=list(matrix), title=f"teacher ({decoder})"),
    )
    cells = chart.mark_rect().encode(
        color=alt.Color("value:Q", scale=alt.Scale(scheme="blues", zero=False), title=None)
    )
    frames = chart.transform_filter("datum.own").mark_rect(fillOpacity=0, stroke=ORANGE, strokeWidth=2)
    layers: list[alt.Chart] = [cells, frames]
    if len(languages) <= MAX_NUMBERED:
        ink = alt.condition(f"datum.value > {middle!r}", alt.value("white"), alt.value("#15202b"))
        layers.append(chart.mark_text(fontSize=10 if side > 30 else 8).encode(text="text:N", color=ink))
    return alt.layer(*layers).properties(width=side * len(languages), height=max(14, min(26, side)) * len(matrix))


def time(stages: Sequence[Stage]) -> alt.TopLevelMixin | None:
    """Draw the time of each stage, summed over its jobs."""
    rows: Rows = [
        {"stage": s.name, "seconds": s.seconds, "text": f"{duration(s.seconds)}, {_jobs(s.jobs)}"} for s in stages
    ]
    if not rows:
        return None
    y = alt.Y("stage:N", sort=[row["stage"] for row in rows], title=None)
    chart = chart_of(rows)
    most = max(row["seconds"] for row in rows)
    x = alt.X(
        "seconds:Q", title="seconds, summed over all jobs", scale=alt.Scale(domain=[0, most * 1.25 or 1], nice=False)
    )
    bars = chart.mark_bar(color=BLUE, opacity=0.75, height=14).encode(x=x, y=y)
    labels = chart.mark_text(align="left", dx=5, color=GREY, fontSize=11).encode(x=x, y=y, text="text:N")
    return alt.layer(bars, labels).properties(width=WIDTH, height=ROW * len(rows))


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number} jobs"
