"""Encode corpora: what a frozen encoder, or the frozen layers of a fine-tuned one, give is computed once and stored.

That is one vector for each word or, where layers above are tuned, the state of each piece.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import atomic_path, link_or_copy
from tagdistill.encoders.folder import EncoderInfo
from tagdistill.encoders.keys import encoder_key, stored_taps
from tagdistill.encoders.pieces import Pieces, WordPieces, offsets
from tagdistill.encoders.store import read_metadata, writing
from tagdistill.errors import TagdistillError
from tagdistill.settings.encoder import PieceStates

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from tagdistill.data.corpus import Corpus
    from tagdistill.encoders.load import Encoder
    from tagdistill.settings.encoder import EncoderSettings, Precision

log = logging.getLogger(__name__)


def encode(
    corpora: Mapping[str, Path],
    encoder: Path,
    settings: EncoderSettings,
    out: Mapping[str, Path],
    device: str = "cpu",
    keys: Mapping[str, str] | None = None,
) -> None:
    """Write the feature store of every split: `corpora` and `out` map a split to its Parquet file and its store.

    A store that is there already, made from the same text with the same encoder and settings, is kept. `keys` says
    what each store is known by: the folders beside that of the stores are then searched for one with the same key,
    which another experiment or an earlier config has made of the same text. The encoder is loaded once, and only as
    many layers as the highest tap needs. Raises ConfigError where `tap` names a layer that the encoder lacks, or where
    the device lacks the precision.
    """
    from tagdistill.data.corpus import read_corpus

    info = EncoderInfo.read(encoder)
    made_with = feature_metadata(info, settings, device)
    todo: dict[str, tuple[Corpus, dict[str, Any]]] = {}
    for split, path in corpora.items():
        corpus = read_corpus(path)
        wanted = {**made_with, "tokens_sha256": corpus.tokens_sha256, **({"key": keys[split]} if keys else {})}
        if _is_done(out[split], wanted):
            log.info("%s: features are up to date", out[split])
        elif not (keys and _take(out[split], wanted)):
            todo[split] = corpus, wanted
    if not todo:
        return

    from tagdistill.encoders.load import check_layers, load_encoder

    check_layers(info, max(settings.taps), "encoder.tap")
    words = WordPieces.load(encoder, drop_bare_underline=settings.drop_bare_underline)
    model = load_encoder(encoder, max(settings.taps), settings.precision).to(device)
    for split, (corpus, wanted) in todo.items():
        pieces = words(corpus.tokens)
        metadata = {**wanted, "counts": pieces.counts}
        started = time.monotonic()
        dim = model.hidden_size * max(1, len(settings.mixed))
        rows = offsets(pieces.window_lengths) if isinstance(settings, PieceStates) else pieces.sentences
        with writing(out[split], rows, dim, metadata) as features:
            _compute(features, pieces, model, settings, str(out[split]))
        _report(out[split], pieces, time.monotonic() - started)


def _compute(
    features: NDArray[np.float16], pieces: Pieces, model: Encoder, settings: EncoderSettings, progress: str
) -> None:
    from tagdistill.encoders.states import encode_pieces, fill_states

    if isinstance(settings, PieceStates):
        fill_states(features, pieces, model, settings.taps[0], progress=progress)
    else:
        for batch, vectors in encode_pieces(pieces, model, settings, progress=progress):
            features[batch.words.numpy()] = vectors.numpy()


def feature_metadata(info: EncoderInfo, settings: EncoderSettings, device: str) -> dict[str, Any]:
    """Return what a store's vectors depend on besides the text: where no precision is named, it is fp32."""
    precision = _precision(settings, device)
    return {
        "encoder": encoder_key(settings),
        "encoder_sha256": info.sha256,
        "taps": stored_taps(settings),
        "pooling": settings.pooling,
        "drop_bare_underline": settings.drop_bare_underline,
        **({} if precision == "fp32" else {"precision": precision}),
    }


def _precision(settings: EncoderSettings, device: str) -> Precision:
    if settings.precision == "fp32" or (settings.precision == "auto" and device == "cpu"):
        return "fp32"  # without torch: a store may be up to date
    from tagdistill.encoders.precision import precision_on

    return precision_on(settings.precision, device)


def _is_done(path: Path, wanted: dict[str, Any]) -> bool:
    if not path.is_file():
        return False
    try:
        found = read_metadata(path)
    except TagdistillError:
        return False
    return all(found.get(key) == value for key, value in {"precision": None, **wanted}.items())


def _take(store: Path, wanted: dict[str, Any]) -> bool:
    """Take a store from a folder beside its own where one is the same; return whether there is one.

    It is the same file under a second name (a copy where the file system has no hard links), so that either may be
    removed.
    """
    for path in sorted(store.parent.parent.glob(f"*/{store.name}")):
        if path != store and _is_done(path, wanted):
            with atomic_path(store) as temporary:
                link_or_copy(path, temporary)
            log.info("%s: the same as %s", store, path)
            return True
    return False


def _report(path: Path, pieces: Pieces, seconds: float) -> None:
    counts = pieces.counts
    odd = {name: counts[name] for name in ("unknown_words", "split_sentences", "cut_words") if counts[name]}
    speed = counts["pieces"] / max(seconds, 1e-9)
    log.info("%s: %d words, %d pieces, %.0f a second", path, counts["words"], counts["pieces"], speed)
    if odd:
        log.warning("%s: %s", path, ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in odd.items()))
