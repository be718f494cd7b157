"""A trimmed tokenizer cuts text whose pieces it kept as the whole tokenizer does."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from tagdistill.encoders.pieces import WordPieces
from tagdistill.errors import DataError
from tagdistill.export import vocabulary
from tagdistill.export.vocabulary import trimmed

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
TEXT = [
    "the unhappiness of the unhappy unkindness",
    "kindness and happiness are kind",
    "Straße über größere Häuser",
] * 3
USED = [["the", "unhappiness"], ["kind", "größere", "of"]]
OTHER = [["unkindness", "Häuser", "日本", "zzz"]]


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.train_from_iterator(
        TEXT, trainers.UnigramTrainer(vocab_size=90, special_tokens=SPECIALS, unk_token="<unk>")
    )
    return tokenizer


def bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=120, special_tokens=SPECIALS))
    return tokenizer


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=SPECIALS, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(TEXT, trainers.WordPieceTrainer(vocab_size=120, special_tokens=SPECIALS))
    return tokenizer


TEMPLATE = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
# `<extra>` is added at the end of the vocabulary, where ids change
PROCESSORS = {
    "template": lambda extra: processors.TemplateProcessing("<extra> $A </s>", special_tokens=[extra, ("</s>", 2)]),
    "roberta": lambda extra: processors.RobertaProcessing(("</s>", 2), extra),
    "bert in a sequence": lambda extra: processors.Sequence([processors.BertProcessing(("</s>", 2), extra)]),
}


@pytest.fixture(autouse=True)
def only_what_is_used(monkeypatch):
    monkeypatch.setattr(vocabulary, "MOST_PIECES", 0)


@pytest.fixture(params=[unigram, bpe, byte_level, word_piece], ids=lambda make: make.__name__)
def tokenizer(request) -> Tokenizer:
    made = request.param()
    made.post_processor = TEMPLATE
    return made


def pieces_of(tokenizer: Tokenizer, sentences) -> tuple[list[str], list[str]]:
    cut = WordPieces(tokenizer, 64)(sentences)
    specials = [*cut.before, *cut.after, cut.pad]
    return [tokenizer.id_to_token(piece) for piece in cut.ids], [tokenizer.id_to_token(piece) for piece in specials]


def trim(tokenizer: Tokenizer, sentences) -> tuple[Tokenizer, np.ndarray]:
    used = np.unique(WordPieces(tokenizer, 64)(sentences).ids).tolist()
    found, former = trimmed(json.loads(tokenizer.to_str()), used)
    return Tokenizer.from_str(json.dumps(found)), former


def test_text_with_known_pieces_is_cut_as_before(tokenizer):
    smaller, former = trim(tokenizer, USED)
    assert smaller.get_vocab_size() == len(former) < tokenizer.get_vocab_size()
    assert pieces_of(smaller, USED) == pieces_of(tokenizer, USED)
    assert [tokenizer.id_to_token(old) for old in former.tolist()] == [
        smaller.id_to_token(i) for i in range(len(former))
    ]


def test_other_text_is_cut_into_smaller_pieces_and_characters_stay(tokenizer):
    smaller, _ = trim(tokenizer, USED)
    pieces, _ = pieces_of(smaller, OTHER)
    whole, _ = pieces_of(tokenizer, OTHER)
    start, end = ("".join(cut).replace("#", "").replace("▁", "")[:6] for cut in (pieces, whole))
    assert pieces != whole and len(pieces) > len(whole) and start == end
    single = [piece for piece in tokenizer.get_vocab() if len(piece) == 1]
    assert single and all(smaller.token_to_id(piece) is not None for piece in single)


def test_text_with_known_pieces_is_cut_as_before_with_some_other_pieces_too(tokenizer, monkeypatch):
    smallest, whole = trim(tokenizer, USED)[0].get_vocab_size(), tokenizer.get_vocab_size()
    monkeypatch.setattr(vocabulary, "MOST_PIECES", (smallest + whole) // 2)
    smaller, _ = trim(tokenizer, USED)
    assert smallest < smaller.get_vocab_size() < whole and pieces_of(smaller, USED) == pieces_of(tokenizer, USED)


@pytest.mark.parametrize(("most", "others"), [(0, []), (7, [5]), (8, [5, 6]), (100, [5, 6, 8])])
def test_the_most_frequent_pieces_of_the_same_characters_stay_too(monkeypatch, most, others):
    names = ["<unk>", "a", "b", "ß", "ab", "ba", "aba", "aß", "bab"]
    tokenizer = Tokenizer(models.Unigram([(name, -1.0 - place) for place, name in enumerate(names)], unk_id=0))
    monkeypatch.setattr(vocabulary, "MOST_PIECES", most)
    _, former = trimmed(json.loads(tokenizer.to_str()), [4])
    assert former.tolist() == sorted({0, 1, 2, 3, 4, 8, *others})  # 8: the piece of the lowest score


@pytest.mark.parametrize("name", PROCESSORS)
def test_special_pieces_keep_their_places(name):
    tokenizer = unigram()
    tokenizer.add_special_tokens(["<extra>"])
    tokenizer.post_processor = PROCESSORS[name](("<extra>", tokenizer.token_to_id("<extra>")))
    smaller, _ = trim(tokenizer, USED)
    assert pieces_of(smaller, USED) == pieces_of(tokenizer, USED)
    assert smaller.encode("the").tokens == tokenizer.encode("the").tokens
    assert smaller.encode("the").tokens[:: len(smaller.encode("the")) - 1] == ["<extra>", "</s>"]
    assert smaller.token_to_id("<extra>") == smaller.get_vocab_size() - 1


def test_the_cost_of_an_unknown_character_stays():
    """It depends on the lowest score in the vocabulary, whose piece is kept for that."""
    scores = [("<unk>", 0.0), ("▁", -3.0), ("a", -1.0), ("b", -1.5), ("ab", -3.6), ("rare", -30.0)]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=0))
    smaller, former = trimmed(json.loads(tokenizer.to_str()), [2, 3])
    assert former.tolist() == [0, 1, 2, 3, 5]
    assert Tokenizer.from_str(json.dumps(smaller)).encode("aéb").tokens == tokenizer.encode("aéb").tokens


def test_another_kind_of_tokenizer_is_refused():
    with pytest.raises(DataError, match="'Other' cannot be trimmed"):
        trimmed({"model": {"type": "Other"}}, [])
