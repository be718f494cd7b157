"""What `snakemake export` writes of a student."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tagdistill.settings.base import Settings, unrepeated

ExportFormat = Literal["torch", "fp32", "fp16", "int8"]


class Export(Settings):
    """What an exported folder holds."""

    formats: Annotated[tuple[ExportFormat, ...], Field(min_length=1), AfterValidator(unrepeated)] = Field(
        ("int8", "torch"),
        description="torch: the weights and the encoder; the others: graphs that need no torch, of that precision",
    )
    vocabulary: Literal["full", "used"] = Field(
        "full",
        description="used: graphs and their tokenizer keep pieces that the experiment's text uses, and frequent ones "
        "of the same characters",
    )
    unspaced: Literal["auto", "characters", "pieces", "icu"] = Field(
        "auto",
        description="what a word is in scripts without blanks, such as Thai: a character, a piece of the tokenizer, or "
        "a word of ICU's dictionaries (extra `icu`); auto: characters or pieces",
    )
