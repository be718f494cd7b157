"""What all settings share: closed, frozen models and the types of their values."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Decoder = Literal["crf", "softmax"]
Task = Literal["pos", "ner", "aspect"]
Kernel = Literal["torch", "compiled"]
LossPer = Literal["sentence", "word"]
Decode = Literal["unconstrained", "constrained"]
Positive = Annotated[int, Field(gt=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]


def unrepeated(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values. Raises ValueError where one of them is repeated."""
    if len(set(values)) < len(values):
        raise ValueError("a value is given twice")
    return values


class Settings(BaseModel):
    """Base of all settings: no unknown key, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


# torch takes less than 2**64, to which the number of a process is added, and columns of tables less than 2**63.
MAX_SEED = 2**63 - 1
Seeds = Annotated[tuple[Annotated[int, Field(ge=0, le=MAX_SEED)], ...], Field(min_length=1), AfterValidator(unrepeated)]
