"""Inputs that cannot be right are refused with a sentence that says why."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tagdistill.crf import LinearChain, NonFiniteScores, PathCounts
from tagdistill.crf.kernels import rows

pytestmark = pytest.mark.usefixtures("cpu_kernel")

E, A, N = torch.zeros(2, 4, 3), torch.zeros(3, 3), torch.tensor([4, 2])
V = torch.zeros(3)
NAN, INF = float("nan"), float("inf")

BAD = {
    "emissions: expected a non-empty": (E[0], A, N, None, None),
    "emissions: expected a non-empty .batch": (E[:0], A, N[:0], None, None),
    r"transitions: expected \(3, 3\)": (E, A[:2], N, None, None),
    r"lengths: expected \(2,\)": (E, A, N[:1], None, None),
    r"start: expected \(3,\)": (E, A, N, V[:2], None),
    r"end: expected \(3,\)": (E, A, N, None, V[:1]),
    r"lengths: expected 1 to 4 .* found 0 to 4": (E, A, torch.tensor([4, 0]), None, None),
    r"lengths: expected 1 to 4 .* found 2 to 5": (E, A, torch.tensor([5, 2]), None, None),
    "emissions: expected floating point": (E.long(), A, N, None, None),
    "lengths: expected integers": (E, A, N.float(), None, None),
    "emissions, start and end: expected finite": (E + NAN, A, N, None, None),
    "emissions, start and end: expected finite scores": (E - INF, A, N, None, None),
    "transitions: expected finite": (
        E,
        A.fill_diagonal_(0).clone().index_fill(0, torch.tensor([1]), -INF),
        N,
        None,
        None,
    ),
    "start and end: expected finite": (E, A, N, V + INF, None),
}


try:
    from jaxtyping import TypeCheckError  # with --jaxtyping-packages shapes are refused before we see them
except ImportError:
    TypeCheckError = ValueError


@pytest.mark.parametrize("message", BAD)
def test_bad_inputs(message: str) -> None:
    with pytest.raises((ValueError, TypeCheckError)) as refused:
        LinearChain(*BAD[message])
    if not isinstance(refused.value, TypeCheckError):
        refused.match(message)
        assert isinstance(refused.value, NonFiniteScores) == ("finite" in message)


class OnGpu(torch.Tensor):
    """Says that it is on a GPU until it is asked to move."""

    device = torch.device("cuda")  # type: ignore[assignment]

    def to(self, *where: Any, **how: Any) -> torch.Tensor:
        return self.as_subclass(torch.Tensor).to(*where, **how)


def test_lengths_from_a_gpu_are_looked_at_where_the_emissions_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong one would be a place outside the memory of the compiled kernel."""
    monkeypatch.setattr(rows, "MIN_BLOCK_CELLS", 1)
    c = LinearChain(E, A, torch.tensor([2, 1]).as_subclass(OnGpu), check=False)  # shorter than the emissions
    assert c.marginals.shape == E.shape
    with pytest.raises(ValueError, match=r"lengths: expected 1 to 4 .* found 2 to 99"):
        LinearChain(E, A, torch.tensor([99, 2]).as_subclass(OnGpu), check=False)


def test_labels_outside_the_chain() -> None:
    c = LinearChain(E, A, N)
    with pytest.raises(ValueError, match="labels: expected 0 to 2 on every token, found 3"):
        c.log_prob(torch.tensor([[0, 0, 0, 3], [0, 0, 0, 0]]))
    with pytest.raises(ValueError, match="labels: expected 0 to 2 on every token, found -100"):
        c.log_prob(torch.tensor([[0, 0, 0, 0], [0, -100, 0, 0]]))
    with pytest.raises(ValueError, match="labels: expected"):
        c.log_prob(torch.zeros(2, 3, dtype=torch.int64))


def test_labels_in_padding_may_be_anything() -> None:
    c = LinearChain(E, A, N)
    assert torch.equal(c.log_prob(torch.tensor([[0] * 4, [0, 0, -100, 99]])), c.log_prob(torch.zeros(2, 4).long()))


def test_targets_of_another_shape_and_impossible_temperatures() -> None:
    c = LinearChain(E, A, N)
    with pytest.raises(ValueError, match="log_target: expected"):
        c.posterior_cross_entropy(torch.zeros(2, 4, 2))
    with pytest.raises(ValueError, match="temperature: expected more than 0"):
        c.posterior_cross_entropy(E, 0.0)


def test_a_student_of_another_shape() -> None:
    with pytest.raises(ValueError, match="student: expected scores"):
        LinearChain(E, A, N).cross_entropy(LinearChain(torch.zeros(2, 4, 2), torch.zeros(2, 2), N))


def test_a_student_of_sentences_of_other_lengths() -> None:
    c, other = LinearChain(E, A, N), LinearChain(E, A, N.flip(0))
    assert not torch.equal(N, N.flip(0))
    for compare in (c.cross_entropy, c.kl):
        with pytest.raises(ValueError, match="student: expected sentences of the same lengths"):
            compare(other)
    assert LinearChain(E, A, N, check=False).kl(other).shape == (2,)  # nobody looks


def test_counts_of_another_shape_and_labels_that_are_no_integers() -> None:
    c = LinearChain(E, A, N)
    with pytest.raises(ValueError, match=r"counts.unary: expected \(2, 4, 3\), found \(2, 4, 1\)"):
        c.expected_log_prob(PathCounts(E[..., :1], torch.zeros(2, 3, 3)))
    with pytest.raises(ValueError, match=r"counts.transitions: expected \(2, 3, 3\), found \(2, 3, 1\)"):
        c.expected_log_prob(PathCounts(E, torch.zeros(2, 3, 1)))
    for labels in (torch.zeros(2, 4) + 0.7, torch.zeros(2, 4, dtype=torch.bool)):
        with pytest.raises(ValueError, match="labels: expected integers, found"):
            c.log_prob(labels)
