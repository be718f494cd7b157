"""A tokenizer without the pieces that no text uses."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

CONTINUED = ("##", "▁", "Ġ")  # marks at the start of a piece, beside which a single character may stand
BYTE = ("<0x", ">")
MOST_PIECES = 64_000  # so many at least, if there are as many of the text's characters: 40 MB with 384 numbers in int8


def trimmed(tokenizer: dict[str, Any], used: Iterable[int]) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Return a `tokenizer.json` with a part of its pieces, and their former ids in the order of their new ones.

    It keeps the `used` pieces, special ones, single characters and bytes, then the most frequent ones of the same
    characters up to `MOST_PIECES`, and of BPE the pieces that all those are merged from: a word all of whose pieces are
    used is cut as before. Raises DataError for a model that is not Unigram, BPE, WordPiece or WordLevel.
    """
    model = tokenizer["model"]
    pieces, used = _pieces(model), set(used)
    kept = used | {entry["id"] for entry in tokenizer.get("added_tokens", [])} | _needed(model, pieces)
    kept |= {place for piece, place in pieces if _is_single(piece)}
    kept |= set(_others(pieces, used, kept, MOST_PIECES - len(kept)))
    if model["type"] == "BPE":
        kept |= _merged_from(model, dict(pieces), kept)
    former = np.array(sorted(kept), np.int64)
    places = {int(old): new for new, old in enumerate(former)}
    found = copy.deepcopy(tokenizer)
    _cut_model(found["model"], pieces, places)
    for entry in found.get("added_tokens", []):
        entry["id"] = places[entry["id"]]
    _renumber(found.get("post_processor"), places)
    return found, former


def _pieces(model: dict[str, Any]) -> list[tuple[str, int]]:
    if model.get("type") == "Unigram":
        return [(piece, place) for place, (piece, _) in enumerate(model["vocab"])]
    if model.get("type") in ("BPE", "WordPiece", "WordLevel"):
        return list(model["vocab"].items())
    raise DataError(f"a tokenizer of the type {model.get('type')!r} cannot be trimmed", where="export.vocabulary")


def _needed(model: dict[str, Any], pieces: list[tuple[str, int]]) -> set[int]:
    """Return the pieces that the model itself needs."""
    if model["type"] == "Unigram":
        # What an unknown character costs depends on the lowest score.
        lowest = min(range(len(pieces)), key=lambda place: model["vocab"][place][1])
        return {lowest} | ({model["unk_id"]} if model.get("unk_id") is not None else set())
    places = dict(pieces)
    return {places[model["unk_token"]]} if model.get("unk_token") in places else set()


def _is_single(piece: str) -> bool:
    """Return whether a piece is one character, one byte, or one character after a mark."""
    if piece.startswith(BYTE[0]) and piece.endswith(BYTE[1]):
        return True
    return len(piece) <= 1 or any(piece.startswith(mark) and len(piece) <= len(mark) + 1 for mark in CONTINUED)


def _others(pieces: list[tuple[str, int]], used: set[int], kept: set[int], count: int) -> list[int]:
    """Return the first `count` pieces that are not kept and written with the characters of the used ones.

    Tokenizers number pieces by their frequency, those of WordPiece apart, which are by their letters in part.
    """
    characters = {character for piece, place in pieces if place in used for character in piece}
    found = sorted(place for piece, place in pieces if place not in kept and characters.issuperset(piece))
    return found[: max(0, count)]


def _merges(model: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the merges of BPE, which older files write as one string."""
    pairs = (merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model["merges"])
    return [(left, right) for left, right in pairs]


def _merged(model: dict[str, Any], left: str, right: str) -> str:
    prefix = model.get("continuing_subword_prefix") or ""
    return left + right.removeprefix(prefix)


def _merged_from(model: dict[str, Any], places: dict[str, int], kept: set[int]) -> set[int]:
    """Return the pieces that the kept ones are merged from, on any way."""
    parts: dict[int, set[int]] = {}
    for left, right in _merges(model):
        whole = places[_merged(model, left, right)]
        parts.setdefault(whole, set()).update((places[left], places[right]))
    found, waiting = set(kept), list(kept)
    while waiting:
        new = parts.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _cut_model(model: dict[str, Any], pieces: list[tuple[str, int]], places: dict[int, int]) -> None:
    if model["type"] == "Unigram":
        model["vocab"] = [entry for place, entry in enumerate(model["vocab"]) if place in places]
        if model.get("unk_id") is not None:
            model["unk_id"] = places[model["unk_id"]]
        return
    model["vocab"] = {piece: places[place] for piece, place in pieces if place in places}
    if model["type"] == "BPE":
        known = model["vocab"]
        merges = zip(model["merges"], _merges(model), strict=True)
        kept = (written for written, pair in merges if {*pair, _merged(model, *pair)} <= known.keys())
        model["merges"] = list(kept)


def _renumber(processor: Any, places: dict[int, int]) -> None:
    """Give the special pieces of a post-processor their new ids."""
    if not isinstance(processor, dict):
        return
    for part in processor.get("processors", []):
        _renumber(part, places)
    for special in (processor.get("special_tokens") or {}).values():
        special["ids"] = [places[old] for old in special["ids"]]
    for name in ("sep", "cls"):
        if name in processor:
            processor[name] = [processor[name][0], places[processor[name][1]]]
