"""The data in the report, besides the table of splits: labels, characters, repeats, and scores without these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.evaluation.tables import MISSING
from tagdistill.evaluation.variants import READINGS
from tagdistill.reporting.facts import splits
from tagdistill.reporting.html import Field, Head, Table, plain_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tagdistill.evaluation.variants import Variant
    from tagdistill.reporting.facts import Repeats, Reports

CHARACTERS = {
    "zero_width": "with a zero-width character",
    "only_zero_width": "of zero-width characters only",
    "no_break_space": "with a no-break space",
    "other_white_space": "with other whitespace",
    "replacement_character": "with U+FFFD",
    "not_nfc": "not in NFC",
}


def label_table(reports: Reports) -> Table | None:
    """Return how often each span type, or each tag, occurs in each labelled split."""
    rows = []
    for language, split, facts in splits(reports):
        if labels := facts.get("labels"):
            counts = labels.get("spans", labels.get("tokens", {}))  # a split without any span has a row too
            without_spans = labels.get("sentences_without_spans")
            rows.append((f"{language} {split}", counts, without_spans))
    names = sorted({name for _, counts, _ in rows for name in counts})
    if not names:
        return None
    heads = [Head(name) for name in names]
    of_spans = any(without_spans is not None for *_, without_spans in rows)
    if of_spans:
        heads.append(Head("sentences without spans"))
    table_rows = []
    for title, counts, without_spans in rows:
        cells = [Field(f"{counts.get(name, 0):,}") for name in names]
        if of_spans:
            cells.append(Field(f"{without_spans:,}" if without_spans is not None else MISSING))
        table_rows.append((Head(title), cells))
    return Table(heads, table_rows, "split").narrow()


def character_table(reports: Reports) -> Table | None:
    """Return how many words hold unusual characters, for the splits that have such words."""
    rows = []
    for language, split, facts in splits(reports):
        counts = facts.get("characters") or {}
        if any(counts.get(name) for name in CHARACTERS):
            rows.append((f"{language} {split}", *(counts.get(name, 0) for name in CHARACTERS)))
    return plain_table(["words", *CHARACTERS.values()], rows)


def repeat_table(repeats: Repeats) -> Table | None:
    """Return how many test sentences also occur in text that students were trained on, where there are any."""
    rows = [
        (language, *(found[name] for name in ("sentences", "train", "unlabelled", "other_languages")))
        for language, found in repeats.items()
        if found["places"]
    ]
    head = ["language", "test sentences", "in its training text", "only in its unlabelled text"]
    return plain_table([*head, "only in other languages' text"], rows)


def variant_table(variants: Iterable[Variant], kind: str) -> Table | None:
    """Return the variants of one kind of the scores: systems by languages, with the main score below each."""
    cells = {(v.system, v.language): v for v in variants if v.kind == kind}
    languages = list(dict.fromkeys(language for _, language in cells))
    systems = list(dict.fromkeys(system for system, _ in cells))
    rows = [(Head(system), [_variant(cells.get((system, x))) for x in languages]) for system in systems]
    heads = [Head(x, _affected(kind, [v for (_, y), v in cells.items() if y == x])) for x in languages]
    return Table(heads, rows, "system").narrow() if rows else None


def _variant(variant: Variant | None) -> Field:
    if variant is None:
        return Field(MISSING, tone="missing")
    return Field(f"{variant.other:.2f}", note=f"above: {variant.main:.2f}")


def _affected(kind: str, variants: Sequence[Variant]) -> str:
    """Say how much the variants of one language leave out, or how many sentences have ill-formed labels."""
    if kind == "unrepeated":
        return f"without {variants[0].affected:.0f} of {variants[0].of:,} sentences"
    least = min(variant.affected for variant in variants)
    most = max(variant.affected for variant in variants)
    numbers = f"{least:.0f} to {most:.0f}" if round(most) > round(least) else f"{least:.0f}"
    if kind in READINGS:
        return f"ill-formed: {numbers} of {variants[0].of:,} sentences"
    return f"without {numbers} spans"
