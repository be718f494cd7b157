"""The layouts of a JSON record: tokens and tags, or a text with spans, as annotation tools export them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tagdistill.data.readers.offsets import Target, Word
from tagdistill.data.readers.rows import IDS, SENTENCES, TAGS, TOKENS, asked_or_usual
from tagdistill.errors import DataError, LayoutError, ReadingError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TEXTS = ("text", "data", "sentence")
SPANS = ("label", "labels", "entities", "spans", "annotations")
STARTS, ENDS = ("start", "start_offset", "begin", "from"), ("end", "end_offset", "to")
KINDS = ("label", "labels", "type", "entity", "tag", "category")
REJECTED = ("reject", "ignore")  # answers in Prodigy


class Record(NamedTuple):
    """One record: `text` with its `targets`, or where it has none `tokens` and `tags`, as they stand."""

    source_id: str
    accepted: bool
    text: str | None = None
    words: list[Word] | None = None  # where the record says what the words of its text are
    targets: list[Target] = []  # noqa: RUF012 (never changed)
    tokens: Any = None
    tags: Any = None
    sentences: Any = None
    annotations: int = 1  # that a labelled text has: 0 where nobody has labelled it


def record_of(
    value: Any, columns: Mapping[Literal["token", "tag"], int | str], where: str, line: int | str, *, tagged: bool
) -> Record:
    """Return what a JSON value says. Raises DataError for a layout that is not known."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict):  # spaCy: [text, {entities: ...}]
        value = {"text": value[0], **value[1]}
    if not isinstance(value, dict):
        raise DataError(f"{_kind(value)} where a JSON object is needed", where=where)
    source_id = next((str(value[key]) for key in IDS if isinstance(value.get(key), str | int)), "")
    if value.get("answer") in REJECTED:
        return Record(source_id, accepted=False)
    tokens = next(iter(asked_or_usual(columns.get("token"), TOKENS, list(value))), None)
    # Tokens that are asked for are read, whatever spans there are; else a text with spans is, unless tags stand by it.
    spanned = tagged and isinstance(value.get("text"), str) and not isinstance(columns.get("token"), str)
    spanned = spanned and not _has_tags(value, columns)
    spanned &= any(isinstance(value.get(name), list) for name in SPANS)
    if tokens in value and not _are_pieces(value[tokens]) and not isinstance(value[tokens], str) and not spanned:
        tags = _tags(value, columns, where) if tagged else None
        return Record(source_id, accepted=True, tokens=value[tokens], tags=tags, sentences=value.get(SENTENCES))
    annotations = 1
    if isinstance(data := value.get("data"), dict):
        value, annotations = _label_studio(value, data)
    text, spans = _text_and_spans(value, columns, where, tagged=tagged and annotations > 0)
    words = _words(value[tokens], text, where) if tokens in value and _are_pieces(value[tokens]) else None
    targets = [target for span in spans for target in _targets(span, line, where)]
    return Record(source_id, accepted=True, text=text, words=words, targets=targets, annotations=annotations)


def _has_tags(value: Mapping[str, Any], columns: Mapping[Literal["token", "tag"], int | str]) -> bool:
    """Return whether a record has tags of tokens; `labels` may be spans of the text as well."""
    found = asked_or_usual(columns.get("tag"), TAGS, list(value))
    cells = [cell for name in found if isinstance(value.get(name), list) for cell in value[name]]
    return any(isinstance(cell, str | int) for cell in cells)


def _tags(value: Mapping[str, Any], columns: Mapping[Literal["token", "tag"], int | str], where: str) -> Any:
    found = asked_or_usual(columns.get("tag"), TAGS, list(value))
    if len(found) != 1 or found[0] not in value:
        what = f"several keys of tags: {', '.join(found)}" if len(found) > 1 else f"no key {(found or ['tags'])[0]!r}"
        hint = f"{nearest((found or ['tags'])[0], value)} Say which: `columns: {{tag: NAME}}`."
        raise (ReadingError if len(found) > 1 else LayoutError)(what, where=where, hint=hint)
    return value[found[0]]


def _text_and_spans(
    value: Mapping[str, Any], columns: Mapping[Literal["token", "tag"], int | str], where: str, *, tagged: bool
) -> tuple[str, list[Any]]:
    key = next(iter(asked_or_usual(columns.get("token"), TEXTS, list(value))), TEXTS[0])
    if not isinstance(text := value.get(key), str):
        raise _no_text(value, key, where)
    if not tagged:
        return text, []
    there = [name for name in asked_or_usual(columns.get("tag"), SPANS, list(value)) if name in value]
    lists = [name for name in there if isinstance(value[name], list)]
    if there and not lists:
        what = f"{there[0]!r} is {_kind(value[there[0]])}, a list of spans is needed"
        raise LayoutError(what, where=where, hint="Write [] for none, or say which: `columns: {tag: NAME}`.")
    if not lists:
        wanted = str(columns["tag"]) if isinstance(columns.get("tag"), str) else "entities"
        hint = f"{nearest(wanted, value)} Say which: `columns: {{tag: NAME}}`."
        raise LayoutError(f"no list of spans {wanted!r}", where=where, hint=hint)
    return text, value[lists[0]]


def _no_text(value: Mapping[str, Any], key: str, where: str) -> LayoutError:
    """Return the error for a record without a text: its key is not there, or holds something else."""
    if key in value:
        what = f"{key!r} is {_kind(value[key])}, a text is needed"
        return LayoutError(
            what, where=where, hint='Write "" for none, or say which: `columns: {token: NAME, tag: NAME}`.'
        )
    if words := next((name for name in TOKENS if isinstance(value.get(name), str)), None):
        hint = f"Split it into words; `columns: {{token: {words}}}` reads it as a text whose spans have offsets."
        return LayoutError(f"{words!r} is a text, a list of words is needed", where=where, hint=hint)
    hint = f"{nearest(key, value)} Say which: `columns: {{token: NAME, tag: NAME}}`."
    return LayoutError(f"neither tokens nor a text: no key {key!r}", where=where, hint=hint)


def _label_studio(value: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
    """Return a task as a text with the spans of its first annotation, and how many it has that were not cancelled."""
    done = value.get("annotations") or value.get("completions") or []
    found = [x for x in done if isinstance(x, dict) and not x.get("was_cancelled")] if isinstance(done, list) else []
    if not found:
        return data, int(any(isinstance(data.get(name), list) for name in SPANS))
    results = found[0].get("result")
    items = results if isinstance(results, list) else []
    values = [item["value"] for item in items if isinstance(item, dict) and isinstance(item.get("value"), dict)]
    return {**data, "spans": [span for span in values if "start" in span]}, len(found)


def _targets(span: Any, line: int | str, where: str) -> Iterator[Target]:
    """Yield the spans that an item of a list stands for: [start, end, type], or an object of those names."""
    text = None
    if isinstance(span, list) and len(span) == 3:
        start, end, kinds = span
    elif isinstance(span, dict):
        start, end, kinds = (next((span[k] for k in keys if k in span), None) for keys in (STARTS, ENDS, KINDS))
        text = span.get("text") if isinstance(span.get("text"), str) else None
    else:
        raise DataError("a span that is neither [start, end, type] nor an object", where=where)
    kinds = kinds if isinstance(kinds, list) else [kinds]
    offsets = all(isinstance(x, int) and not isinstance(x, bool) for x in (start, end))
    if not offsets or not kinds or not all(isinstance(kind, str) and kind for kind in kinds):
        hint = "It needs a start and an end (whole numbers) and a label (text)."
        raise DataError(f"a span with start {start!r}, end {end!r}, label {kinds!r}", where=where, hint=hint)
    yield from (Target(kind, start, end, text, line) for kind in kinds)


def _are_pieces(tokens: Any) -> bool:
    return isinstance(tokens, list) and bool(tokens) and all(isinstance(token, dict) for token in tokens)


def _words(tokens: Any, text: str, where: str) -> list[Word]:
    """Return the words of a text that the record gives itself (Prodigy), without those that are white space."""
    try:
        found = [Word(token["text"], token["start"], token["end"]) for token in tokens]
        whole = all(text[word.start : word.end] == word.text for word in found)
    except (KeyError, TypeError):
        whole = False
    if not whole:
        raise DataError("tokens whose offsets do not give their text", where=where)
    return [word for word in found if word.text.strip()]


def _kind(value: Any) -> str:
    names = {list: "an array", dict: "an object", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
