"""Check values against settings, and word what is wrong."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tagdistill.settings.messages import explain

Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], values: Any, where: str, *, joint: str = ": ") -> Model:
    """Validate settings and word the first failure for a person; `joint` stands between `where` and the key."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise explain(error, model, where + joint) from None
