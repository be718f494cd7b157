"""The worked example of the paper (Wang et al. 2020, Table 1): labels F and T, three tokens, psi given per position."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tagdistill.crf import LinearChain

pytestmark = pytest.mark.usefixtures("cpu_kernel")

# Rows are the label before, columns the label. A chain has one transition matrix, the example one per position.
SECOND = torch.tensor([[2.0, 0.5], [0.5, 2.0]], dtype=torch.float64)
THIRD = torch.tensor([[1 / 3, 3.0], [4.0, 0.25]], dtype=torch.float64)


def expanded() -> LinearChain:
    """The example as a chain over pairs (label before, label), where scores may depend on the position."""
    emissions = torch.full((1, 3, 4), -1e4, dtype=torch.float64)
    emissions[0, 0, [0, 1]] = 0.0  # F stands for 'no label before'
    emissions[0, 1] = SECOND.log().view(-1)
    emissions[0, 2] = THIRD.log().view(-1)
    transitions = torch.full((4, 4), -1e4, dtype=torch.float64)
    for before in range(4):
        for label in range(2):
            transitions[before, 2 * (before % 2) + label] = 0.0
    return LinearChain(emissions, transitions, torch.tensor([3]))


def over_labels(values: Tensor) -> Tensor:
    return values.view(*values.shape[:-1], 2, 2).sum(-2)


def test_partition_function() -> None:
    assert expanded().log_partition.exp().item() == pytest.approx(18.9583, abs=1e-4)


def test_sequence_probabilities() -> None:
    top = expanded().top_k(8)
    labels = ["".join("FT"[int(pair) % 2] for pair in path) for path in top.labels[0]]
    found = dict(zip(labels, top.log_prob[0].exp().tolist(), strict=True))
    published = {"FFF": 0.035, "FFT": 0.316, "FTF": 0.105, "FTT": 0.007}
    published |= {"TFF": 0.009, "TFT": 0.079, "TTF": 0.422, "TTT": 0.026}
    assert found == pytest.approx(published, abs=6e-4)


def test_top_2_and_their_weights() -> None:
    top = expanded().top_k(2)
    assert (top.labels[0] % 2).tolist() == [[1, 1, 0], [0, 0, 1]]  # TTF, FFT
    assert top.weights[0].tolist() == pytest.approx([0.5714, 0.4286], abs=1e-4)


def test_posteriors() -> None:
    wanted = torch.tensor([[0.46374, 0.53626], [0.43956, 0.56044], [0.57143, 0.42857]], dtype=torch.float64)
    torch.testing.assert_close(over_labels(expanded().marginals[0]), wanted, atol=1e-5, rtol=0)
