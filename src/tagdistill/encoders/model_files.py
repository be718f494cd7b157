"""The files of a `save_pretrained` folder that are read, and what its configuration and its card say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import sha256_file, sha256_json

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = ("*.safetensors", "*.json", "*.txt", "*.model")  # weights, configuration, tokenizer; no exports, no pickles
CARD = "README.md"


def content_revision(folder: Path) -> str:
    """Return a hash of the weights, configuration and tokenizer of a model's folder: nothing else changes it."""
    files = {path.name: path for pattern in CONTENT for path in folder.glob(pattern)}
    return sha256_json({name: sha256_file(files[name]) for name in sorted(files)})[:16]


def layers_in(config: dict[str, Any]) -> int:
    """Return how many layers a `config.json` says that its model has."""
    return int(config.get("num_hidden_layers") or config["n_layers"])


def card_licence(folder: Path) -> str:
    """Return the licence a model card names, or 'unknown' where it has no readable head."""
    import yaml
    from huggingface_hub import metadata_load

    try:
        return str((metadata_load(folder / CARD) or {}).get("license") or "unknown")
    except (OSError, ValueError, yaml.YAMLError):  # no card, no text, or a head that is no mapping
        return "unknown"
