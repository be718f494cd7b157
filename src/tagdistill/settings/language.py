"""Languages and their splits: where each file lies and how it is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tagdistill.settings.base import Positive, Settings, Sha256
from tagdistill.settings.names import FORMATS, SOURCES, Scheme, names_in

SPLITS = ("train", "dev", "test", "unlabelled")
CORPORA = ("train", "unlabelled")  # what a teacher scores
LANGUAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,60}\Z")  # as long as other names may be, which are folders
if TYPE_CHECKING:
    Format = str
    Source = str
else:  # type checkers know no Literal of names that are looked up
    Format = Literal[names_in(FORMATS)]
    Source = Literal[names_in(SOURCES)]
SplitName = Literal["train", "dev", "test", "unlabelled"]


def some_sentences(take: str) -> str:
    """Return a slice "start:stop" of sentences. Raises ValueError where it holds none."""
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
        description="format `conll`: column of the token and the tag, -1 the last; `parquet`, `jsonl`: their names",
    )
    names: tuple[str, ...] = Field(
        (), description="formats `parquet`, `jsonl`: names of class numbers, where the file has none"
    )
    separator: Literal["auto", "tab", "space"] = Field(
        "auto", description="format `conll`: what separates the columns; auto: TABs if each of the first lines has one"
    )
    scheme: Scheme = Field("IOB2", description="how spans are written in the file; BIO: IOB2 whose tags may lack types")
    encoding: str = Field("utf-8", description="encoding of the file")
    comment: str | None = Field(
        None, description="format `conll`: lines that start so, and are no tokens, are left out (off by default)"
    )
    skip_lines: int = Field(
        0, ge=0, description="formats of text: first lines left out, as a header; not of a split in another format"
    )
    broken: Literal["refuse", "leave_out"] = Field(
        "refuse", description="sentences with an empty token, or not of the layout: an error, or left out and counted"
    )
    label_map: dict[str, str] = Field(
        default_factory=dict, description='other names of labels, such as PERSON: PER; "*": all others'
    )
    strict: bool = Field(False, description="refuse badly started spans instead of repairing them")
    out_of_domain: bool = Field(False, description="tested on another treebank or domain: marked, averaged apart")
    leave_out: str | None = Field(None, description="why this language is shown but left out of the averages")
    licence: str | None = Field(None, description="licence of the data, for the report and the model card")
    teacher: dict[str, Any] = Field(default_factory=dict, description="teacher settings of this language alone")
    teachers: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="zero-shot: whose distributions are averaged on its `unlabelled` text, names of `teachers` or "
        "trained languages; if none, those of an objective's teachers that know several languages",
    )

    def split(self, name: str) -> Split | None:
        """Return what the config says about a split, or None."""
        split: Split | None = getattr(self, name)
        return split

    def given(self, name: str) -> Split | None:
        """Return a split that has a file of its own, or None where the source has it."""
        split = self.split(name)
        return split if split and split.path is not None else None

    def part(self, name: str) -> SplitName:
        """Return the split of the source that a split is read from."""
        split = self.split(name)
        return split.of if split and split.of else name  # type: ignore[return-value]
