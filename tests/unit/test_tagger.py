"""`Tagger`: what it takes and gives, and that graph, torch and the workflow's own labels agree."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from fnmatch import fnmatch
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from test_splitting import SCRIPTS, needs_icu
from tiny_runs import make_corpus
from tiny_taggers import exported

import tagdistill
from tagdistill import Tagger
from tagdistill.artifacts.files import read_json, write_json
from tagdistill.data.corpus import read_corpus
from tagdistill.data.labels import UPOS, spans, well_formed
from tagdistill.errors import ConfigError, DataError, MismatchError, TagdistillError
from tagdistill.tagger import texts
from tagdistill.tagger.chain import Chain
from tagdistill.tagger.folder import Record

TEXT = "Angela Merkel war in Paris.\nEr nicht. " + " ".join(SCRIPTS.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return exported(tmp_path_factory.mktemp("student"), "fp32", "int8", "torch")


@pytest.fixture(scope="module")
def tagger(folder) -> Tagger:
    return Tagger.from_pretrained(folder, threads=1)


@pytest.fixture(scope="module")
def words(folder) -> list[list[str]]:
    return read_corpus(make_corpus(folder.parent / "more", "en", "test", 40)).tokens


def test_spans_are_parts_of_the_text_that_was_given_in_any_script(tagger):
    for text in (TEXT, *SCRIPTS.values()):
        tagged = tagger(text, constrained=True)
        assert tagged.text == text and all(text[span.start : span.end] == span.text for span in tagged)
        assert [text[start:end] for start, end in tagged.words if not text[start:end].strip()] == []
        assert [(s.label, *s.words) for s in tagged] == [
            (kind, first + start, first + end)
            for first, last in tagged.sentences
            for kind, start, end in spans(tagged.labels[first:last])
        ]
    found = tagger(TEXT, constrained=True)  # random weights make few whole spans of their own
    assert len(found) > 3 and found[0] is found.spans[0] and len(found.labels) == len(found.words)


def test_labels_and_probabilities_are_those_of_torch(folder, tagger, words):
    other = Tagger.from_pretrained(folder, precision="torch", device="auto")
    expected, constrained = other(words, constrained=False), other(words, constrained=True)
    assert tagger(words) == tagger(words, constrained=True) != tagger(words, constrained=False)  # as `decode` says
    both = tagger(words, constrained=False) + tagger(words)
    for ours, theirs in zip(both, expected + constrained, strict=True):
        assert ours.labels == theirs.labels
    for ours, theirs in zip(tagger(words, marginals=True), other(words, marginals=True), strict=True):
        np.testing.assert_allclose(ours.marginals, theirs.marginals, atol=2e-3)
        assert [round(span.score, 2) for span in ours] == pytest.approx([span.score for span in theirs], abs=0.01)


def test_one_text_a_list_an_iterator_and_words_give_the_same(tagger, words):
    joined = [" ".join(sentence) for sentence in words]
    one_by_one = [tagger([sentence])[0] for sentence in words]
    assert tagger(words) == one_by_one == list(tagger(iter(words))) == tagger(words, batch_words=7)
    # These words hold hyphens, which stay inside them: the corpus decided how text is split.
    assert tagger(joined) == one_by_one == [tagger(text) for text in joined]


def test_results_say_how_text_was_split(tagger, words):
    name = tagger.model.splitter.name
    assert name == "inner_punctuation+characters"
    assert {tagged.split for tagged in tagger(list(SCRIPTS.values()))} == {name}
    assert tagger(words[:1])[0].split == "given"


@needs_icu
def test_an_export_with_icu_says_so_and_splits_by_it(tmp_path):
    folder = exported(tmp_path, unspaced="icu")
    assert Record.read(folder).versions["icu4py"]
    tagged = Tagger.from_pretrained(folder)("東京は日本の首都です。")
    assert [tagged.text[start:end] for start, end in tagged.words] == ["東京", "は", "日本", "の", "首都", "です", "。"]
    assert tagged.split == "inner_punctuation+icu"


def test_a_text_with_offsets_keeps_them(tagger):
    text = texts.Text("Angela  Merkel, Paris", (((0, 6), (8, 14)), ((16, 21),)))
    (tagged,) = tagger([text])
    assert (tagged.text, tagged.words, tagged.sentences) == (text.text, text.words, ((0, 2), (2, 3)))
    assert list(tagged.labels) == [x for found in tagger([["Angela", "Merkel"], ["Paris"]]) for x in found.labels]


def test_an_iterator_is_read_as_far_as_needed(tagger):
    read = []

    def texts():
        for number in count():
            read.append(number)
            yield "Angela Merkel war in Paris."

    assert len(list(islice(tagger(texts(), batch_words=50), 3))) == 3
    assert len(read) <= 20


def test_k_best_and_marginals(tagger):
    tagged = tagger("Angela Merkel. Sie kam nach Paris.", k_best=4, marginals=True)
    assert tagged.marginals.shape == (len(tagged.words), len(tagger.labels))
    np.testing.assert_allclose(tagged.marginals.sum(1), 1)
    probabilities = [tagging.probability for tagging in tagged.taggings]
    assert len(probabilities) == 4 and probabilities == sorted(probabilities, reverse=True) and sum(probabilities) < 1
    assert (tagged.taggings[0].labels, tagged.taggings[0].spans) == (tagged.labels, tagged.spans)
    # the two sentences are independent: the best of both is the product of the best of each
    parts = [tagger(text, k_best=1).taggings[0].probability for text in ("Angela Merkel.", "Sie kam nach Paris.")]
    assert probabilities[0] == pytest.approx(parts[0] * parts[1], rel=1e-4)


def test_the_k_best_are_well_formed_where_the_best_is_and_may_be_fewer(tagger):
    text = "Paris"
    whole = tagger(text, k_best=50, constrained=True).taggings
    every = tagger(text, k_best=50, constrained=False).taggings
    types = (len(tagger.labels) - 1) // 4
    assert len(whole) == 1 + types and len(every) == len(tagger.labels)  # O, and one word of each type
    assert all(well_formed(tagging.labels) and tagging.probability > 0 for tagging in whole)
    assert sum(tagging.probability for tagging in whole) == pytest.approx(1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((((0, 6), (700, 713)),), "word 1: the offsets 700 to 713 are no word.*count characters, not bytes"),
        ((((6, 0),),), "word 0: the offsets 6 to 0 are no word"),
        ((((0, 6), (5, 8)),), "word 1: the offsets 5 to 8"),
        ((((-3, 2),),), "word 0: the offsets -3 to 2"),
        ((((0, 6),), ()), "a sentence has no words"),
    ],
)
def test_words_that_are_no_parts_of_a_text_are_refused(tagger, words, says):
    with pytest.raises(DataError, match=f"(?s)text 1, {says}" if says.startswith("word") else says):
        tagger(["a", texts.Text("Angela Merkel", words)])


def test_a_text_with_its_words_is_labelled_alone_and_among_others(tagger):
    text = texts.Text("Angela  Merkel", (((0, 6), (8, 14)),))
    assert tagger(text) == tagger([text])[0]
    with pytest.raises(DataError, match="is no character"):
        tagger(texts.Text("a\ud800b", (((0, 3),),)))


def test_what_has_no_words_has_no_spans(tagger):
    found = tagger(["", " \n", [], "a"], k_best=2, marginals=True)
    assert [len(tagged.words) for tagged in found] == [0, 0, 0, 1]
    assert found[0].marginals.shape == (0, len(tagger.labels)) and found[2].taggings[0].probability == 1.0
    assert tagger([]) == [] and list(tagger(iter([]))) == []


def test_a_tag_set_gives_a_span_for_each_word(tmp_path):
    corpus = make_corpus(tmp_path / "data", "en", "test", 10)
    tagger = Tagger.from_pretrained(exported(tmp_path, corpora=[corpus], labels=UPOS, task="pos", head="linear"))
    tagged = tagger("Angela Merkel war in Paris.", marginals=True)
    assert [span.text for span in tagged] == ["Angela", "Merkel", "war", "in", "Paris", "."]
    assert [span.label for span in tagged] == list(tagged.labels)
    best = [tagged.marginals[place, UPOS.index(span.label)] for place, span in enumerate(tagged)]
    assert [span.score for span in tagged] == pytest.approx(best)


def test_long_sentences_are_read_in_parts_and_decoded_as_a_whole(tagger, words, monkeypatch):
    monkeypatch.setattr(texts, "PART_WORDS", 4)
    for sentence in ([*words[row], *words[row + 1], *words[row + 2]] for row in range(10)):
        (tagged,) = tagger([sentence], constrained=False)
        parts = [sentence[at : at + 4] for at in range(0, len(sentence), 4)]
        pieces = tagger.model.pieces(parts)
        emissions = np.concatenate(tagger.model.backend.emissions(pieces, parts, range(len(parts))))
        expected = Chain.of([emissions], tagger.model.decoder.edges).best[0]
        assert list(tagged.labels) == [tagger.labels[place] for place in expected]
        assert tagged.sentences == ((0, len(sentence)),)


def test_a_long_text_is_read_bit_by_bit(tagger, words, monkeypatch):
    text = "\n".join(" ".join(sentence) for sentence in words)
    expected, sizes = tagger(text, k_best=2), []
    emissions = tagger._emissions
    monkeypatch.setattr("tagdistill.tagger.tagger.BATCHES_AT_ONCE", 2)
    monkeypatch.setattr(tagger, "_emissions", lambda parts, size: sizes.append(len(parts)) or emissions(parts, size))
    assert tagger(text, k_best=2, batch_words=20) == expected
    assert len(sizes) > 3 and sum(sizes) == len(expected.sentences)


def test_a_text_of_any_length_is_labelled(tagger, monkeypatch):
    sentence = [f"w{number % 7}" for number in range(2 * texts.PART_WORDS + 5)]
    (tagged,) = tagger([sentence])
    assert len(tagged.labels) == len(sentence) and tagged.sentences == ((0, len(sentence)),)
    assert tagger("x" * 5000).words == ((0, 5000),)
    assert len(tagger([["y" * 3000] * 7])[0].labels) == 7  # words of many pieces: fewer of them are in a part
    assert tagger("a\x00b \x00").text == "a\x00b \x00" and len(tagger([["\x00", " ", "\u200b"]])[0].labels) == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "3 is no text"),
        (b"a", "b'a' is no text"),
        ([3], "text 0, word 0: 3 is no word"),
        (["a", ["b", None]], "text 1, word 1: None is no word"),
        ([["b", ""]], "text 0, word 1: '' is no word"),
        ([b"a"], "text 0, word 0: b'a' is no word"),
        ("a\ud800", r"text 0, character 1: U\+D800 is no character"),
    ],
)
def test_what_is_no_text_is_refused(tagger, given, message):
    with pytest.raises(TagdistillError, match=message):
        tagger(given)


@pytest.mark.parametrize("option", [{"k_best": -1}, {"k_best": True}, {"batch_words": 0}, {"batch_words": 1.5}])
def test_options_that_make_no_sense_are_refused(tagger, option):
    with pytest.raises(ConfigError, match=next(iter(option))):
        tagger("a", **option)


def test_a_folder_that_is_no_model_or_not_whole_is_refused(folder, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        Tagger.from_pretrained(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"(?s)int8\.onnx: a file, and no folder.*Give the folder"):
        Tagger.from_pretrained(folder / "int8.onnx")
    with pytest.raises(DataError, match=r"no such folder\n  `snakemake export --cores 2 .* whose `name` is mine\.$"):
        Tagger.from_pretrained("results/mine/export/posterior/seed-0")
    (tmp_path / "link").symlink_to("nothing")
    with pytest.raises(DataError, match="a result that is not made yet"):
        Tagger.from_pretrained(tmp_path / "link")
    with pytest.raises(DataError, match=r"(?s)holds no model.*exported student"):
        Tagger.from_pretrained(tmp_path)
    with pytest.raises(DataError, match=r"(?s)no graph 'fp16'.*Known: fp32, int8"):
        Tagger.from_pretrained(folder, precision="fp16")
    with pytest.raises(ConfigError, match=r"device: cannot be 'gpu'\n  Did you mean 'cuda'\? Known: auto, cpu, cuda"):
        Tagger.from_pretrained(tmp_path, device="gpu")
    with pytest.raises(ConfigError, match="device: cannot be 'tpu'"):
        Tagger.from_pretrained(folder, device="tpu")
    for precision in () if torch.cuda.is_available() else ("torch", "fp32"):
        with pytest.raises(TagdistillError, match=r"device: .*no (CUDA|cuda)"):
            Tagger.from_pretrained(folder, device="cuda", precision=precision)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("tagger.json", "tokenizer.json", "fp32.onnx"):
        (copy / name).write_bytes((folder / name).read_bytes())
    Tagger.from_pretrained(copy)
    with pytest.raises(DataError, match=r"(?s)no graph 'torch'.*Known: fp32, int8"):
        Tagger.from_pretrained(copy, precision="torch")
    (copy / "fp32.onnx").write_bytes((folder / "fp32.onnx").read_bytes()[:-100])
    with pytest.raises(MismatchError, match=r"(?s)fp32\.onnx: the file is cut short or was altered.*download"):
        Tagger.from_pretrained(copy)
    (copy / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"tokenizer\.json: no such file"):
        Tagger.from_pretrained(copy)


def test_of_a_repository_on_the_hub_only_what_is_needed_is_fetched(folder, tmp_path, monkeypatch):
    fetched = []

    def snapshot_download(name, revision, allow_patterns, ignore_patterns):
        assert (name, revision) == ("somebody/student", "abc")
        for path in folder.rglob("*"):
            place = path.relative_to(folder)
            wanted = str(place) in allow_patterns if allow_patterns else not fnmatch(place, ignore_patterns)
            if path.is_file() and wanted and not (tmp_path / place).exists():
                fetched.append(str(place))
                (tmp_path / place).parent.mkdir(exist_ok=True)
                (tmp_path / place).write_bytes(path.read_bytes())
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    Tagger.from_pretrained("somebody/student", revision="abc", precision="int8")
    assert fetched == ["tagger.json", *sorted(["int8.onnx", "tokenizer.json"], key=fetched.index)]
    Tagger.from_pretrained("somebody/student", revision="abc", precision="torch")
    assert "fp32.onnx" not in fetched and "encoder/model.safetensors" in fetched


def test_a_hub_that_cannot_be_reached_is_an_error_that_says_so(monkeypatch):
    def snapshot_download(*arguments, **options):
        raise ConnectionError("no network\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(TagdistillError, match=r"somebody/student: no such folder here.*: no network$"):
        Tagger.from_pretrained("somebody/student")


@pytest.fixture
def graphs(folder, tmp_path) -> Path:
    """An exported folder to change, with the graph fp32 only."""
    for file in ("fp32.onnx", "tokenizer.json"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    replace(Record.read(folder), graphs=("fp32",)).write(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, r"(?s)format is 99.*update tagdistill"),
        ({"kind": "other"}, "kind is 'other'"),
        ({"unknown": 1}, "not readable as the record of an exported tagger"),
        ({"sha256": None}, "not readable as the record of an exported tagger"),
        ({"end": [0.0]}, r"(?s)tagger\.json: the file is cut short or was altered.*export it again"),
    ],
)
def test_a_record_of_another_version_or_an_altered_one_is_refused(graphs, change, message):
    write_json(graphs / "tagger.json", read_json(graphs / "tagger.json") | change)
    with pytest.raises(TagdistillError, match=message):
        Tagger.from_pretrained(graphs)


@pytest.mark.parametrize("name", ["tagger.json", "config.json"])
def test_of_a_record_that_is_cut_short_the_folder_is_to_be_copied_or_exported_again(folder, tmp_path, name):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / name).write_text("{")
    with pytest.raises(DataError, match=rf"(?s){name}: not readable as JSON: .*export it.*snakemake export"):
        Tagger.from_pretrained(copy, precision="torch" if name == "config.json" else None)


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "tagdistill.json"])
def test_so_is_the_folder_of_an_export_whose_encoder_is_not_whole(folder, tmp_path, name, cut):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "encoder" / name).unlink()
    if cut or name == "tagdistill.json":  # which is what an encoder is found by
        (copy / "encoder" / name).write_text("{")
    with pytest.raises(TagdistillError) as caught:
        Tagger.from_pretrained(copy, precision="torch")
    assert caught.value.where.startswith(str(copy / "encoder"))
    assert re.search("export it again.*snakemake export", caught.value.hint) and "delete" not in caught.value.hint


def test_a_way_to_split_that_is_not_known_is_refused(graphs):
    replace(Record.read(graphs), words="magic").write(graphs)
    with pytest.raises(DataError, match=r"(?s)cannot split text by 'magic'.*inner_punctuation"):
        Tagger.from_pretrained(graphs)


def test_a_graph_that_onnx_runtime_cannot_open_is_an_error_that_says_so(graphs):
    (graphs / "fp32.onnx").write_bytes(b"no graph")
    replace(Record.read(graphs)).write(graphs)
    with pytest.raises(DataError, match=r"fp32\.onnx: ONNX Runtime cannot open it"):
        Tagger.from_pretrained(graphs)


def test_a_used_vocabulary_changes_no_label_of_its_text(tmp_path, folder, tagger, words):
    corpus = make_corpus(tmp_path / "data", "en", "test", 40)
    small = exported(tmp_path, "fp32", vocabulary="used", corpora=[corpus])
    sentences = read_corpus(corpus).tokens
    assert [tagged.labels for tagged in Tagger.from_pretrained(small)(sentences)] == [
        tagged.labels for tagged in tagger(sentences)
    ]
    assert Record.read(small).pieces <= Record.read(folder).pieces


def test_a_split_that_differs_from_the_training_text_is_warned_of_once(graphs, caplog):
    replace(Record.read(graphs), kept_words={"en": 0.99, "zh": 0.412}).write(graphs)
    tagger = Tagger.from_pretrained(graphs)
    with caplog.at_level(logging.WARNING):
        tagger([["already", "split"]])
        assert not caplog.records
        tagger(["东京", "首都"])
    assert [record.message for record in caplog.records] == [
        "warning: text is split otherwise than the training text was: words kept whole: zh 41%"
    ]


WITHOUT_TORCH = """
import importlib.abc, json, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)
BLOCKED = {"torch", "transformers", "snakemake", "pyarrow", "pandas", "scipy", "onnx", "altair", "pydantic", "jinja2"}
sys.meta_path.insert(0, Blocked())
import tagdistill
heavy = sorted({"numpy", "tokenizers", "onnxruntime"} & set(sys.modules))
tagger = tagdistill.Tagger.from_pretrained(sys.argv[1])
found = tagger(json.loads(sys.stdin.read()), k_best=2, marginals=True, constrained=True)
try:
    tagdistill.Tagger.from_pretrained(sys.argv[1], precision="torch")
except tagdistill.errors.TagdistillError as error:
    print(json.dumps({"heavy": heavy, "labels": [tagged.labels for tagged in found], "saved": str(error)}))
"""


def test_it_runs_where_torch_cannot_be_imported(folder, tagger, words):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(folder)],
        input=json.dumps([*words, TEXT]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert "needs torch, which is not installed" in result["saved"]
    assert result["heavy"] == []  # `import tagdistill` alone imports none of them
    assert result["labels"] == [list(tagged.labels) for tagged in tagger([*words, TEXT], constrained=True)]


def test_the_package_has_no_other_names():
    with pytest.raises(AttributeError, match="no attribute 'Teacher'"):
        tagdistill.Teacher  # noqa: B018


@pytest.mark.parametrize("page", ["README.md", "docs/guide/using-a-student.md"])
def test_the_lines_of_the_pages_run(folder, page):
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(from tagdistill import Tagger\n.*?)```", text, re.DOTALL)
    lines = re.sub(r'"results/\w+/export/posterior/seed-0"', repr(str(folder)), block)
    assert lines != block
    exec(compile(lines, page, "exec"), {})
