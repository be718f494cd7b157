"""How a teacher or a student is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tagdistill.settings.base import LossPer, Positive, Seeds, Settings, Share
from tagdistill.settings.encoder import EncoderSettings, Vectors, stored_states

SAMPLING = "tagdistill.training.sampling"


class Training(Settings):
    """A tagger and how it is trained; teachers and students share these."""

    mode: Literal["frozen", "finetune"] = Field("frozen", description="features of a frozen encoder, or train it too")
    head: Literal["bilstm", "mlp", "linear"] = Field("bilstm", description="what turns word vectors into emissions")
    hidden: Positive = Field(128, description="hidden units (each direction of the BiLSTM)")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.5, description="dropout before and after the head")
    word_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of whole words dropped in training"
    )
    tune_from: Annotated[int, Field(ge=0)] = Field(4, description="fine-tuning: the first layers kept frozen")
    updates: Positive | None = Field(None, description="optimiser steps: this or `epochs`")
    epochs: Positive | None = Field(
        None,
        description="passes over the labelled sentences, instead of `updates`; all students get the updates of "
        "the objective with most unlabelled text",
    )
    batch_words: Positive = Field(1000, description="words in a batch, padding included")
    optimizer: Literal["adam", "sgd"] = Field("adam", description="AdamW or plain SGD")
    schedule: Literal["linear", "constant", "plateau"] = Field(
        "linear", description="of the learning rate; plateau: halved after 10 evaluations without a better dev score"
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(2e-3, description="of the head")
    learning_rate_encoder: Annotated[float, Field(gt=0)] = Field(1e-4, description="fine-tuning: the encoder's own")
    learning_rate_transitions: Annotated[float, Field(gt=0)] = Field(1e-2, description="the CRF's own")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="of all but the transitions")
    loss_per: LossPer = Field(
        "sentence",
        description="what a batch's loss is averaged over: its sentences (sums over words, as published) or its words",
    )
    clip: Annotated[float, Field(gt=0)] = Field(5.0, description="largest norm of a gradient")
    warmup: Share = Field(0.0, description="share of the updates that warm up")
    evaluations: Positive = Field(5, description="how often dev is scored in a training run")
    select: Literal["macro", "pooled", "last"] = Field(
        "macro", description="which dev score chooses the model; where all are 0, the last update stays"
    )

    @property
    def alpha(self) -> float:
        """The power of their sizes by which languages are drawn."""
        return 1.0

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that only such a training loads, by name."""
        return (SAMPLING,) if self.alpha != 1 else ()

    def stored(self, encoder: EncoderSettings) -> EncoderSettings | None:
        """Return what is stored of an encoder for such a training; None where nothing but its embeddings is frozen."""
        return encoder if self.mode == "frozen" else stored_states(encoder, self.tune_from)

    @model_validator(mode="after")
    def _length(self) -> Training:
        if (self.updates is None) == (self.epochs is None):
            raise ValueError("give `updates` or `epochs`, one of them")
        if self.schedule == "plateau" and self.warmup:
            raise ValueError("`schedule: plateau` has no `warmup`")
        return self


class TeacherSettings(Training):
    """A monolingual teacher."""

    seeds: Seeds = Field((0,), description="the first teaches, the others show the spread")
    encoder: EncoderSettings | None = Field(None, description="another encoder than the experiment's")
    vectors: Vectors | None = Field(None, description="`frozen`: word vectors beside the encoder's")
    folds: Annotated[int, Field(ge=0)] = Field(
        0, description="n further teachers label the labelled text, each the part that it was not trained on; 0: none"
    )

    @model_validator(mode="after")
    def _two_folds(self) -> TeacherSettings:
        if self.folds == 1:
            raise ValueError("`folds` is 0, for none, or at least 2")
        return self


Sampling = Annotated[
    Share,
    Field(
        description="languages are drawn by the number of their sentences to this power: 1 as they are, 0 all alike "
        "(XLM-R: 0.3)"
    ),
]


class SharedTeacherSettings(TeacherSettings):
    """A teacher of several languages; what it leaves out is that of `teacher`."""

    languages: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        "all", description="all trained languages, or a list of them"
    )
    sampling: Sampling = 1.0

    @model_validator(mode="after")
    def _each_once(self) -> SharedTeacherSettings:
        if self.languages != "all" and len(set(self.languages)) < len(self.languages):
            raise ValueError("`languages` names one of them twice")
        return self

    @property
    def alpha(self) -> float:
        """The power of their sizes by which languages are drawn."""
        return self.sampling


class StudentSettings(Training):
    """The multilingual student."""

    sampling: Sampling = 1.0

    @property
    def alpha(self) -> float:
        """The power of their sizes by which languages are drawn."""
        return self.sampling
