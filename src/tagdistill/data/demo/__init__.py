"""A small hand-written corpus of names in ten languages, for demonstrations and tests without a download."""

from __future__ import annotations

from tagdistill.data.demo.expand import ROOT, SIZES, expand
from tagdistill.errors import ConfigError, nearest

LANGUAGES = ("en", "es", "ru", "el", "ar", "hi")
ZERO_SHOT = ("de", "fr", "uk", "he")


def splits(language: str) -> tuple[str, ...]:
    """Return the splits of a language: all four for a trained language, only the test split for a zero-shot one."""
    if language in LANGUAGES:
        return tuple(SIZES)
    if language in ZERO_SHOT:
        return ("test",)
    raise ConfigError(f"the demo corpus has no language {language!r}", hint=nearest(language, LANGUAGES + ZERO_SHOT))


def sentences(language: str, split: str) -> list[tuple[list[str], list[str]]]:
    """Return the tokens and BIOES labels of each sentence; the labels of the unlabelled split are empty lists."""
    if split not in (known := splits(language)):
        raise ConfigError(f"the demo corpus has no {language} split {split!r}", hint=nearest(split, known))
    return [
        (list(s.tokens), [] if split == "unlabelled" else list(s.labels)) for s in expand(language, split, SIZES[split])
    ]


def licence() -> str:
    """Return the licence notice of the corpus and what to know before using it."""
    return (ROOT / "LICENSE.txt").read_text(encoding="utf-8")
