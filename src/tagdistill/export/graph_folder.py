"""The part of an exported folder that needs no torch: graphs, tokenizer, and their record."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import onnx

from tagdistill.artifacts.files import read_json, write_text
from tagdistill.artifacts.provenance import versions
from tagdistill.data.corpus import read_corpus
from tagdistill.encoders.folder import EncoderInfo
from tagdistill.encoders.pieces import WordPieces
from tagdistill.errors import TagdistillError
from tagdistill.export.compare import Side, compare
from tagdistill.export.graph import array_of
from tagdistill.export.precision import PRECISIONS, with_pieces
from tagdistill.export.tagger_graph import tagger_graph
from tagdistill.export.vocabulary import trimmed
from tagdistill.tagger.folder import TOKENIZER, Record, graph_file
from tagdistill.tagger.onnx_backend import OnnxBackend
from tagdistill.tagger.splitting import choose_splitter, kept_whole
from tagdistill.tagger.torch_backend import TorchBackend

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tagdistill.settings.export import Export


log = logging.getLogger(__name__)
WORDS_COMPARED = 20_000  # of all languages together
WORDS_SPLIT = 20_000  # of each language, by which a way to split text is judged
Sentences = list[list[str]]


@dataclass(frozen=True)
class Texts:
    """The text of an experiment: of each language all of it, and what graphs are compared on."""

    all: dict[str, Sentences]
    tests: dict[str, Sentences]

    @classmethod
    def read(cls, corpora: Iterable[Path], tests: Iterable[Path]) -> Texts:
        """Read corpora, and test sets. Raises TagdistillError where there is no sentence at all."""
        found = cls(_by_language(corpora), _by_language(tests))
        for language, sentences in found.tests.items():
            found.all.setdefault(language, []).extend(sentences)
        if not any(found.all.values()):
            raise TagdistillError("no text to compare an exported graph on", where="--files")
        return found

    def compared(self) -> Sentences:
        """Return sentences of every language, first of test sets."""
        found: Sentences = []
        limit = WORDS_COMPARED // len(self.all)
        for language, sentences in self.all.items():
            found += of_words(self.tests.get(language) or sentences, limit)
        return found


def of_words(sentences: Iterable[list[str]], limit: int) -> Iterator[list[str]]:
    """Yield the first sentences that have `limit` words together, or all."""
    words = 0
    for sentence in sentences:
        if words >= limit:
            return
        yield sentence
        words += len(sentence)


def _by_language(files: Iterable[Path]) -> dict[str, Sentences]:
    found: dict[str, Sentences] = {}
    for file in files:
        corpus = read_corpus(file)
        found.setdefault(corpus.language, []).extend(sentence for sentence in corpus.tokens if sentence)
    return found


def write_graphs(
    model: Path, encoder: Path, out: Path, *, precisions: Sequence[str], settings: Export, texts: Texts
) -> None:
    """Write the graphs of a model, with its tokenizer and their record, into a folder.

    Raises TagdistillError if a graph differs from the model in torch more than its precision explains, ConfigError for
    an encoder that has no graph here.
    """
    torch = TorchBackend(model, encoder=encoder, precision="fp32")  # as the graph that is made of it
    side = Side(WordPieces.load(encoder, drop_bare_underline=torch.settings.drop_bare_underline), torch)
    graph = tagger_graph(torch.encoder, torch.taps, torch.loaded.model.tagger, halves=torch.frozen)
    tokenizer = read_json(encoder / TOKENIZER)
    if settings.vocabulary == "used":
        used = side.pieces([sentence for sentences in texts.all.values() for sentence in sentences]).ids
        tokenizer, rows = trimmed(tokenizer, np.unique(used).tolist())
        graph = with_pieces(graph, rows)
    write_text(out / TOKENIZER, json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n")
    record = _record(torch, side.pieces, texts, precisions=precisions, settings=settings)
    record = replace(record, pieces=int(record.word_pieces(out).tokenizer.get_vocab_size()))
    for precision in precisions:
        file = out / graph_file(precision)
        onnx.save(PRECISIONS[precision](graph).model(), file)
        ours = Side(record.word_pieces(out), OnnxBackend(file, record.pooling, threads=1))
        difference = compare(side, ours, record.edges, texts.compared())
        difference.check(precision)
        record.compared[precision] = asdict(difference)
        size = file.stat().st_size / 1e6
        log.info("%s: %.1f MB; %.2f%% of labels differ from torch's", file.name, size, 100 * difference.labels)
    record.write(out)


def _record(
    torch: TorchBackend, pieces: WordPieces, texts: Texts, *, precisions: Sequence[str], settings: Export
) -> Record:
    unspaced = None if settings.unspaced == "auto" else settings.unspaced
    samples = {language: list(of_words(text, WORDS_SPLIT)) for language, text in texts.all.items()}
    splitter = choose_splitter([s for sample in samples.values() for s in sample], pieces.tokenizer, unspaced)
    libraries = ("onnx", "onnxruntime", *(["icu4py"] if splitter.unspaced == "icu" else []))
    tagger, encoder = torch.loaded.model.tagger, torch.settings
    return Record(
        task=torch.loaded.config["task"],
        labels=torch.loaded.labels,
        languages=tuple(torch.loaded.config["languages"]),
        start=array_of(tagger.start).tolist(),
        transitions=array_of(tagger.transitions).tolist(),
        end=array_of(tagger.end).tolist(),
        pooling=encoder.pooling,
        positions=EncoderInfo.read(torch.place).positions,
        drop_bare_underline=encoder.drop_bare_underline,
        words=splitter.words,
        unspaced=splitter.unspaced,
        kept_words={language: round(kept_whole(splitter, sample), 4) for language, sample in samples.items()},
        graphs=tuple(precisions),
        compared={},
        vocabulary=settings.vocabulary,
        pieces=0,
        versions=versions() | {name: version(name) for name in libraries},
        decode=torch.loaded.decode,
    )
