"""The body of a request to label texts: its schema, and what is wrong with one that does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, create_model

from tagdistill.serving.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

    from tagdistill.serving.limits import Limits

TEXT, TEXTS, WORDS = "a text", "a list of texts", "a list of words"
TOO_LARGE = ("string_too_long", "too_long")
EXAMPLE: dict[str, Any] = {"texts": ["Angela Merkel was in Paris.", ["Ada", "Lovelace", "was", "in", "London", "."]]}


class Options(NamedTuple):
    """The options of a request, as those of a call of `Tagger`."""

    k_best: int = 0
    marginals: bool = False
    constrained: bool | None = None


class Request(NamedTuple):
    """What is to be labelled, and how."""

    texts: list[str | Sequence[str]]
    options: Options


def request_model(limits: Limits) -> type[BaseModel]:
    """Return the model of a request under some limits, which its schema states."""
    text = Annotated[str, Field(max_length=limits.text_characters)]
    word = Annotated[str, Field(min_length=1, max_length=limits.text_characters)]
    words = Annotated[list[word], Field(max_length=limits.text_characters)]
    either = Annotated[
        Annotated[text, Tag(TEXT)] | Annotated[words, Tag(WORDS)],
        Discriminator(lambda given: WORDS if isinstance(given, list) else TEXT),
    ]
    texts = Annotated[list[either], Field(max_length=limits.texts)]
    one_or_many = Annotated[
        Annotated[text, Tag(TEXT)] | Annotated[texts, Tag(TEXTS)],
        Discriminator(lambda given: TEXTS if isinstance(given, list) else TEXT),
    ]
    told = (
        "A text, or a list; each entry is a text, or the words of one sentence. "
        f"All of it has at most {limits.characters:,} characters."
    )
    best = Field(0, ge=0, le=limits.k_best, description="also the k best labellings of each text")
    marginals = Field(False, description="also the probability of each label of each word")
    formed = Field(None, description="well-formed spans only, or any; null: as the model was tested")
    return create_model(
        "TagRequest",
        __config__=ConfigDict(extra="forbid", strict=True, json_schema_extra={"example": EXAMPLE}),
        __doc__="Texts to label.",
        texts=(one_or_many, Field(description=told)),
        k_best=(int, best),
        marginals=(bool, marginals),
        constrained=(bool | None, formed),
    )


def parse(model: type[BaseModel], body: bytes, limits: Limits) -> Request:
    """Return the request in a body. Raises Refusal, with the field, for one that does not fit or is too large."""
    if not body.strip():
        raise Refusal(400, "empty", "the body is empty", hint='Send JSON, such as {"texts": "Ada was in London."}.')
    try:
        values: Any = model.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False, include_context=True)[0]) from None  # it quotes the text
    texts = [values.texts] if isinstance(values.texts, str) else values.texts
    sizes = [len(text) if isinstance(text, str) else sum(map(len, text)) + max(0, len(text) - 1) for text in texts]
    for place, size in enumerate(sizes):
        if size > limits.text_characters:
            raise _too_large(f"texts[{place}]", size, limits.text_characters, "Split it at the ends of sentences.")
    if sum(sizes) > limits.characters:
        raise _too_large("texts", sum(sizes), limits.characters, "Send several requests.")
    return Request(texts, Options(values.k_best, values.marginals, values.constrained))


def _refusal(error: ErrorDetails) -> Refusal:
    kind = error["type"]
    if kind == "json_invalid":
        what = f"the body is no JSON in UTF-8: {error.get('ctx', {}).get('error', error['msg'])}"
        return Refusal(400, "invalid_json", what)
    field = _field(error["loc"])
    if kind in TOO_LARGE:
        return Refusal(413, "too_large", _lower(error["msg"]), where=field, hint="Send several requests.")
    if kind == "extra_forbidden":
        return Refusal(422, "unknown_field", "no such field", where=field, hint=f"Known: {', '.join(_fields())}.")
    if kind == "missing":
        return Refusal(422, "missing_field", "this field is needed", where=field)
    return Refusal(422, "invalid_field", _lower(error["msg"]), where=field or "body")


def _fields() -> tuple[str, ...]:
    return ("texts", *Options._fields)


def _field(places: tuple[int | str, ...]) -> str:
    """Return the path of a field, such as `texts[3][0]`."""
    named = [place for place in places if place not in (TEXT, TEXTS, WORDS)]
    return "".join(f"[{place}]" if isinstance(place, int) else place for place in named)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _too_large(field: str, size: int, most: int, hint: str) -> Refusal:
    return Refusal(413, "too_large", f"{size:,} characters; at most {most:,} are allowed", where=field, hint=hint)
