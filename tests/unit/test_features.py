"""The feature store: what is stored is what the encoder gives, it belongs to one text, and it is made once."""

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tagdistill.artifacts.files import sha256_file
from tagdistill.data.corpus import read_corpus, write_corpus
from tagdistill.encoders import states as module
from tagdistill.encoders.convert import convert
from tagdistill.encoders.features import encode
from tagdistill.encoders.load import load_encoder
from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.states import encode_pieces
from tagdistill.encoders.store import FeatureStore
from tagdistill.errors import ConfigError, DataError, MismatchError, TagdistillError
from tagdistill.settings.encoder import EncoderSettings

TINY = EncoderSettings(provider="tiny", tap=2)
TEXT = [["A", "short", "one"], ["x"], ["ένα", "δύο", "τρία", "日本語"], ["word"] * 120, ["end", "."]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    convert(TINY, folder)
    return folder


def corpus(path: Path, text=TEXT) -> Path:
    metadata = {"language": "en", "split": "train", "task": "pos", "labels": ["X"], "source": "test"}
    write_corpus(path, ids=[f"train-{i:06}" for i in range(len(text))], tokens=text, labels=None, metadata=metadata)
    return path


@pytest.fixture
def store(tiny, tmp_path) -> FeatureStore:
    encode({"train": corpus(tmp_path / "train.parquet")}, tiny, TINY, {"train": tmp_path / "train.safetensors"})
    return FeatureStore.open(tmp_path / "train.safetensors")


def vectors_one_by_one(tiny: Path, sentence: list[str], tap: int) -> torch.Tensor:
    """Each window alone, each word's pieces averaged in a loop."""
    pieces, encoder = WordPieces.load(tiny)([sentence]), load_encoder(tiny)
    rows = []
    for window in range(len(pieces.windows) - 1):
        batch = pieces.batch([window])
        with torch.no_grad():
            states = encoder.hidden_states(batch.ids, batch.mask, [tap])[0][0]
        rows += [states[s : s + n].mean(0) for s, n in zip(batch.starts, batch.lengths, strict=True)]
    return torch.stack(rows)


def sentence(store: FeatureStore, index: int) -> torch.Tensor:
    """Return the vectors (words, dim) of one sentence."""
    return store.features[store.offsets[index] : store.offsets[index + 1]]


def test_the_store_holds_one_vector_a_word_in_corpus_order(store, tiny):
    assert len(store) == len(TEXT)
    assert store.features.shape == (sum(map(len, TEXT)), 32) and store.features.dtype == torch.float16
    assert store.offsets.tolist() == [0, 3, 4, 8, 128, 130] and store.offsets.dtype == torch.int64
    for index, words in enumerate(TEXT):
        expected = vectors_one_by_one(tiny, words, tap=2)
        torch.testing.assert_close(sentence(store, index).float(), expected, atol=2e-3, rtol=2e-3)


def test_a_sentence_in_windows_gives_a_vector_for_every_word(store):
    assert store.metadata["counts"]["split_sentences"] == 1
    assert sentence(store, 3).shape == (120, 32)
    assert sentence(store, 4).shape == (2, 32)


def test_the_file_is_a_safetensors_file_with_its_story(store):
    with safe_open(store.path, framework="pt") as file:
        assert set(file.keys()) == {"features", "offsets"}
        metadata = json.loads(file.metadata()["tagdistill"])
        assert torch.equal(file.get_tensor("features"), store.features)
    head = int.from_bytes(store.path.read_bytes()[:8], "little")
    assert head % 8 == 0, "tensors would not be aligned"
    assert (metadata["kind"], metadata["taps"], metadata["pooling"]) == ("features", [2], "mean")
    assert metadata["counts"]["words"] == 130 and metadata["encoder"].startswith("tiny-")


def test_the_same_text_gives_the_same_bytes_whatever_was_encoded_with_it(tiny, tmp_path):
    train, test = corpus(tmp_path / "train.parquet"), corpus(tmp_path / "test.parquet", TEXT[::-1])
    out = {"train": tmp_path / "a", "test": tmp_path / "b"}
    encode({"train": train, "test": test}, tiny, TINY, out)
    encode({"train": train}, tiny, TINY, {"train": tmp_path / "c"})
    assert sha256_file(tmp_path / "a") == sha256_file(tmp_path / "c") != sha256_file(tmp_path / "b")


def test_several_taps_are_averaged(tiny, tmp_path):
    settings = TINY.model_copy(update={"tap": (1, 4)})
    encode({"train": corpus(tmp_path / "c.parquet")}, tiny, settings, {"train": tmp_path / "f"})
    expected = (vectors_one_by_one(tiny, TEXT[0], 1) + vectors_one_by_one(tiny, TEXT[0], 4)) / 2
    torch.testing.assert_close(sentence(FeatureStore.open(tmp_path / "f"), 0).float(), expected, atol=2e-3, rtol=2e-3)


def test_only_the_layers_below_the_highest_tap_are_loaded(tiny, tmp_path, monkeypatch):
    from tagdistill.encoders import load

    real, loaded = load.load_encoder, []
    monkeypatch.setattr(load, "load_encoder", lambda *arguments: loaded.append(arguments[1]) or real(*arguments))
    encode({"train": corpus(tmp_path / "c.parquet")}, tiny, TINY, {"train": tmp_path / "f"})
    assert loaded == [2]


def test_features_that_are_there_are_kept_until_text_or_settings_change(store, tiny, tmp_path):
    path, before = tmp_path / "train.parquet", store.path.stat().st_ino
    encode({"train": path}, tiny, TINY, {"train": store.path})
    assert store.path.stat().st_ino == before
    encode({"train": path}, tiny, TINY.model_copy(update={"pooling": "first"}), {"train": store.path})
    changed = store.path.stat().st_ino
    assert changed != before
    encode({"train": corpus(path, TEXT[:2])}, tiny, TINY, {"train": store.path})
    assert len(FeatureStore.open(store.path)) == 2


def test_a_broken_store_is_made_again(tiny, tmp_path):
    (tmp_path / "f").write_bytes(b"half a file")
    encode({"train": corpus(tmp_path / "c.parquet")}, tiny, TINY, {"train": tmp_path / "f"})
    assert len(FeatureStore.open(tmp_path / "f")) == len(TEXT)


def test_a_store_of_another_text_is_refused_with_both_hashes(store, tmp_path):
    store.matches(read_corpus(tmp_path / "train.parquet"))
    other = read_corpus(corpus(tmp_path / "other.parquet", TEXT[:2]))
    with pytest.raises(MismatchError) as caught:
        store.matches(other)
    assert other.tokens_sha256 in str(caught.value) and store.metadata["tokens_sha256"] in str(caught.value)


def test_files_that_are_no_store_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such feature store"):
        FeatureStore.open(tmp_path / "none")
    (tmp_path / "text").write_text("not tensors")
    with pytest.raises(DataError, match="not readable"):
        FeatureStore.open(tmp_path / "text")
    save_file({"features": torch.zeros(1)}, tmp_path / "plain")
    with pytest.raises(DataError, match="not readable"):
        FeatureStore.open(tmp_path / "plain")
    save_file({"features": torch.zeros(1)}, tmp_path / "new", {"tagdistill": '{"kind": "features", "format": 2}'})
    with pytest.raises(MismatchError, match="format is 2, needed is 1"):
        FeatureStore.open(tmp_path / "new")


def test_a_tap_that_the_encoder_lacks_is_refused_before_anything_is_written(tiny, tmp_path):
    settings = TINY.model_copy(update={"tap": 5})
    with pytest.raises(ConfigError, match=r"encoder\.tap: layer 5"):
        encode({"train": corpus(tmp_path / "c.parquet")}, tiny, settings, {"train": tmp_path / "f"})
    assert not (tmp_path / "f").exists()


def test_an_interrupted_run_leaves_nothing(tiny, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_halves", stop)
    with pytest.raises(KeyboardInterrupt):
        encode({"train": corpus(tmp_path / "c.parquet")}, tiny, TINY, {"train": tmp_path / "f"})
    assert [file.name for file in tmp_path.iterdir()] == ["c.parquet"]


def test_states_beyond_float16_are_refused(tiny):
    pieces, encoder = WordPieces.load(tiny)(TEXT), load_encoder(tiny)
    with torch.no_grad():
        encoder.model.embeddings.LayerNorm.weight.mul_(1e6)
    with pytest.raises(TagdistillError, match="not finite in float16"):
        list(encode_pieces(pieces, encoder, TINY.model_copy(update={"tap": 0})))


def test_progress_is_logged_now_and_then_and_odd_words_are_reported(tiny, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "REPORT_SECONDS", 0)
    with caplog.at_level(logging.INFO, "tagdistill.encoders"):
        encode({"train": corpus(tmp_path / "c.parquet", [*TEXT, [""]])}, tiny, TINY, {"train": tmp_path / "f"})
    assert "(100%)" in caplog.text
    assert "1 unknown words, 1 split sentences" in caplog.text


def test_a_terminal_shows_a_bar(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    encode({"train": corpus(tmp_path / "c.parquet")}, tiny, TINY, {"train": tmp_path / "train.safetensors"})
    assert "train: 100%" in capsys.readouterr().err


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same_features(store, tiny, tmp_path):
    encode({"train": tmp_path / "train.parquet"}, tiny, TINY, {"train": tmp_path / "gpu"}, device="cuda")
    torch.testing.assert_close(FeatureStore.open(tmp_path / "gpu").features, store.features, atol=2e-3, rtol=2e-3)


def test_a_store_of_the_same_key_is_taken_from_a_folder_beside(tiny, tmp_path, monkeypatch):
    corpora = {split: corpus(tmp_path / f"{split}.parquet", TEXT[:n]) for split, n in (("train", 3), ("test", 2))}
    first, second = ({split: tmp_path / name / f"{split}.safetensors" for split in corpora} for name in ("a", "b"))
    encode(corpora, tiny, TINY, first, keys={"train": "k1", "test": "k2"})
    encoded = []
    compute = module.encode_pieces
    monkeypatch.setattr(
        module,
        "encode_pieces",
        lambda pieces, *rest, **named: encoded.append(pieces) or compute(pieces, *rest, **named),
    )
    encode(corpora, tiny, TINY, second, keys={"train": "k1", "test": "k3"})  # of other code, say
    assert len(encoded) == 1 and second["train"].samefile(first["train"])
    assert not second["test"].samefile(first["test"])
    assert FeatureStore.open(second["test"]).metadata["key"] == "k3"
    first["train"].unlink()
    assert len(FeatureStore.open(second["train"])) == 3

    monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    encode({"train": corpora["train"]}, tiny, TINY, first, keys={"train": "k1"})
    assert first["train"].read_bytes() == second["train"].read_bytes() and not first["train"].samefile(second["train"])
    assert len(encoded) == 1
