"""From words to the encoder's pieces and back: windows, batches, and which pieces make up each word."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tagdistill.artifacts.stored_file import stored, whole_folder
from tagdistill.encoders.folder import CONVERTED, EncoderInfo
from tagdistill.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import torch
    from tokenizers import Tokenizer

BARE = "▁"  # the marker of a word's start, alone: an empty piece before a word that has others
UNKNOWN = ("<unk>", "[UNK]")
PADDING = ("<pad>", "[PAD]")


@dataclass(frozen=True)
class Batch:
    """Padded windows. Words stand in the order of the windows, and within a window in the order of the sentence.

    The pieces of word i are `states.flatten(0, 1)[starts[i] : starts[i] + lengths[i]]`.
    """

    ids: torch.Tensor  # (batch, piece) int64
    mask: torch.Tensor  # (batch, piece) bool: false on padding
    starts: torch.Tensor  # (word,) int64: first piece of a word, as a position in the flattened (batch, piece)
    lengths: torch.Tensor  # (word,) int64: pieces of a word
    words: torch.Tensor  # (word,) int64: the word's place in the whole corpus
    windows: tuple[int, ...]  # the windows that make the rows
    # What the tensors say too: read from a GPU, it would have to wait.
    pieces: int  # of all words
    padded: bool  # whether a window is shorter than others

    @property
    def seen(self) -> torch.Tensor | None:
        """The mask of the pieces that are attended to; None where that is all of them."""
        return self.mask if self.padded else None

    def to(self, device: str | torch.device) -> Batch:
        """Return the batch on a device."""
        tensors = (self.ids, self.mask, self.starts, self.lengths, self.words)
        ids, mask, starts, lengths, words = (to_device(tensor, device) for tensor in tensors)
        return replace(self, ids=ids, mask=mask, starts=starts, lengths=lengths, words=words)


def to_device(tensor: torch.Tensor, device: str | torch.device) -> torch.Tensor:
    """Return a tensor of the host on a device, without waiting for what the device still computes."""
    import torch

    if torch.device(device).type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)  # from pageable memory the copy would wait


class Windows(NamedTuple):
    """The arrays of a `Batch`, for what runs without torch."""

    ids: np.ndarray
    mask: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    words: np.ndarray


@dataclass(frozen=True)
class Pieces:
    """A tokenised corpus in flat arrays. Windows split every sentence into runs of whole words that fit the encoder."""

    ids: np.ndarray  # (pieces,) int64
    words: np.ndarray  # (words + 1,) int64: where the pieces of a word start
    sentences: np.ndarray  # (sentences + 1,) int64: where the words of a sentence start
    windows: np.ndarray  # (windows + 1,) int64: where the words of a window start
    first_windows: np.ndarray  # (sentences + 1,) int64: where the windows of a sentence start
    before: tuple[int, ...]  # special pieces at a window's start
    after: tuple[int, ...]  # and at its end
    pad: int
    unknown_words: int  # words that hold an unknown piece, or had no piece at all
    split_sentences: int  # sentences longer than a window
    cut_words: int  # words longer than a window: their last pieces are lost

    def __len__(self) -> int:
        return len(self.sentences) - 1

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of words and pieces, and of the words that the tokenizer cannot keep whole."""
        return {
            "sentences": len(self),
            "words": len(self.words) - 1,
            "pieces": len(self.ids),
            "windows": len(self.windows) - 1,
            "unknown_words": self.unknown_words,
            "split_sentences": self.split_sentences,
            "cut_words": self.cut_words,
        }

    @property
    def window_lengths(self) -> np.ndarray:
        """Return the pieces of each window, special ones included."""
        return np.asarray(np.diff(self.words[self.windows]) + len(self.before) + len(self.after))

    def windows_of(self, sentences: Sequence[int]) -> list[int]:
        """Return the windows of sentences, in order: their batch holds the words in the order of the sentences."""
        return [w for s in sentences for w in range(self.first_windows[s], self.first_windows[s + 1])]

    def batch(self, windows: Sequence[int] | np.ndarray) -> Batch:
        """Return windows as padded tensors."""
        import torch

        arrays, rows = self.arrays(windows), tuple(np.asarray(windows).tolist())
        ids, mask, starts, lengths, words = (torch.from_numpy(array) for array in arrays)
        pieces, padded = int(arrays.lengths.sum()), not arrays.mask.all()
        return Batch(ids, mask, starts, lengths, words, rows, pieces, padded)

    def arrays(self, windows: Sequence[int] | np.ndarray) -> Windows:
        """Return windows as padded arrays."""
        chosen = np.asarray(windows, dtype=np.int64)
        lengths = self.window_lengths[chosen]
        ids = np.full((len(chosen), int(lengths.max())), self.pad, dtype=np.int64)
        offset, starts, counts, words = len(self.before), [], [], []
        for row, window in enumerate(chosen):
            first, end = self.windows[window], self.windows[window + 1]
            bounds = self.words[first : end + 1]
            ids[row, : lengths[row]] = np.r_[self.before, self.ids[bounds[0] : bounds[-1]], self.after]
            starts.append(bounds[:-1] - bounds[0] + offset + row * ids.shape[1])
            counts.append(np.diff(bounds))
            words.append(np.arange(first, end))
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        return Windows(ids, mask, *(np.concatenate(part) for part in (starts, counts, words)))

    def batches(self, budget: int = 2000, rows: int = 32, among: range | None = None) -> Iterator[Batch]:
        """Yield windows, longest first, in batches of at most `rows` windows and `budget` pieces with padding.

        `among`: only these; None: all.
        """
        for windows in self.length_sorted(budget, rows, among):
            yield self.batch(windows)

    def length_sorted(self, budget: int, rows: int, among: range | None = None) -> list[np.ndarray]:
        """Return the windows of each batch. Longest first: memory that suffices at the start suffices to the end."""
        lengths = self.window_lengths
        chosen = np.arange(len(lengths)) if among is None else np.asarray(among, np.int64)
        order = chosen[np.argsort(-lengths[chosen], kind="stable")]
        batches, at = [], 0
        while at < len(order):
            size = max(1, min(rows, budget // int(lengths[order[at]])))
            batches.append(order[at : at + size])
            at += size
        return batches


class WordPieces:
    """The tokenizer of an encoder, for text that is already in words."""

    def __init__(self, tokenizer: Tokenizer, positions: int, *, drop_bare_underline: bool = True) -> None:
        self.tokenizer = tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.before, self.after = _special_pieces(tokenizer)
        self.limit = positions - len(self.before) - len(self.after)  # pieces of words in a window
        if self.limit < 1:
            raise ConfigError(f"a window of {positions} pieces has no room for a word", where="encoder")
        self.bare = tokenizer.token_to_id(BARE) if drop_bare_underline else None
        self.unknown = _first_id(tokenizer, UNKNOWN)  # a byte-level tokenizer has none
        pad = _first_id(tokenizer, PADDING)
        self.pad = 0 if pad is None else pad
        self.lead = _lead(tokenizer)

    @classmethod
    def load(cls, folder: Path, *, drop_bare_underline: bool = True) -> WordPieces:
        """Return the tokenizer of a converted encoder."""
        from tokenizers import Tokenizer

        info = EncoderInfo.read(folder)
        path = folder / "tokenizer.json"
        if not path.is_file():
            hint = whole_folder(path) or CONVERTED
            raise DataError("no such file: the encoder folder is not whole", where=str(path), hint=hint)
        with stored(path, "a tokenizer"):
            return cls(Tokenizer.from_file(str(path)), info.positions, drop_bare_underline=drop_bare_underline)

    def __call__(self, sentences: Iterable[Sequence[str]]) -> Pieces:
        """Tokenise sentences of words. Every word has at least one piece and is in exactly one window."""
        kinds: dict[str, int] = {}  # the number of each different word
        numbers, counts = array("q"), array("q")
        for sentence in sentences:
            numbers.extend([kinds.setdefault(word, len(kinds)) for word in sentence])
            counts.append(len(sentence))
        of_words, ends = np.array(numbers, np.int64), offsets(np.array(counts, np.int64))
        pieces = self._tokenise(list(kinds))
        unknown = np.array([self.unknown in ids for ids in pieces], bool)
        cut = np.array([len(ids) > self.limit for ids in pieces], bool)
        pieces = [ids[: self.limit] for ids in pieces]
        bounds = offsets(np.array([len(ids) for ids in pieces], np.int64))
        flat = np.fromiter(chain.from_iterable(pieces), np.int64, int(bounds[-1]))
        words = offsets(np.diff(bounds)[of_words])
        # A piece's place in `flat`: where its word's pieces start there, and how far it is from them.
        shift = np.repeat(bounds[of_words] - words[:-1], np.diff(words))
        windows, first = windows_of_words(words, ends, self.limit)
        return Pieces(
            ids=flat[shift + np.arange(words[-1])],
            words=words,
            sentences=ends,
            windows=windows,
            first_windows=first,
            before=self.before,
            after=self.after,
            pad=self.pad,
            unknown_words=int(unknown[of_words].sum()),
            split_sentences=int((np.diff(first) > 1).sum()),
            cut_words=int(cut[of_words].sum()),
        )

    def _tokenise(self, words: list[str]) -> list[list[int]]:
        """Return the pieces of each word. In pre-split text they do not depend on the neighbours: one look suffices."""
        inputs = [[self.lead + word] for word in words]
        encodings = self.tokenizer.encode_batch_fast(inputs, is_pretokenized=True, add_special_tokens=False)
        return [self._clean(encoding.ids) for encoding in encodings]

    def _clean(self, ids: list[int]) -> list[int]:
        if self.bare in ids:
            ids = [piece for piece in ids if piece != self.bare] or [self.bare]
        return ids or [self.pad if self.unknown is None else self.unknown]


def windows_of_words(words: np.ndarray, sentences: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where windows start (in words) and where each sentence's windows start (in windows).

    A sentence of more than `limit` pieces is divided into windows of about equal size, so that no word is left with
    a few neighbours only.
    """
    pieces = np.diff(words[sentences])
    counts = (pieces > 0).astype(np.int64)
    cuts = [sentences[:-1][counts > 0]]
    for sentence in np.flatnonzero(pieces > limit):
        first, end = sentences[sentence], sentences[sentence + 1]
        inner = first + _cuts(words[first : end + 1] - words[first], limit)
        counts[sentence] += len(inner)
        cuts.append(inner)
    starts = np.sort(np.concatenate(cuts))
    return np.append(starts, sentences[-1]), offsets(counts)


def _cuts(ends: np.ndarray, limit: int) -> np.ndarray:
    """Return the words before which a sentence is cut; `ends` (words + 1,) are its cumulative pieces."""
    total, last = int(ends[-1]), len(ends) - 1
    parts = -(-total // limit)
    while True:
        bounds = np.unique(np.r_[0, np.searchsorted(ends, np.arange(1, parts) * total / parts), last])
        if np.diff(ends[bounds]).max() <= limit:
            return bounds[1:-1]
        parts += 1  # ends with a window a word at the latest, and no word is longer than a window


def offsets(lengths: np.ndarray | Sequence[int]) -> np.ndarray:
    """Return [0, l0, l0 + l1, ...]."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _special_pieces(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the special pieces that the tokenizer puts before and after a text."""
    encoding = tokenizer.encode(["a"], is_pretokenized=True)
    inner = [place for place, special in enumerate(encoding.special_tokens_mask) if not special]
    return tuple(encoding.ids[: inner[0]]), tuple(encoding.ids[inner[-1] + 1 :])


def _first_id(tokenizer: Tokenizer, names: Sequence[str]) -> int | None:
    found = [tokenizer.token_to_id(name) for name in names]
    return next((index for index in found if index is not None), None)


def _lead(tokenizer: Tokenizer) -> str:
    """Return " " where the tokenizer marks words by the space before them and pre-split words would lose it."""
    text, word = tokenizer.encode("a a", add_special_tokens=False).ids, [["a"], [" a"]]
    plain, spaced = (tokenizer.encode(w, is_pretokenized=True, add_special_tokens=False).ids for w in word)
    return " " if text[-len(plain) :] != plain and text[-len(spaced) :] == spaced else ""
