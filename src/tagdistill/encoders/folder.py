"""The record of a converted encoder, in its folder: where it comes from and what it holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import UPDATE, check_kind, read_json, sha256_file, sha256_json, write_json
from tagdistill.artifacts.stored_file import check_stored, stored, whole_folder
from tagdistill.errors import DataError, MismatchError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
RECORD = "tagdistill.json"
CONVERTED = "Copy the folder again, or delete all of it and run again: it is converted again."


@dataclass(frozen=True)
class EncoderInfo:
    """The contents of `tagdistill.json` in an encoder folder."""

    provider: str
    id: str
    revision: str
    sha256: str  # of the weights
    layers: int  # available; hidden layer 0 is the embeddings
    hidden_size: int
    positions: int  # pieces a window can hold, special ones included
    licence: str
    attribution: str
    whole: bool = True  # false where the last layers were left out, and a final norm with them

    @classmethod
    def read(cls, folder: Path) -> EncoderInfo:
        """Read the record of a converted encoder. Raises DataError where the folder is none."""
        path = folder / RECORD
        if not path.is_file():
            raise DataError(
                "not a converted encoder: its record is missing",
                where=str(path),
                hint="Make the folder with `tagdistill convert-encoder`.",
            )
        with stored(path, "the record of an encoder"):
            values = check_kind({"kind": "encoder", **read_json(path)}, "encoder", FORMAT, path)
            known = {field.name for field in fields(cls)}
            if unknown := sorted(set(values) - known - {"format", "kind"}):
                raise DataError(f"unknown key {unknown[0]!r}", where=str(path), hint=UPDATE)
            return cls(**{name: value for name, value in values.items() if name in known})

    def check_weights(self, folder: Path) -> None:
        """Refuse weights that are not those that were recorded: cut off, altered, or a pointer to them."""
        for file in sorted(folder.glob("*.safetensors")):
            check_stored(file)
        if (found := weights_sha256(folder)) != self.sha256:
            raise MismatchError(
                f"the weights were altered or are not whole: their SHA-256 is {found}, recorded is {self.sha256}",
                where=str(folder),
                hint=whole_folder(folder / RECORD) or CONVERTED,
            )

    def write(self, folder: Path) -> None:
        """Write the record into an encoder folder."""
        write_json(folder / RECORD, {"format": FORMAT, **asdict(self)})


def weights_sha256(folder: Path) -> str:
    """Return the SHA-256 of the weights: of the file, or of the shards' checksums in the order of their names."""
    sums = {file.name: sha256_file(file) for file in sorted(folder.glob("*.safetensors"))}
    return next(iter(sums.values())) if len(sums) == 1 else sha256_json(sums)
