"""The interface of a provider of encoders. Each provider is a module of `providers/`, loaded by its name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, cast

from tagdistill.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.settings.encoder import EncoderSettings


class Origin(NamedTuple):
    """What the record of a converted encoder, and every model card, says about where its weights come from."""

    licence: str
    attribution: str


class Provider:
    """Where the weights of an encoder come from."""

    local = False  # whether `id` names a file or folder on this machine
    layers: int | None = None  # where all its encoders have as many
    needs: tuple[tuple[str, str], ...] = ()  # the settings that must be given, and what each is

    def check(self, settings: EncoderSettings, where: str) -> None:
        """Refuse settings that lack what the provider needs; `where` is their key in the config."""
        for key, meaning in self.needs:
            if not getattr(settings, key):
                what = f"provider {settings.provider!r} needs `{key}`{': ' if meaning else ''}{meaning}"
                raise ConfigError(what, where=where)

    def identity(self, settings: EncoderSettings) -> tuple[str, str]:
        """Return id and revision of the weights: with the provider's name, what the encoder is known by."""
        return str(settings.id), settings.revision or ""

    def known_layers(self, source: Path | None) -> int | None:
        """Return how many layers an encoder has; None where that cannot be known without fetching it.

        `source` is where a local one lies.
        """
        return self.layers

    def by_content(self, settings: EncoderSettings, source: Path) -> EncoderSettings:
        """Return settings that name a local encoder by its content, not by its place `source`."""
        return settings

    def convert(self, settings: EncoderSettings, folder: Path, source: Path | None) -> Origin:
        """Write weights, configuration and tokenizer into `folder`.

        `source` is where a local encoder lies, if not where `id` says. Raises TagdistillError where weights cannot be
        fetched, are not safetensors, or do not fit their checksum.
        """
        raise NotImplementedError


def load_provider(name: str) -> Provider:
    """Return a provider by its name in a config."""
    return cast("Provider", import_module(f"tagdistill.encoders.providers.{name}").PROVIDER)
