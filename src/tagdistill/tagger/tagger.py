"""`Tagger`: a student on plain text, in three lines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar, Unpack, overload

import numpy as np

from tagdistill.errors import ConfigError, DataError
from tagdistill.tagger.batches import batches, grouped
from tagdistill.tagger.decoding import Wanted, tagged
from tagdistill.tagger.load import OpenModel, load
from tagdistill.tagger.texts import Input, Text, as_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tagdistill.settings.base import Decode, Task
    from tagdistill.tagger.decoding import Decoded
    from tagdistill.tagger.results import Tagged

log = logging.getLogger(__name__)
T = TypeVar("T")
BATCH_WORDS = {"cpu": 256, "cuda": 8192}  # with padding; larger batches are slower on a CPU
FEW_KEPT = 0.8  # a smaller share of words that splitting keeps whole is warned of
BATCHES_AT_ONCE = 16  # so many batches of a stream are read at a time, so that sentences of like length meet


class Options(TypedDict, total=False):
    """The options of a call."""

    k_best: int
    marginals: bool
    constrained: bool | None
    batch_words: int


class Tagger:
    """A student that labels text.

    Called with one text, it returns a `Tagged`, a sequence of spans; with a list of texts, a list of them; with any
    other iterable, an iterator, which reads a few thousand words ahead. A text is a string, a list of words, which
    is taken as one sentence (a single one goes into a list of its own: `tagger([["Hello", "Paris"]])`), or a `Text`.
    """

    def __init__(self, model: OpenModel) -> None:
        self.model, self._warned = model, False

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of `Tagged.marginals`."""
        return self.model.decoder.labels

    @property
    def task(self) -> Task:
        """What is labelled: spans (`ner`, `aspect`) or words (`pos`)."""
        return self.model.task

    @property
    def decode(self) -> Decode:
        """How the model's dev sets were decoded, and its test sets; without any: constrained."""
        return self.model.decode

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        precision: str | None = None,
        device: str = "cpu",
        threads: int | None = None,
        revision: str | None = None,
        encoder: str | Path | None = None,
    ) -> Tagger:
        """Load an exported student, or a saved model with its encoder, from a folder or from the Hugging Face Hub.

        `precision` is one of the folder's graphs (fp32, fp16, int8) or `torch`; None: the first that it has. `device`
        is cpu, cuda, or auto: cuda where it can be used. `threads` are those of the CPU (None: all cores), `revision`
        is a commit on the Hub, and `encoder` the folder of a saved model's encoder, if it is in none of the usual
        places. Raises TagdistillError where there is no model, or where a file of it is missing, altered or of a newer
        version.
        """
        return cls(load(model, precision, device, threads, revision, Path(encoder) if encoder else None))

    @overload  # a string is a sequence of strings, too: the first that fits holds
    def __call__(self, texts: str | Text, **options: Unpack[Options]) -> Tagged: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, texts: Sequence[Input], **options: Unpack[Options]) -> list[Tagged]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, texts: Iterable[Input], **options: Unpack[Options]) -> Iterator[Tagged]: ...
    def __call__(
        self,
        texts: str | Text | Iterable[Input],
        *,
        k_best: int = 0,
        marginals: bool = False,
        constrained: bool | None = None,
        batch_words: int | None = None,
    ) -> Tagged | list[Tagged] | Iterator[Tagged]:
        """Label text.

        `k_best`: also the k best labellings of each text (`Tagged.taggings`); `marginals`: also the probabilities of
        all labels of each word (`Tagged.marginals`); `constrained`: well-formed spans only, and probabilities
        given that all spans are (None: as `decode` says). A batch holds `batch_words` words, padding included (default:
        256 on a CPU, 8192 on a GPU). Raises DataError for what is no text.
        """
        batch_words = BATCH_WORDS[self.model.device] if batch_words is None else batch_words
        for name, value, least in (("k_best", k_best, 0), ("batch_words", batch_words, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"cannot be {value!r}: a whole number from {least} up", where=name)
        wanted = Wanted(k_best, marginals, self.decode == "constrained" if constrained is None else constrained)
        if isinstance(texts, str | Text):
            return next(self._stream([texts], wanted, batch_words))
        if not isinstance(texts, Iterable) or isinstance(texts, bytes):
            raise DataError(f"{texts!r} is no text, and no texts", hint="Give a string, or strings.")
        found = self._stream(texts, wanted, batch_words)
        return list(found) if isinstance(texts, Sequence) else found

    def label(self, sentences: Iterable[Sequence[str]], decodings: Sequence[Decode]) -> dict[Decode, list[list[str]]]:
        """Return the best labels of sentences of words by each decoding, from one pass over them; none is empty."""
        found: dict[Decode, list[list[str]]] = {decode: [] for decode in decodings}
        words = BATCH_WORDS[self.model.device]
        split = (self._split(sentence, number) for number, sentence in enumerate(sentences))
        while portion := list(_portion(split, BATCHES_AT_ONCE * words, _size)):
            emissions = self._emissions([parts for text in portion for parts in text.parts()], words)
            for decode, labels in found.items():
                wanted = Wanted(constrained=decode == "constrained")
                labels += [list(each.best.labels) for each in self._decode(emissions, wanted, words)]
        return found

    def _stream(self, texts: Iterable[object], wanted: Wanted, batch_words: int) -> Iterator[Tagged]:
        split = (self._split(text, number) for number, text in enumerate(texts))
        words = batch_words  # few at first: the first result is there early
        while portion := list(_portion(split, words, _size)):
            yield from self._tag(portion, wanted, batch_words)
            words = min(2 * words, BATCHES_AT_ONCE * batch_words)

    def _split(self, given: object, number: int) -> Text:
        few = {language: share for language, share in self.model.kept_words.items() if share < FEW_KEPT}
        if few and not self._warned and isinstance(given, str):
            listed = ", ".join(f"{language} {share:.0%}" for language, share in few.items())
            log.warning("warning: text is split otherwise than the training text was: words kept whole: %s", listed)
            self._warned = True
        return as_text(given, self.model.splitter, f"text {number}")

    def _tag(self, texts: Sequence[Text], wanted: Wanted, batch_words: int) -> Iterator[Tagged]:
        results = self._results((parts for text in texts for parts in text.parts()), wanted, batch_words)
        for text in texts:
            yield tagged(text, list(islice(results, len(text.sentences))), wanted, len(self.labels))

    def _results(self, sentences: Iterator[list[list[str]]], wanted: Wanted, batch_words: int) -> Iterator[Decoded]:
        """Return what is decoded of each sentence, given in parts; a long text is read bit by bit, too."""
        while portion := list(_portion(sentences, BATCHES_AT_ONCE * batch_words, _words)):
            yield from self._decode(self._emissions(portion, batch_words), wanted, batch_words)

    def _decode(self, emissions: Sequence[NDArray[np.float32]], wanted: Wanted, batch_words: int) -> Iterator[Decoded]:
        """Return what is decoded of each sentence, given as its emissions (word, label)."""
        lengths = np.array([len(sentence) for sentence in emissions], np.int64)
        decoded: list[Decoded | None] = [None] * len(emissions)
        for rows in grouped(lengths, lengths, batch_words):
            batch = [emissions[row] for row in rows]
            for row, found in zip(rows, self.model.decoder.decode(batch, wanted), strict=True):
                decoded[row] = found
        return filter(None, decoded)

    def _emissions(self, sentences: Sequence[list[list[str]]], batch_words: int) -> list[NDArray[np.float32]]:
        """Return the emissions (word, label) of sentences that are given in parts."""
        parts = [part for sentence in sentences for part in sentence]
        pieces = self.model.pieces(parts)
        found: list[NDArray[np.float32]] = [np.empty((0, len(self.labels)), np.float32)] * len(parts)
        for rows in batches(pieces, batch_words):
            emissions = self.model.backend.emissions(pieces, parts, rows.tolist())
            for row, values in zip(rows, emissions, strict=True):
                found[row] = values
        each = iter(found)
        return [np.concatenate(list(islice(each, len(sentence)))) for sentence in sentences]


def _portion(items: Iterator[T], words: int, size: Callable[[T], int]) -> Iterator[T]:
    """Yield texts or sentences of so many words together, at least one if there is any."""
    for item in items:
        yield item
        words -= size(item)
        if words <= 0:
            return


def _size(text: Text) -> int:
    return text.size + 1  # a text without words counts, too: a stream may hold many of them


def _words(parts: list[list[str]]) -> int:
    return sum(map(len, parts))
