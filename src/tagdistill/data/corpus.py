"""The corpus table: every data set in one Parquet layout, one row per sentence.

Columns: `id` (train-000001), `tokens`, `labels` (null where unlabelled), `source_id`, `line` (0 if none), `multiword`
(start, end exclusive, surface form). The file's metadata hold language, split, task, label list, source and hashes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tagdistill.artifacts.files import sha256_json
from tagdistill.artifacts.parquet import read_table, write_with_header
from tagdistill.artifacts.stored_file import stored
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

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


@dataclass(frozen=True)
class Corpus:
    """One split of one language. `labels` is None where the text is not labelled."""

    ids: list[str]
    tokens: list[list[str]]
    labels: list[list[str]] | None
    metadata: dict[str, Any]
    source_ids: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    multiword: list[list[Multiword]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sentence."""
        return [len(sentence) for sentence in self.tokens]

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
    words = [[{"start": s, "end": e, "form": f} for s, e, f in ranges] for ranges in multiword or [()] * len(ids)]
    columns = {
        "id": list(ids),
        "tokens": [list(sentence) for sentence in tokens],
        "labels": [list(sentence) for sentence in labels] if labels is not None else [None] * len(ids),
        "source_id": list(source_ids or [""] * len(ids)),
        "line": list(lines or [0] * len(ids)),
        "multiword": words,
    }
    write_with_header(path, pa.Table.from_pydict(columns, schema=SCHEMA), header)


def read_corpus(path: Path) -> Corpus:
    """Read a corpus. Raises DataError where the file is none, MismatchError where it has another format."""
    with stored(path, "a corpus"):
        table, metadata = read_table(path, KIND)
        columns = table.to_pydict()
        return Corpus(
            ids=columns["id"],
            tokens=columns["tokens"],
            labels=columns["labels"] if metadata["labelled"] else None,
            metadata=metadata,
            source_ids=columns["source_id"],
            lines=columns["line"],
            multiword=[[(m["start"], m["end"], m["form"]) for m in ranges] for ranges in columns["multiword"]],
        )


def _hashes(
    ids: Sequence[str], tokens: Sequence[Sequence[str]], labels: Sequence[Sequence[str]] | None
) -> dict[str, str]:
    text = [list(ids), [list(sentence) for sentence in tokens]]
    tags = None if labels is None else [list(sentence) for sentence in labels]
    return {"tokens_sha256": sha256_json(text), "corpus_sha256": sha256_json([*text, tags])}


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
