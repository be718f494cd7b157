"""The corpus table: every data set in one Parquet layout, one row per sentence.

Columns: `id` (train-000001), `tokens`, `labels` (null where unlabelled), `source_id`, `line` (0 if none), `multiword`
(start, end exclusive, surface form). The file's metadata hold language, split, task, label list, source and hashes.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tagdistill.artifacts.files import canonical_json
from tagdistill.artifacts.parquet import Rows, StoredTable, array_numbers, row_groups, write_with_header
from tagdistill.artifacts.stored_file import read_errors, stored
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

KIND = "corpus"
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("tokens", pa.list_(pa.string()), nullable=False),
        pa.field("labels", pa.list_(pa.string())),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("line", pa.int32(), nullable=False),
        pa.field("multiword", pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("form", pa.string())]))),
    ]
)
Multiword = tuple[int, int, str]  # first token, end (exclusive), surface form


class Corpus:
    """One split of one language: its columns stay in their file, and are read when they are asked for."""

    def __init__(self, table: StoredTable) -> None:
        self.table, self.metadata = table, table.metadata

    def __len__(self) -> int:
        return len(self.table)

    @property
    def ids(self) -> Sequence[str]:
        """The id of each sentence."""
        return Rows(self.table, "id")

    @property
    def tokens(self) -> Sequence[list[str]]:
        """The words of each sentence."""
        return Rows(self.table, "tokens")

    @property
    def labels(self) -> Sequence[list[str]] | None:
        """The labels of each sentence; None where the text is not labelled."""
        return Rows(self.table, "labels") if self.metadata["labelled"] else None

    @property
    def source_ids(self) -> Sequence[str]:
        """What the file that was read calls each sentence."""
        return Rows(self.table, "source_id")

    @property
    def lines(self) -> Sequence[int]:
        """The line of each sentence in the file that was read; 0 if none."""
        return Rows(self.table, "line")

    @property
    def multiword(self) -> Iterator[list[Multiword]]:
        """The multiword tokens of each sentence."""
        return ([(m["start"], m["end"], m["form"]) for m in ranges] for ranges in Rows(self.table, "multiword"))

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sentence."""
        found = [
            np.diff(array_numbers(chunk.offsets))
            for (column,) in self.table.groups("tokens")
            for chunk in column.chunks
        ]
        return np.concatenate([np.zeros(0, np.int64), *found]).astype(np.int64)

    def label_numbers(self) -> NDArray[Any] | None:
        """Return the place of each token's label in the label list, [tokens], as small numbers; None without labels."""
        if not self.metadata["labelled"]:
            return None
        places = {label: place for place, label in enumerate(self.label_list)}
        kind = np.min_scalar_type(-len(places))  # torch has few operations on unsigned numbers
        found = [np.zeros(0, kind)]
        for (column,) in self.table.groups("labels"):
            with read_errors(self.table.path, self.table.what):
                for chunk in column.chunks:
                    coded = chunk.flatten().dictionary_encode()
                    known = np.array([places[label] for label in coded.dictionary.to_pylist()], kind)
                    found.append(known[array_numbers(coded.indices)])
        return np.concatenate(found)

    @property
    def sha256(self) -> str:
        """Hash of ids, tokens and labels."""
        return str(self.metadata["corpus_sha256"])

    @property
    def tokens_sha256(self) -> str:
        """Hash of ids and tokens: what features and teacher scores depend on."""
        return str(self.metadata["tokens_sha256"])

    @property
    def language(self) -> str:
        """The key of the language in the config."""
        return str(self.metadata["language"])

    @property
    def split(self) -> str:
        """Train, dev, test or unlabelled."""
        return str(self.metadata["split"])

    @property
    def label_list(self) -> tuple[str, ...]:
        """The label space: fixed by the config, also where a label does not occur or the text is not labelled."""
        return tuple(self.metadata["labels"])


def write_corpus(
    path: Path,
    *,
    ids: Sequence[str],
    tokens: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str]] | None,
    metadata: Mapping[str, Any],
    source_ids: Sequence[str] | None = None,
    lines: Sequence[int] | None = None,
    multiword: Sequence[Sequence[Multiword]] | None = None,
) -> None:
    """Write a corpus atomically, the same bytes for the same content.

    `metadata` holds at least language, split, task and labels (the full label list); format, kind, hashes and counts
    are added. Raises DataError where a sentence has no token, or not as many labels as tokens.
    """
    _check(ids, tokens, labels, metadata["labels"], str(path))
    header = {**metadata, "kind": KIND, **_hashes(ids, tokens, labels)}
    header |= {"sentences": len(ids), "tokens": sum(map(len, tokens)), "labelled": labels is not None}

    def group(rows: slice) -> pa.Table:
        number = rows.stop - rows.start
        words = multiword[rows] if multiword else [()] * number
        columns = {
            "id": ids[rows],
            "tokens": tokens[rows],
            "labels": [None] * number if labels is None else labels[rows],
            "source_id": source_ids[rows] if source_ids else [""] * number,
            "line": lines[rows] if lines else [0] * number,
            "multiword": [[{"start": s, "end": e, "form": f} for s, e, f in ranges] for ranges in words],
        }
        return pa.Table.from_pydict(columns, schema=SCHEMA)

    write_with_header(path, map(group, row_groups(len(ids))), header)


def read_corpus(path: Path) -> Corpus:
    """Open a corpus. Raises DataError where the file is none, MismatchError where it has another format."""
    table = StoredTable.open(path, KIND, "a corpus")
    with stored(path, "a corpus"):
        for field in SCHEMA:
            if (found := table.file.schema_arrow.field(field.name).type) != field.type:
                raise TypeError(f"{field.name} holds {found}, needed is {field.type}")
        if "labelled" not in table.metadata:
            raise KeyError("labelled")
    return Corpus(table)


def _hashes(
    ids: Sequence[str], tokens: Sequence[Sequence[str]], labels: Sequence[Sequence[str]] | None
) -> dict[str, str]:
    """Return what `sha256_json` makes of `[ids, tokens]` and `[ids, tokens, labels]`, whose JSON is never all there."""
    text = hashlib.sha256(b"[")
    _update(text, ids)
    text.update(b",")
    _update(text, tokens)
    corpus = text.copy()
    text.update(b"]")
    corpus.update(b",")
    _update(corpus, labels)
    corpus.update(b"]")
    return {"tokens_sha256": text.hexdigest(), "corpus_sha256": corpus.hexdigest()}


def _update(digest: hashlib._Hash, rows: Sequence[Any] | None) -> None:
    """Add the canonical JSON of a list in parts, or `null`."""
    if rows is None:
        digest.update(b"null")
        return
    for part in row_groups(len(rows)):
        written = canonical_json(list(rows[part]))
        digest.update(b"," if part.start else b"[")
        digest.update(written[1:-1].encode())
    digest.update(b"]")


def _check(
    ids: Sequence[str],
    tokens: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str]] | None,
    known: Sequence[str],
    where: str,
) -> None:
    if not len(ids) == len(tokens) == (len(ids) if labels is None else len(labels)):
        raise DataError("ids, tokens and labels are not equally many", where=where)
    space = set(known)
    for position, name in enumerate(ids):
        if not tokens[position]:
            raise DataError("a sentence without tokens", where=f"{where}: {name}")
        if labels is None:
            continue
        if len(labels[position]) != len(tokens[position]):
            what = f"{len(labels[position])} labels for {len(tokens[position])} tokens"
            raise DataError(what, where=f"{where}: {name}")
        if extra := set(labels[position]) - space:
            raise DataError(f"label {min(extra)!r} is not in the label list", where=f"{where}: {name}")
