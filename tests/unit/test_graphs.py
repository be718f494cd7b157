"""An ONNX graph computes what the model in torch computes, whatever the encoder, the pooling and the head."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from tiny_runs import make_corpus, tiny_encoder
from tiny_taggers import exported, saved_tagger
from transformers import (
    AutoModel,
    BertConfig,
    CamembertConfig,
    DistilBertConfig,
    ElectraConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from tagdistill.encoders.folder import EncoderInfo
from tagdistill.encoders.load import Encoder
from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.providers.tiny import tiny_tokenizer
from tagdistill.errors import ConfigError, TagdistillError
from tagdistill.export import tagger_graph as graphs
from tagdistill.export.compare import LIMITS, Difference
from tagdistill.export.graph import Graph
from tagdistill.export.precision import PRECISIONS, as_bytes, as_halves
from tagdistill.models.tagger import Tagger, TaggerSpec
from tagdistill.tagger.batches import OUTPUT, PADDING, batches, graph_inputs, grouped
from tagdistill.tagger.torch_backend import TorchBackend

LONG = [f"word{number}" for number in range(90)]  # more pieces than a window has
SENTENCES = [["a"], ["Angela", "Merkel", "war"], LONG, ["ελ", "日本", "x" * 300], ["b", "c"]]


def run(graph, inputs) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.model().SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def graph_of(backend: TorchBackend):
    tagger = backend.loaded.model.tagger
    return graphs.tagger_graph(backend.encoder, backend.taps, tagger, halves=backend.frozen)


@pytest.mark.parametrize(
    "options",
    [
        {"head": "linear"},
        {"head": "mlp", "pooling": "first"},
        {"head": "bilstm", "pooling": "last", "tap": (1, 3)},
        {"head": "bilstm", "mode": "finetune"},
        {"head": "linear", "tap": 0, "drop_bare_underline": False},
        {"head": "bilstm", "tap": {"mix": (0, 3, 1)}},
        {"head": "linear", "mode": "finetune", "tap": "mix"},
    ],
    ids=str,
)
def test_emissions_are_those_of_torch(tmp_path, options):
    backend = TorchBackend(saved_tagger(tmp_path, **options))
    settings = backend.settings
    pieces = WordPieces.load(tiny_encoder(tmp_path), drop_bare_underline=settings.drop_bare_underline)(SENTENCES)
    assert pieces.split_sentences and pieces.cut_words
    order = [3, 0, 2, 1, 4]
    found = run(graph_of(backend), graph_inputs(pieces, order, settings.pooling))
    for row, sentence, expected in zip(found, order, backend.emissions(pieces, SENTENCES, order), strict=True):
        length = len(SENTENCES[sentence])
        np.testing.assert_allclose(row[:length], expected, atol=2e-3 if backend.frozen else 1e-4)


SHAPE = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 24}
CONFIGS = [
    BertConfig(**SHAPE, type_vocab_size=2, hidden_act="relu"),
    RobertaConfig(**SHAPE, pad_token_id=1, max_position_embeddings=30, hidden_act="gelu_new"),
    XLMRobertaConfig(**SHAPE, pad_token_id=1, max_position_embeddings=30),
    CamembertConfig(**SHAPE, pad_token_id=1, max_position_embeddings=30),
    DistilBertConfig(vocab_size=40, dim=16, n_heads=2, n_layers=2, hidden_dim=24),
]


def encoder_of(config) -> Encoder:
    torch.manual_seed(0)
    model = AutoModel.from_config(config).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights) * 0.3)
    info = EncoderInfo("hub", "x", "", "", 2, 16, 20, "", "")
    return Encoder(model, info)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_every_architecture_is_that_of_transformers(config):
    encoder = encoder_of(config)
    tagger = Tagger(TaggerSpec(inputs=16, labels=("O", "S-X"), decoder="crf", head="linear")).eval()
    ids = torch.tensor([[0, 5, 6, 7, 2], [0, 8, 2, 1, 1]])
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    inputs = {
        "ids": ids.numpy(),
        "mask": mask.numpy(),
        "places": np.array([1, 2, 3, 6]),
        "cells": np.array([0, 0, 1, 2]),
        "counts": np.array([[2, 1], [1, 1]]),
        "lengths": np.array([2, 1]),
    }
    found = run(graphs.tagger_graph(encoder, (1, 2), tagger, halves=False), inputs)
    with torch.no_grad():
        # transformers' own pass over the whole model
        hidden = encoder.model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        states = (hidden[1] + hidden[2]) / 2
        words = torch.stack([(states[0, 1] + states[0, 2]) / 2, states[0, 3], states[1, 1]])
        expected = tagger.emission(words).numpy()
    np.testing.assert_allclose(np.concatenate([found[0], found[1, :1]]), expected, atol=1e-5)


def test_an_encoder_of_another_architecture_is_refused_with_what_can_be_done():
    config = ElectraConfig(**SHAPE, embedding_size=16)
    tagger = Tagger(TaggerSpec(inputs=16, labels=("O", "S-X"), decoder="crf", head="linear"))
    with pytest.raises(ConfigError, match=r"(?s)'electra' encoder.*formats: \[torch\]"):
        graphs.tagger_graph(encoder_of(config), (1,), tagger, halves=False)


def test_halves_are_exact_for_weights_that_are_halves_and_bytes_are_near(tmp_path):
    backend = TorchBackend(saved_tagger(tmp_path, head="linear"))
    for weights in backend.encoder.parameters():
        weights.data = weights.data.half().float()
    graph = graph_of(backend)
    inputs = graph_inputs(WordPieces.load(tiny_encoder(tmp_path))(SENTENCES), range(5), "mean")
    whole, halves, eighths = (run(made, inputs) for made in (graph, as_halves(graph), as_bytes(graph)))
    assert np.array_equal(whole, halves)
    assert 0 < np.abs(whole - eighths).max() < 0.1 * np.abs(whole).max()
    sizes = [made.model().ByteSize() for made in (graph, as_halves(graph), as_bytes(graph))]
    assert sizes[0] > sizes[1] > sizes[2]


def test_bytes_of_a_sentence_do_not_depend_on_the_others_in_its_batch(tmp_path):
    graph = as_bytes(graph_of(TorchBackend(saved_tagger(tmp_path, head="mlp"))))
    pieces = WordPieces.load(tiny_encoder(tmp_path))(SENTENCES)
    together = run(graph, graph_inputs(pieces, range(5), "mean"))
    for place, words in enumerate(SENTENCES):
        (alone,) = run(graph, graph_inputs(pieces, [place], "mean"))
        assert np.array_equal(alone, together[place, : len(words)])


@pytest.mark.parametrize("activation", ["Gelu", "Relu"])
def test_products_of_bytes_are_near_those_of_floats_whatever_the_size_of_a_row(activation):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 6, 48)).astype(np.float32) * np.array([1, 1e-3, 300, 0, 5, 1], np.float32)[:, None]
    weights = {name: rng.normal(size=(48, 48)).astype(np.float32) for name in ("first", "second")}
    graph = Graph()
    graph.nodes += [
        helper.make_node("MatMul", ["ids", "first"], ["product"]),
        helper.make_node(activation, ["product"], ["active"]),
        helper.make_node("MatMul", ["active", "second"], [OUTPUT.name]),
    ]
    graph.constants |= weights

    def result(made: Graph) -> np.ndarray:
        model = made.model()
        del model.graph.input[:]
        model.graph.input.append(helper.make_tensor_value_info("ids", TensorProto.FLOAT, [1, 6, 48]))
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, {"ids": values})[0]

    exact, found = result(graph), result(as_bytes(graph))
    assert [node.op_type for node in as_bytes(graph).nodes].count("MatMulIntegerToFloat") == 2
    error = np.abs(exact - found).max(-1) / np.maximum(np.abs(exact).max(-1), 0.1)
    assert 0 < error.max() < 0.04, error


def test_the_same_weights_give_the_same_bytes(tmp_path):
    model = saved_tagger(tmp_path)
    for precision in PRECISIONS.values():
        one, two = (precision(graph_of(TorchBackend(model))).model().SerializeToString() for _ in "ab")
        assert one == two


def test_a_folder_of_graphs_replaces_another_and_holds_what_was_asked_for(tmp_path):
    assert {file.name for file in exported(tmp_path, "fp32", "torch").iterdir()} == {
        *("README.md", "tagger.json", "tokenizer.json", "fp32.onnx"),
        *("config.json", "model.safetensors", "encoder"),
    }
    out = exported(tmp_path, "int8", "fp16")
    assert {file.name for file in out.iterdir()} == {
        *("README.md", "tagger.json", "tokenizer.json", "int8.onnx", "fp16.onnx"),
    }
    assert not (exported(tmp_path, "fp32") / "int8.onnx").exists()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_graph_that_differs_is_refused_and_what_was_there_stays(tmp_path, monkeypatch, precision):
    out = exported(tmp_path, precision)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    monkeypatch.setattr(graphs, "_gates", lambda weights: graphs.array_of(weights))  # PyTorch's order, not ONNX's
    with pytest.raises(TagdistillError, match=f"graph {precision} differs from the model in torch"):
        exported(tmp_path, precision)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_a_graph_that_no_file_can_hold_is_refused(tmp_path, monkeypatch):
    graph = graph_of(TorchBackend(saved_tagger(tmp_path)))
    monkeypatch.setattr("tagdistill.export.graph.MAX_BYTES", graph.model().ByteSize() // 2)
    with pytest.raises(ConfigError, match=r"(?s)at most 2.*fp16 or int8"):
        graph.model()
    as_bytes(graph).model()


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(TagdistillError, match="differs"):
        Difference(10, float("nan"), 0.0, float("nan")).check("int8")
    Difference(10, 1.0, 0.0, LIMITS["int8"]).check("int8")


def test_batches_keep_within_words_and_pieces_and_leave_out_what_has_no_words():
    lengths = [3, 0, 9, 1, 4, 20, 1, 1]
    sentences = [["a"] * length for length in lengths[:-2]] + [["x" * 60]] * 2
    pieces = WordPieces(tiny_tokenizer(), 64)(sentences)
    found = [rows.tolist() for rows in batches(pieces, 10)]
    # 6 and 7 are of one word each: together few words, but more pieces than the bound
    assert found == [[3, 0], [4], [2], [5], [6], [7]]
    assert batches(WordPieces(tiny_tokenizer(), 64)([[], []]), 10) == []


def test_batches_are_of_sentences_with_as_many_pieces_however_many_words_these_are():
    pieces = WordPieces(tiny_tokenizer(), 64)([["a"] * 4, ["xxxx"], ["a"] * 3, ["xxx"]])
    assert [rows.tolist() for rows in batches(pieces, 8)] == [[3, 2], [1, 0]]


def test_a_batch_has_little_padding_and_those_of_decoding_as_much_as_it_takes():
    sizes = np.array([4, 4, 4, 4, 8, 30, 9, 31])
    found = [rows.tolist() for rows in grouped(sizes, sizes, 1000, PADDING)]
    assert found == [[0, 1, 2, 3, 4], [6], [5, 7]]  # 4 * 4 pieces of padding, and with 9 four more and one
    for rows in found:
        assert (sizes[rows].max() - sizes[rows]).sum() <= PADDING
    assert [rows.tolist() for rows in grouped(sizes, sizes, 1000)] == [[0, 1, 2, 3, 4, 6, 5, 7]]


def test_an_export_without_text_is_refused(tmp_path):
    empty = make_corpus(tmp_path / "data", "en", "test", 0)
    with pytest.raises(TagdistillError, match="no text to compare"):
        exported(tmp_path, corpora=[empty])
