"""The record of an exported tagger, `tagger.json` in its folder: all that is needed beside graph and tokenizer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from tagdistill.artifacts.files import check_kind, read_json, sha256_file, write_json
from tagdistill.artifacts.stored_file import EXPORT, EXPORTED, check_stored, stored
from tagdistill.encoders.pieces import WordPieces
from tagdistill.errors import DataError, MismatchError, nearest
from tagdistill.tagger.chain import Edges

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tagdistill.settings.base import Decode, Task

RECORD, TOKENIZER = "tagger.json", "tokenizer.json"
KIND, FORMAT = "exported tagger", 1


@dataclass(frozen=True)
class Record:
    """The contents of `tagger.json`."""

    task: Task
    labels: tuple[str, ...]  # in the order of the emissions
    languages: tuple[str, ...]  # that it was trained on
    start: list[float]
    transitions: list[list[float]]  # [from, to]
    end: list[float]
    pooling: str
    positions: int  # pieces a window can hold, special ones included
    drop_bare_underline: bool
    words: str  # how text is split, see `splitting.Splitter`
    unspaced: str
    kept_words: dict[str, float]  # by language: the share of its words that splitting keeps whole
    graphs: tuple[str, ...]  # the precisions, the preferred one first
    compared: dict[str, dict[str, float]]  # by precision: how it differs from the model in torch
    vocabulary: str
    pieces: int
    versions: dict[str, str]
    sha256: dict[str, str] = field(default_factory=dict)  # of the files, and of this record
    decode: Decode = "constrained"  # as its dev sets were decoded, if there were any

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Read the record of a folder. Raises DataError where there is none, MismatchError for another version's."""
        path = folder / RECORD
        with stored(path, "the record of an exported tagger", EXPORTED):
            values = check_kind(read_json(path, EXPORTED), KIND, FORMAT, path, EXPORTED)
            record = cls(**{name: _frozen(value) for name, value in values.items() if name not in ("kind", "format")})
            if record.sha256.get(RECORD) != _sha256(values):
                raise _altered(path)
            return record

    def write(self, folder: Path) -> None:
        """Write the record, with the checksums of the files that the folder holds for it."""
        files = [TOKENIZER, *map(graph_file, self.graphs)]
        values = {"kind": KIND, "format": FORMAT, **asdict(self)}
        values["sha256"] = {name: sha256_file(folder / name) for name in files}
        values["sha256"][RECORD] = _sha256(values)
        write_json(folder / RECORD, values)

    @property
    def edges(self) -> Edges:
        """The scores of the chain, beside the emissions."""
        return Edges(*(np.array(values, np.float64) for values in (self.start, self.transitions, self.end)))

    def word_pieces(self, folder: Path) -> WordPieces:
        """Return the tokenizer in a folder. Raises DataError where it is none."""
        from tokenizers import Tokenizer

        path = folder / TOKENIZER
        with stored(path, "a tokenizer", EXPORTED):
            tokenizer = Tokenizer.from_file(str(path))
            return WordPieces(tokenizer, self.positions, drop_bare_underline=self.drop_bare_underline)

    def choose(self, precision: str | None, where: str, *, beside: Sequence[str] = ()) -> str:
        """Return a precision that the folder has; None: the preferred one.

        Raises DataError for another, which names those that there are, with those `beside` the graphs.
        """
        if precision is None:
            return self.graphs[0]
        if precision not in self.graphs:
            raise DataError(
                f"has no graph {precision!r}", where=where, hint=nearest(precision, [*self.graphs, *beside])
            )
        return precision

    def check_files(self, folder: Path, names: Sequence[str]) -> None:
        """Refuse files that are missing, cut short or altered."""
        for name in names:
            path = folder / name
            check_stored(path, EXPORTED)
            if sha256_file(path) != self.sha256.get(name):
                raise _altered(path)


def how_to_export(folder: str | Path) -> str | None:
    """Return how a folder of exports that is missing is made, by its place in results/NAME/export; None elsewhere.

    >>> print(how_to_export("results/mine/export/posterior/seed-0"))
    `snakemake export --cores 2 --configfile FILE` makes it, with the config FILE whose `name` is mine.
    """
    parts = PurePath(folder).parts
    for results, name, place in zip(parts, parts[1:], parts[2:], strict=False):
        if (results, place) == ("results", "export"):
            return f"`{EXPORT}` makes it, with the config FILE whose `name` is {name}."
    return None


def graph_file(precision: str) -> str:
    """Return the name of a graph's file."""
    return f"{precision}.onnx"


def _altered(path: Path) -> MismatchError:
    what = "the file is cut short or was altered: its checksum differs"
    return MismatchError(what, where=str(path), hint=EXPORTED)


def _sha256(record: dict[str, Any]) -> str:
    """Return the checksum of a record, apart from its own."""
    files = {name: digest for name, digest in record["sha256"].items() if name != RECORD}
    return hashlib.sha256(json.dumps(record | {"sha256": files}, sort_keys=True).encode()).hexdigest()


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) and all(isinstance(each, str) for each in value) else value
