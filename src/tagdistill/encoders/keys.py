"""The names of an encoder, of its features and of its folder: they follow from its content, never from its place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import read_json, sha256_json
from tagdistill.encoders.folder import FORMAT, RECORD, EncoderInfo
from tagdistill.encoders.provider import load_provider

if TYPE_CHECKING:
    from tagdistill.settings.encoder import EncoderSettings


def encoder_key(settings: EncoderSettings) -> str:
    """Return the name of the encoder's folder below `resources/encoders/`: readable, one for each set of weights."""
    name, revision = load_provider(settings.provider).identity(settings)
    slug = re.sub(r"[^A-Za-z0-9]+", "-", f"{settings.provider}-{Path(name).name}").strip("-").lower()
    return f"{slug}-{sha256_json([FORMAT, settings.provider, name, revision])[:8]}"


def feature_key(settings: EncoderSettings) -> str:
    """Return the name of a feature store: encoder, layers that are read or mixed, pooling of words, precision."""
    taps = ("mix" if settings.mixed else "tap") + "+".join(map(str, settings.taps))
    marker = "" if settings.drop_bare_underline else "-underline"
    precision = "" if settings.precision == "auto" else f"-{settings.precision}"
    return f"{encoder_key(settings)}-{taps}-{settings.pooling}{marker}{precision}"


def layers_in(path: str) -> int:
    """Return how many vectors of a word a feature store holds, by its path: of layers to mix as many as there are.

    >>> layers_in("features/tiny-0-mix2+4+6-mean/fr/train.safetensors"), layers_in("features/tiny-0-tap2+4-mean/fr")
    (3, 1)
    """
    mixed = re.search(r"-mix([0-9+]+)-", path)
    return mixed[1].count("+") + 1 if mixed else 1


def stored_taps(settings: EncoderSettings) -> list[int] | dict[str, list[int]]:
    """Return what a feature store says of the hidden layers that it holds: an average, or several to be mixed."""
    return {"mix": list(settings.mixed)} if settings.mixed else list(settings.taps)


def layers_of(settings: EncoderSettings, source: Path | None, converted: Path) -> int | None:
    """Return how many layers an encoder has, where that can be known without fetching it; None where it cannot.

    `source` is where a local encoder lies, `converted` the folder that it is converted into.
    """
    if (converted / RECORD).is_file():
        return EncoderInfo.read(converted).layers
    return load_provider(settings.provider).known_layers(source)


def architecture_names(source: Path | None, converted: Path) -> tuple[str, str] | None:
    """Return the names of an encoder's architecture and activation in transformers; None where it is not here yet.

    `source` is where a local encoder lies, `converted` the folder that it is converted into.
    """
    for folder in filter(None, (converted, source)):
        if (folder / "config.json").is_file():
            values = read_json(folder / "config.json")
            activation = values.get("hidden_act") or values.get("activation") or "gelu"
            return (str(values["model_type"]), str(activation)) if "model_type" in values else None
    return None
