"""Words to pieces: every word has pieces, spans part the text, windows hold every word once and fit the encoder."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.pooling import pool
from tagdistill.encoders.providers.tiny import tiny_tokenizer
from tagdistill.errors import ConfigError

POSITIONS = 12
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=14)
CORPORA = st.lists(st.lists(WORDS, min_size=1, max_size=12), min_size=1, max_size=6)


def wordpieces(positions: int = POSITIONS, **options) -> WordPieces:
    return WordPieces(tiny_tokenizer(), positions, **options)


@given(CORPORA)
@settings(max_examples=150, deadline=None)
def test_every_word_has_pieces_and_stands_in_exactly_one_window_that_fits(corpus):
    pieces = wordpieces()(corpus)
    assert np.diff(pieces.words).min() >= 1
    assert pieces.words[0] == 0 and pieces.words[-1] == len(pieces.ids)
    assert np.diff(pieces.sentences).tolist() == [len(sentence) for sentence in corpus]
    assert np.diff(pieces.windows).min() >= 1 and pieces.windows[-1] == pieces.sentences[-1]
    assert pieces.window_lengths.max() <= POSITIONS
    assert set(pieces.sentences) <= set(pieces.windows), "a window crosses a sentence's end"
    assert pieces.first_windows[-1] == len(pieces.windows) - 1
    for sentence in range(len(corpus)):
        ends = pieces.windows[pieces.first_windows[sentence : sentence + 2]]
        assert ends.tolist() == pieces.sentences[sentence : sentence + 2].tolist()


@given(CORPORA, st.integers(8, 60), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_batches_hold_every_word_once_within_the_budget_and_point_at_its_own_pieces(corpus, budget, rows):
    pieces = wordpieces()(corpus)
    words = []
    for batch in pieces.batches(budget, rows):
        assert len(batch.ids) <= rows and (batch.ids.numel() <= budget or len(batch.ids) == 1)
        assert batch.mask.sum(1).tolist() == pieces.window_lengths[list(batch.windows)].tolist()
        flat = batch.ids.flatten().numpy()
        for start, length, word in zip(batch.starts, batch.lengths, batch.words, strict=True):
            assert flat[start : start + length].tolist() == pieces.ids[slice(*pieces.words[word : word + 2])].tolist()
        assert batch.lengths.sum() == batch.mask.sum() - 2 * len(batch.ids)
        words += batch.words.tolist()
    assert sorted(words) == list(range(pieces.sentences[-1]))


@given(CORPORA)
@settings(max_examples=100, deadline=None)
def test_looking_at_words_one_by_one_gives_the_pieces_of_the_pre_split_sentence(corpus):
    tokenizer = tiny_tokenizer()
    pieces = WordPieces(tiny_tokenizer(), 10_000, drop_bare_underline=False)(corpus)
    for index, sentence in enumerate(corpus):
        expected = tokenizer.encode(sentence, is_pretokenized=True, add_special_tokens=False)
        first, end = pieces.sentences[index : index + 2]
        for word in range(first, end):
            of_word = [i for i, w in zip(expected.ids, expected.word_ids, strict=True) if w == word - first]
            found = pieces.ids[slice(*pieces.words[word : word + 2])].tolist()
            assert found == (of_word or [tokenizer.token_to_id("<unk>")])


def test_a_bare_underline_goes_where_the_word_has_other_pieces():
    bare = tiny_tokenizer().token_to_id("▁")
    dropped, kept = wordpieces(), wordpieces(drop_bare_underline=False)
    assert bare not in dropped([["ab", "日"]]).ids and len(dropped([["ab"]]).ids) == 2
    assert kept([["ab"]]).ids.tolist()[0] == bare and len(kept([["ab"]]).ids) == 3
    assert dropped([["▁"]]).ids.tolist() == [bare]


def test_a_word_without_pieces_gets_the_unknown_piece_and_is_counted():
    pieces = wordpieces()([["a", "", " "], ["b"]])
    unknown = tiny_tokenizer().token_to_id("<unk>")
    assert pieces.counts["unknown_words"] == 2
    assert pieces.ids[1:3].tolist() == [unknown, unknown]


def test_words_with_an_unknown_piece_are_counted_wherever_they_occur():
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "known": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    pieces = WordPieces(tokenizer, 8)([["known", "x"], ["x", "known"]])
    assert pieces.ids.tolist() == [2, 0, 0, 2] and pieces.unknown_words == 2
    assert (pieces.before, pieces.after, pieces.pad) == ((), (), 1)


def test_a_long_sentence_is_parted_into_windows_of_about_equal_size():
    pieces = wordpieces()([["a"] * 22, ["b"]])  # 10 pieces fit beside the two special ones
    assert np.diff(pieces.windows).tolist() in ([8, 7, 7, 1], [7, 8, 7, 1], [7, 7, 8, 1])
    assert pieces.split_sentences == 1 and pieces.windows_of([1, 0]) == [3, 0, 1, 2]


def test_a_word_longer_than_a_window_is_cut_and_counted():
    pieces = wordpieces()([["x", "y" * 50, "z"]])
    assert pieces.cut_words == 1
    assert np.diff(pieces.words).tolist() == [1, 10, 1]
    assert pieces.window_lengths.tolist() == [3, 12, 3]


def test_no_room_for_a_word_is_refused():
    with pytest.raises(ConfigError, match="no room"):
        wordpieces(2)


def byte_level(add_prefix_space: bool) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: index for index, piece in enumerate(["<pad>", *alphabet, "Ġa"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "a")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    return tokenizer


@pytest.mark.parametrize("add_prefix_space", [False, True])
def test_pre_split_words_keep_the_space_that_marks_their_start(add_prefix_space):
    tokenizer = byte_level(add_prefix_space)
    pieces = WordPieces(byte_level(add_prefix_space), 20)([["a", "a"]])
    assert [tokenizer.id_to_token(piece) for piece in pieces.ids] == ["Ġa", "Ġa"]
    assert pieces.unknown_words == 0  # a byte-level tokenizer knows everything, whatever its first piece is


@given(CORPORA, st.sampled_from(["mean", "first", "last"]))
@settings(max_examples=60, deadline=None)
def test_pooling_equals_the_loop_over_words(corpus, pooling):
    pieces = wordpieces()(corpus)
    for batch in pieces.batches(40, 4):
        states = torch.randn(*batch.ids.shape, 5, generator=torch.Generator().manual_seed(0))
        flat = states.reshape(-1, 5)
        rows = [flat[s : s + n] for s, n in zip(batch.starts, batch.lengths, strict=True)]
        expected = {"mean": lambda r: r.mean(0), "first": lambda r: r[0], "last": lambda r: r[-1]}[pooling]
        torch.testing.assert_close(pool(states, batch, pooling), torch.stack([expected(row) for row in rows]))


def test_the_pieces_of_a_word_are_added_in_their_order_to_the_bit_and_each_gets_its_share_of_the_gradient():
    """As on any device: a sum in another order has other last digits from three pieces on."""
    batch = next(iter(wordpieces()([["abcdefgh", "c", "de", "fgh"], ["d", "y" * 12]]).batches()))
    assert max(batch.lengths) > 4 and batch.pieces == int(batch.lengths.sum())
    values = torch.randn(*batch.ids.shape, 300, generator=torch.Generator().manual_seed(0)).mul_(100)
    states, own = (values.clone().requires_grad_() for _ in "ab")
    rows = []
    for start, length in zip(batch.starts, batch.lengths, strict=True):
        total = torch.zeros(300)
        for piece in states.flatten(0, 1)[start : start + length]:
            total = total + piece
        rows.append(total / length)
    found, weights = pool(own, batch, "mean"), torch.randn(len(rows), 300)
    assert torch.equal(found, torch.stack(rows))
    (found * weights).sum().backward()
    (torch.stack(rows) * weights).sum().backward()
    assert torch.equal(own.grad, states.grad)


def test_a_batch_says_without_its_tensors_whether_it_is_padded():
    pieces = wordpieces()([["ab"], ["cd"], ["d"]])
    alike, other = pieces.batch([0, 1]), pieces.batch([0, 2])
    assert (alike.padded, alike.seen) == (False, None)
    assert other.padded and other.seen is other.mask


def test_padding_and_special_pieces_never_reach_a_word():
    batch = next(iter(wordpieces()([["ab", "c"], ["d"]]).batches()))
    states = torch.randn(*batch.ids.shape, 5)
    inside = torch.zeros(batch.ids.numel(), dtype=torch.bool)
    for start, length in zip(batch.starts, batch.lengths, strict=True):
        inside[start : start + length] = True
    spoilt = torch.where(inside.view(batch.ids.shape)[..., None], states, torch.nan)
    for pooling in ("mean", "first", "last"):
        assert torch.equal(pool(spoilt, batch, pooling), pool(states, batch, pooling))
