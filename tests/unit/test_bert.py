"""Encoders in plain torch are those of transformers to the bit: states, dropout and gradients; others are its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from test_encoders import save_random
from transformers.masking_utils import create_bidirectional_mask

from tagdistill.encoders.bert import Bert, BertConfig, attention_mask, load_bert
from tagdistill.encoders.load import load_encoder
from tagdistill.errors import DataError


@pytest.fixture(scope="module", params=["bert", "roberta", "xlm-roberta", "camembert"])
def folder(request, tmp_path_factory) -> Path:
    return save_random(request.param, tmp_path_factory.mktemp(request.param))


def twin_of(folder: Path) -> torch.nn.Module:
    options = {"dtype": torch.float32, "local_files_only": True, "add_pooling_layer": False}
    return transformers.AutoModel.from_pretrained(folder, **options).eval()


def ids_and_mask(padded: bool) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(3, 60, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(9) < torch.tensor([9, 5, 7])[:, None] if padded else torch.ones(3, 9, dtype=torch.bool)
    return torch.where(mask, ids, 1), mask


def run(model: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Return all states and gradients, and the next random number."""
    torch.manual_seed(1)
    model.zero_grad()
    states = [model.embeddings(input_ids=ids)]
    for block in model.get_submodule("encoder.layer"):
        states.append(block(states[-1], attention_mask=mask))
    states[-1].square().sum().backward()
    found = {f"layer {number}": layer.detach() for number, layer in enumerate(states)}
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {**found, **gradients, "random": torch.rand(3)}


@pytest.mark.parametrize("padded", [True, False], ids=["padded", "whole"])
@pytest.mark.parametrize("training", [True, False], ids=["dropout", "no dropout"])
def test_states_dropout_and_gradients_are_those_of_transformers(folder, training, padded):
    ids, mask = ids_and_mask(padded)
    config = BertConfig.read(folder)
    ours, theirs = load_bert(folder, config).train(training), twin_of(folder).train(training)
    expected = run(theirs, ids, create_bidirectional_mask(theirs.config, theirs.embeddings(input_ids=ids), mask))
    found = run(ours, ids, attention_mask(mask if padded else None))
    assert found.keys() == expected.keys()
    assert [name for name, value in expected.items() if not value.equal(found[name])] == []


def test_loading_draws_no_random_number_and_leaves_the_file_alone(folder):
    before = (folder / "model.safetensors").read_bytes()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    model = load_encoder(folder).model
    assert torch.rand(3).equal(expected)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)  # they may lie on pages of the file
    assert (folder / "model.safetensors").read_bytes() == before


def altered(folder: Path, target: Path, **values: object) -> Path:
    """Copy an encoder with other values in its configuration; None removes a key."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text()) | values
    (target / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return target


@pytest.mark.parametrize(
    "values", [{"hidden_act": "relu"}, {"layer_norm_eps": None}, {"num_attention_heads": "4"}], ids=str
)
def test_what_is_not_quite_this_architecture_is_left_to_transformers(values, folder, tmp_path):
    assert BertConfig.read(altered(folder, tmp_path / "other", **values)) is None


def test_another_activation_is_computed(folder, tmp_path):
    other = altered(folder, tmp_path / "other", hidden_act="relu")
    ids, mask = ids_and_mask(True)
    with torch.no_grad():
        plain, relu = (load_encoder(path).hidden_states(ids, mask, [4])[0] for path in (folder, other))
    assert not isinstance(load_encoder(other).model, Bert)
    assert not torch.allclose(plain[mask], relu[mask])


def test_weights_of_another_shape_are_an_error_in_words(folder, tmp_path):
    other = altered(folder, tmp_path / "other", intermediate_size=47)
    with pytest.raises(DataError, match="not readable as the configuration of these weights"):
        load_encoder(other)
