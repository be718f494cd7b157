"""Encode corpora: the frozen encoder's word vectors, computed once for a text and stored."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagdistill.encoders.folder import EncoderInfo
from tagdistill.encoders.keys import encoder_key
from tagdistill.encoders.pieces import Batch, Pieces, WordPieces
from tagdistill.encoders.store import FeatureStore, read_metadata, writing
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

    from tagdistill.data.corpus import Corpus
    from tagdistill.encoders.load import Encoder
    from tagdistill.settings.encoder import EncoderSettings

__all__ = ["FeatureStore", "batch_states", "cache_states", "encode", "encode_pieces"]

log = logging.getLogger(__name__)
BUDGET = {"cpu": (2000, 32), "cuda": (32768, 1024)}  # pieces with padding, windows in a batch
REPORT_SECONDS = 15


def encode(
    corpora: Mapping[str, Path],
    encoder: Path,
    settings: EncoderSettings,
    out: Mapping[str, Path],
    device: str = "cpu",
) -> None:
    """Write the feature store of every split: `corpora` and `out` map a split to its Parquet file and its store.

    A store that is there already, made from the same text with the same encoder and settings, is kept. The encoder is
    loaded once, and only as many layers as the highest tap needs. Raises ConfigError where `tap` names a layer that
    the encoder lacks.
    """
    from tagdistill.data.corpus import read_corpus

    info = EncoderInfo.read(encoder)
    story = feature_metadata(info, settings)
    todo: dict[str, Corpus] = {}
    for split, path in corpora.items():
        corpus = read_corpus(path)
        if _is_done(out[split], {**story, "tokens_sha256": corpus.tokens_sha256}):
            log.info("%s: features are up to date", out[split])
        else:
            todo[split] = corpus
    if not todo:
        return

    from tagdistill.encoders.load import check_layers, load_encoder

    check_layers(info, max(settings.taps), "encoder.tap")
    words = WordPieces.load(encoder, drop_bare_underline=settings.drop_bare_underline)
    model = load_encoder(encoder, max(settings.taps)).to(device)
    for split, corpus in todo.items():
        pieces = words(corpus.tokens)
        metadata = {**story, "tokens_sha256": corpus.tokens_sha256, "counts": pieces.counts}
        started = time.monotonic()
        with writing(out[split], pieces.sentences, model.hidden_size, metadata) as features:
            for batch, vectors in encode_pieces(pieces, model, settings, progress=str(out[split])):
                features[batch.words.numpy()] = vectors.numpy()
        _report(out[split], pieces, time.monotonic() - started)


def feature_metadata(info: EncoderInfo, settings: EncoderSettings) -> dict[str, Any]:
    """Return what a store's vectors depend on besides the text."""
    return {
        "encoder": encoder_key(settings),
        "encoder_sha256": info.sha256,
        "taps": list(settings.taps),
        "pooling": settings.pooling,
        "drop_bare_underline": settings.drop_bare_underline,
    }


def encode_pieces(
    pieces: Pieces, encoder: Encoder, settings: EncoderSettings, *, progress: str | None = None
) -> Iterator[tuple[Batch, Tensor]]:
    """Yield batches, longest windows first, each with its words' vectors (word, dim), float16, on the CPU."""
    import torch

    from tagdistill.encoders.pooling import pool

    device = next(encoder.parameters()).device
    with torch.inference_mode():
        for batch in _with_progress(pieces, device.type, progress):
            there = batch.to(device)
            states = encoder.hidden_states(there.ids, there.mask, settings.taps)
            mixed = states[0] if len(states) == 1 else torch.stack(states).mean(0)
            vectors = pool(mixed, there, settings.pooling)
            yield batch, _halves(vectors, pieces).cpu()


def cache_states(pieces: Pieces, encoder: Encoder, layer: int, *, progress: str | None = None) -> list[Tensor]:
    """Return the states (piece, hidden), float16, of hidden layer `layer` for every window, on the CPU.

    Special pieces are included: with `batch_states` they are what `Encoder.forward_from` resumes from.
    """
    import torch

    device = next(encoder.parameters()).device
    states: list[Any] = [None] * (len(pieces.windows) - 1)
    with torch.inference_mode():
        for batch in _with_progress(pieces, device.type, progress):
            there = batch.to(device)
            (found,) = encoder.hidden_states(there.ids, there.mask, [layer])
            rows = _halves(found, pieces).cpu()
            for window, row, mask in zip(batch.windows, rows, batch.mask, strict=True):
                states[window] = row[: int(mask.sum())].clone()
    return states


def batch_states(states: Sequence[Tensor], batch: Batch) -> Tensor:
    """Return cached states as (batch, piece, hidden), float32, padded with zeros like the batch's `ids`."""
    from torch.nn.utils.rnn import pad_sequence

    return pad_sequence([states[window] for window in batch.windows], batch_first=True).float()


def _halves(values: Tensor, pieces: Pieces) -> Tensor:
    """Return float16 values; an encoder whose states leave that range cannot be stored so."""
    halves = values.half()
    if not halves.isfinite().all():
        raise TagdistillError(
            f"the encoder's states are not finite in float16 (largest value {values.abs().max():.3g})",
            where="encoder.tap",
            hint="Choose another layer.",
        )
    return halves


def _is_done(path: Path, story: dict[str, Any]) -> bool:
    if not path.is_file():
        return False
    try:
        found = read_metadata(path)
    except TagdistillError:
        return False
    return all(found.get(key) == value for key, value in story.items())


def _report(path: Path, pieces: Pieces, seconds: float) -> None:
    counts = pieces.counts
    odd = {name: counts[name] for name in ("unknown_words", "split_sentences", "cut_words") if counts[name]}
    speed = counts["pieces"] / max(seconds, 1e-9)
    log.info("%s: %d words, %d pieces, %.0f a second", path, counts["words"], counts["pieces"], speed)
    if odd:
        log.warning("%s: %s", path, ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in odd.items()))


def _with_progress(pieces: Pieces, device: str, label: str | None) -> Iterator[Batch]:
    """Yield the batches; show a bar on a terminal, elsewhere log a line now and then."""
    batches = pieces.batches(*BUDGET.get(device, BUDGET["cpu"]))
    if label is None:
        yield from batches
    elif sys.stderr.isatty():
        yield from _bar(batches, label, len(pieces.ids))
    else:
        yield from _lines(batches, label, len(pieces.ids))


def _bar(batches: Iterable[Batch], label: str, total: int) -> Iterator[Batch]:
    from tqdm import tqdm

    with tqdm(total=total, desc=Path(label).stem, unit=" pieces", unit_scale=True) as bar:
        for batch in batches:
            yield batch
            bar.update(int(batch.lengths.sum()))


def _lines(batches: Iterable[Batch], label: str, total: int) -> Iterator[Batch]:
    done, last = 0, time.monotonic()
    for batch in batches:
        yield batch
        done += int(batch.lengths.sum())
        if time.monotonic() - last >= REPORT_SECONDS:
            last = time.monotonic()
            log.info("%s: %d of %d pieces (%.0f%%)", label, done, total, 100 * done / total)
