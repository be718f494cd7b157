"""The tables of the report page; each function returns None where there is nothing to show."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.provenance import versions
from tagdistill.data.readers.notes import DOCUMENT_BORDERS, NULS, TABS_IN_TOKENS, note_lines
from tagdistill.evaluation.significance import BETTER, ONE_SEED, TOO_FEW, UNCLEAR, WORSE
from tagdistill.evaluation.tables import MISSING, matrix_frame
from tagdistill.formatting import count, disk, duration, probability
from tagdistill.reporting.facts import feature_sizes, non_commercial, splits, target_sizes
from tagdistill.reporting.html import Field, Head, Table, plain_table
from tagdistill.settings.distill import OWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tagdistill.evaluation.analysis import Analysis, Gap
    from tagdistill.evaluation.significance import Interval
    from tagdistill.reporting.facts import Reports, Run, Stage

VERDICTS = {BETTER: "good", WORSE: "bad", UNCLEAR: "plain", ONE_SEED: "plain", TOO_FEW: "plain"}
PLURAL = re.compile(r"(.*?)s\b(.*)")
ONE = {  # of the kinds of notes where more than the noun is plural
    DOCUMENT_BORDERS: "-DOCSTART- line read as a border of documents",
    TABS_IN_TOKENS: "token that holds a TAB",
    NULS: "line or row that holds the character NUL",
}
TEXTS = {"train": "own training text", "test": "unseen text"}


def gap_table(analysis: Analysis) -> Table | None:
    """Return the gap, and the share of it that each objective closes, in each language and on average."""
    gaps = {(gap.objective, gap.language): gap for gap in analysis.gaps}
    languages = [x for x in (*analysis.languages("trained"), "") if any(key[1] == x for key in gaps)]
    rows: list[tuple[Head, list[Field]]] = []
    seen = set()
    for objective in dict.fromkeys(objective for objective, _ in gaps):
        first = next(gap for gap in gaps.values() if gap.objective == objective)
        if (compared := (first.decoder, first.taught_by, first.reference)) not in seen:
            seen.add(compared)
            by = "" if first.taught_by == OWN else f" {first.taught_by}"
            title = f"gap: teachers{by} ({first.decoder}) − {first.reference}"
            rows.append((Head(title, tone="teacher"), [_gap(gaps.get((objective, x))) for x in languages]))
        rows.append((Head(objective, tone="student"), [_closed(gaps.get((objective, x))) for x in languages]))
    heads = [Head(x) if x else Head("average", tone="average") for x in languages]
    return Table(heads, rows).narrow() if rows else None


def _gap(gap: Gap | None) -> Field:
    if gap is None:
        return Field(MISSING, tone="missing")
    return Field(f"{gap.gap.value:+.2f}", note=f"[{gap.gap.low:+.2f}, {gap.gap.high:+.2f}]")


def _closed(gap: Gap | None) -> Field:
    if gap is None:
        return Field(MISSING, tone="missing")
    if gap.closed is None:
        return Field(gap.verdict, tone="quiet")
    return Field(f"{gap.closed.value:.0f}%", note=f"[{gap.closed.low:.0f}, {gap.closed.high:.0f}]")


def comparison_table(analysis: Analysis) -> Table | None:
    """Return every comparison with its interval."""
    titles = {group.key: group.title for group in analysis.groups}
    rows = []
    for c in analysis.comparisons:
        points = Field(f"{c.difference.value:+.2f}", note=f"[{c.difference.low:+.2f}, {c.difference.high:+.2f}]")
        verdict = Field(c.verdict, tone=VERDICTS[c.verdict])
        up = f"{c.up} of {c.languages}"
        left_out = f"without {', '.join(c.left_out)}" if c.left_out else ""
        seeds = f"{c.runs} against {c.reference_runs}"
        improved = Field(up, note=left_out)
        rows.append((c.title, c.reference, titles[c.group], points, p_value(c.difference), verdict, improved, seeds))
    head = ["system", "reference", "languages", "difference", "p, corrected", "verdict", "languages improved", "seeds"]
    return plain_table(head, rows, words=True)


def p_value(found: Interval) -> Field:
    """Return a corrected p as text; a dash where there is no verdict."""
    if found.p_holm is None:
        return Field(MISSING, tone="missing")
    return Field(probability(found.p_holm))


def matrix_table(analysis: Analysis) -> Table | None:
    """Return the score of each teacher on each language; its own language is marked."""
    frame = matrix_frame(analysis)
    several = len(analysis.decoders) > 1
    languages = [column for column in frame.columns[2:] if frame[column].notna().any()]
    rows = []
    for row in frame.to_dict("records"):
        cells = [_matrix_cell(row[x], own=x == row["teacher"]) for x in languages]
        rows.append((Head(row["teacher"] + (f" ({row['decoder']})" if several else "")), cells))
    return Table([Head(x) for x in languages], rows, "teacher").narrow() if rows else None


def _matrix_cell(value: float, *, own: bool) -> Field:
    return Field(f"{value:.2f}", tone="own" if own else "") if value == value else Field(MISSING, tone="missing")


def certainty_table(analysis: Analysis) -> Table | None:
    """Return the accuracy and confidence of each teacher on its own training text and on unseen text.

    A teacher of several languages has a row for each of them.
    """
    there = {text for texts in analysis.results.calibration.values() for text in texts}
    texts = [*(text for text in TEXTS if text in there), *sorted(there - TEXTS.keys())]
    rows = []
    for (model, language), values in analysis.results.calibration.items():
        cells = [cell for text in texts for cell in _certainty(values.get(text, {}))]
        own = analysis.runs.models[model].teacher == language
        rows.append((Head(model.removeprefix("teachers/") + ("" if own else f" in {language}")), cells))
    parts = ("accuracy, %", "mean top probability, %", "entropy, nats per word")
    columns = [Head(part, TEXTS.get(text, text)) for text in texts for part in parts]
    return Table(columns, rows, "teacher") if rows else None


def _certainty(values: Mapping[str, float]) -> list[Field]:
    digits = {"accuracy": 2, "confidence": 2, "entropy": 3}
    return [
        Field(f"{values[name]:.{n}f}") if name in values else Field(MISSING, tone="missing")
        for name, n in digits.items()
    ]


def data_table(reports: Reports, pieces: Mapping[tuple[str, str], Mapping[str, int]] | None = None) -> Table | None:
    """Return the counts, repeats and repairs of each split; `pieces` counts what the tokenizer did not know or cut."""
    rows = []
    for language, split, facts in splits(reports):
        row = (
            f"{language} {split}",
            facts.get("sentences"),
            facts.get("tokens"),
            (facts.get("lengths") or {}).get("max"),
            facts.get("repeated_sentences"),
            _shared(reports[language], split),
            facts.get("conflicting_labels"),
            _repairs(facts, (pieces or {}).get((language, split), {})),
        )
        rows.append(row)
    counts = ["split", "sentences", "words", "longest sentence", "repeated", "shared with another split"]
    return plain_table([*counts, "conflicting labels", "left out, repaired or truncated"], rows)


def _shared(report: Mapping[str, Any], split: str) -> str:
    """Return how many sentences of a split also occur in each of the others: "2 in train"."""
    shared = [
        f"{counts['shared']:,} in {pair.split(' in ')[1]}"
        for pair, counts in report.get("repeats", {}).items()
        if pair.startswith(f"{split} in ") and counts.get("shared")
    ]
    return ", ".join(shared) or "0"


def _repairs(facts: Mapping[str, Any], pieces: Mapping[str, int]) -> Field:
    counts = {kind: note["count"] for kind, note in (facts.get("notes") or {}).items()}
    text = "; ".join(_of_kind(n, kind) for kind, n in sorted({**counts, **pieces}.items()))
    return Field(text or "0", tone="wrap")


def _of_kind(number: int, kind: str) -> str:
    """Write a number of a kind of notes, whose first plural is its noun: 1 comment line left out."""
    if number == 1 and kind in ONE:
        return f"1 {ONE[kind]}"
    plural = PLURAL.match(kind)
    return f"{count(number, plural[1])}{plural[2]}" if plural else f"{number:,} {kind}"


def noted_places(report: Mapping[str, Any]) -> list[str]:
    """Return what the readers of a language's files noted, with the first places of each kind."""
    return [line for split in report.get("splits", {}).values() for line in note_lines(split.get("notes") or {})]


def data_warnings(report: Mapping[str, Any]) -> list[str]:
    """Return the warnings about the files of a language: signs that they were not read as meant."""
    return [str(warning) for split in report.get("splits", {}).values() for warning in split.get("warnings") or []]


def corpora_table(reports: Reports) -> Table | None:
    """Return the source and the hashes of each corpus."""
    rows = [
        (
            f"{language} {split}",
            facts.get("source"),
            _hash(facts.get("source_sha256")),
            _hash(facts.get("corpus_sha256")),
        )
        for language, split, facts in splits(reports)
    ]
    return plain_table(["split", "source", "SHA-256 of the source", "SHA-256 of the corpus"], rows, words=True)


def training_table(runs: Sequence[Run]) -> Table | None:
    """Return the updates, time, size and device of each model's training."""
    rows = []
    for run in runs:
        facts = run.summary
        seconds, rate = facts.get("seconds"), facts.get("words_per_second")
        rows.append(
            (
                run.model.name,
                facts.get("updates"),
                facts.get("best_update"),
                duration(seconds) if seconds is not None else None,
                round(rate) if rate is not None else None,
                f"{100 * facts['clipped']:.0f}%" if facts.get("clipped") is not None else None,
                facts.get("parameters"),
                facts.get("device"),
                _hash(run.sha256),
            )
        )
    head = [
        "model",
        "updates",
        "best update",
        "time",
        "words per second",
        "clipped",
        "trained parameters",
        "device",
        "SHA-256",
    ]
    return plain_table(head, rows)


def stage_table(stages: Sequence[Stage]) -> Table | None:
    """Return the time and memory of each stage."""
    rows = [
        (s.name, s.jobs, duration(s.seconds), duration(s.longest), f"{s.memory_mb:,.0f} MB" if s.memory_mb else None)
        for s in stages
    ]
    return plain_table(["stage", "jobs", "total time", "longest job", "peak memory"], rows)


def stored_table(results: Path, analysis: Analysis) -> Table | None:
    """Return the files stored for reuse: features, and targets with their bytes per word."""
    experiment = analysis.results.experiment
    rows: list[tuple[Any, ...]] = [
        (f"features, {name}", None, disk(size), None) for name, size in feature_sizes(results, experiment).items()
    ]
    for row in target_sizes(results, experiment, analysis.decoders):
        name = f"targets, {row['language']} {row['corpus']} ({row['decoder']})"
        rows.append((name, row["words"], disk(row["bytes"]), f"{row['bytes_per_word']:.1f}"))
    return plain_table(["stored", "words", "size", "bytes per word"], rows)


def version_table(runs: Sequence[Run]) -> Table | None:
    """Return the versions of the libraries that made the report, and of those that trained the models."""
    trained: dict[str, set[str]] = {}
    for run in runs:
        for name, version in run.summary.get("versions", {}).items():
            trained.setdefault(name, set()).add(str(version))
        if used := run.summary.get("kernel"):
            trained.setdefault("CRF kernel", set()).add(used)
    here = versions()
    rows = [(name, here.get(name, ""), ", ".join(sorted(trained.get(name, ())))) for name in {**here, **trained}]
    return plain_table(["library", "this report", "training"], rows, words=True)


def licence_table(licences: Mapping[str, str | None]) -> Table | None:
    """Return the licence of each language's data; those that forbid commercial use or are not stated are marked."""
    rows = [
        (x, Field(text or "not stated", tone="warn" if non_commercial(text) or not text else ""))
        for x, text in licences.items()
    ]
    return plain_table(["language", "licence"], rows, words=True)


def _hash(value: str | None) -> Field:
    return Field(value[:12], tone="hash") if value else Field(MISSING, tone="missing")
