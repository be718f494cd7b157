"""Find a model, in a folder or on the Hub, and open it with what can run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tagdistill.artifacts.stored_file import EXPORT, NOT_MADE
from tagdistill.encoders.pieces import WordPieces
from tagdistill.errors import ConfigError, DataError, TagdistillError, missing_package, nearest
from tagdistill.tagger.backend import CPU
from tagdistill.tagger.chain import Edges
from tagdistill.tagger.decoding import Decoder
from tagdistill.tagger.folder import RECORD, TOKENIZER, Record, graph_file, how_to_export
from tagdistill.tagger.splitting import Splitter

if TYPE_CHECKING:
    from tagdistill.settings.base import Decode, Task
    from tagdistill.tagger.backend import Backend

DEVICES = ("auto", "cpu", "cuda")
SAVED, TORCH = "config.json", "torch"


@dataclass(frozen=True)
class OpenModel:
    """A model that is ready to run, with what comes before and after it."""

    task: Task
    device: str  # cpu or cuda
    splitter: Splitter
    kept_words: dict[str, float]  # by language: the share of words that splitting keeps whole, where it is known
    pieces: WordPieces
    backend: Backend
    decoder: Decoder
    decode: Decode  # as its dev sets were decoded


def load(
    model: str | Path,
    precision: str | None,
    device: str,
    threads: int | None,
    revision: str | None,
    encoder: Path | None,
) -> OpenModel:
    """Open the model of `Tagger.from_pretrained`."""
    if device not in DEVICES:
        raise ConfigError(f"cannot be {device!r}", where="device", hint=nearest(device, DEVICES))
    folder = _folder(model, precision, revision)
    exported, saved = (folder / RECORD).is_file(), (folder / SAVED).is_file()
    if exported and (precision != TORCH or not saved):
        return _exported(folder, precision, device, threads)
    if not saved:
        what = f"holds no model: neither {RECORD} nor {SAVED} is in it"
        raise DataError(what, where=str(folder), hint=_inside(folder))
    if precision not in (None, TORCH):
        hint = f"Export it with `{EXPORT}`, or leave `precision` out."
        raise DataError(f"has no graph {precision!r}: it is a saved model", where=str(folder), hint=hint)
    return _saved(folder, device, threads, encoder)


def _folder(model: str | Path, precision: str | None, revision: str | None) -> Path:
    """Return a folder that is there, or the copy of what is needed of a repository of the Hub."""
    folder = Path(model)
    if folder.is_dir():
        return folder
    if isinstance(model, Path) or folder.exists() or not _is_repository(model):
        what = "a file, and no folder of a model" if folder.exists() else "no such folder"
        missing = NOT_MADE if folder.is_symlink() else how_to_export(folder)
        raise DataError(what, where=str(model), hint=_inside(folder.parent) if folder.exists() else missing)
    found = _downloaded(model, revision, [RECORD])
    if not (found / RECORD).is_file() or precision == TORCH:
        return _downloaded(model, revision, None)
    graph = graph_file(Record.read(found).choose(precision, model))
    return _downloaded(model, revision, [RECORD, TOKENIZER, graph])


def _downloaded(repository: str, revision: str | None, names: list[str] | None) -> Path:
    """Return the local copy of a repository of the Hub, with files of these names; None: of all but graphs."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=names, ignore_patterns=None if names else "*.onnx"
            )
        )
    except Exception as error:  # of the network, the Hub, or the name
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        what = f"no such folder here, and the Hugging Face Hub does not give it: {first}"
        raise TagdistillError(what, where=repository) from error


def _is_repository(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def _inside(folder: Path) -> str | None:
    inside = folder / "model"
    return f"Give {inside}." if (inside / SAVED).is_file() else "Give the folder of an exported student."


def _exported(folder: Path, precision: str | None, device: str, threads: int | None) -> OpenModel:
    from tagdistill.tagger.onnx_backend import OnnxBackend, usable

    record = Record.read(folder)
    saved = (TORCH,) if (folder / SAVED).is_file() else ()
    graph = graph_file(record.choose(precision, str(folder), beside=saved))
    record.check_files(folder, [TOKENIZER, graph])
    pieces, device = record.word_pieces(folder), usable(device)
    return OpenModel(
        task=record.task,
        device=device,
        splitter=_splitter(record, pieces, folder),
        kept_words=record.kept_words,
        pieces=pieces,
        backend=OnnxBackend(folder / graph, record.pooling, device=device, threads=threads),
        decoder=Decoder(record.labels, record.edges),
        decode=record.decode,
    )


def _saved(folder: Path, device: str, threads: int | None, encoder: Path | None) -> OpenModel:
    try:
        import torch

        from tagdistill.tagger.torch_backend import TorchBackend
    except ModuleNotFoundError as error:
        raise missing_package(error, where=f"{folder} (not an exported graph)") from error

    device = _torch_device(device, available=torch.cuda.is_available())
    if threads:
        torch.set_num_threads(threads)
    backend = TorchBackend(folder, encoder=encoder, device=device)
    pieces = WordPieces.load(backend.place, drop_bare_underline=backend.settings.drop_bare_underline)
    weights = backend.loaded.model.tagger
    chain = (weights.start, weights.transitions, weights.end)
    edges = Edges(*(values.detach().cpu().numpy().astype(np.float64) for values in chain))
    record = Record.read(folder) if (folder / RECORD).is_file() else None
    return OpenModel(
        task=backend.loaded.config["task"],
        device=device,
        splitter=_splitter(record, pieces, folder) if record else Splitter(tokenizer=pieces.tokenizer),
        kept_words=record.kept_words if record else {},
        pieces=pieces,
        backend=backend,
        decoder=Decoder(backend.loaded.labels, edges),
        decode=backend.loaded.decode,
    )


def _torch_device(device: str, *, available: bool) -> str:
    if device == "cuda" and not available:
        raise TagdistillError("there is no CUDA device, or this torch has no CUDA", where="device", hint=f"Use {CPU}.")
    return "cuda" if available and device != "cpu" else "cpu"


def _splitter(record: Record, pieces: WordPieces, folder: Path) -> Splitter:
    return Splitter.named(record.words, record.unspaced, pieces.tokenizer, str(folder / RECORD))
