"""The best paths: exact, distinct, and right where a sentence is short or has few paths."""

from __future__ import annotations

import pytest
import torch
from chains import Kernel
from enumeration import Enumeration, Inputs, random_inputs

from tagdistill.crf import LinearChain, TopK
from tagdistill.crf.kernels import viterbi
from tagdistill.crf.kernels.dispatch import prepare


def chain(inputs: Inputs) -> LinearChain:
    return LinearChain(*inputs.arguments())


def on_cpu(found: TopK) -> TopK:
    return TopK(found.labels.cpu(), found.log_prob.cpu(), found.count.cpu())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_top_k_is_the_head_of_the_sorted_list_of_all_paths(seed: int, k: int, kernel: Kernel) -> None:
    inputs = random_inputs([6, 1, 4, 2, 5], 3, seed=seed, sd=0.5 + seed / 3)
    found = on_cpu(kernel.chain(inputs).top_k(k))
    paths, log_probs = Enumeration(inputs).top_k(k)
    for b, (path, log_prob) in enumerate(zip(paths, log_probs, strict=True)):
        n = path.shape[1]
        assert found.count[b] == len(path) == min(k, 3**n)
        torch.testing.assert_close(found.log_prob[b, : len(path)], log_prob, rtol=1e-10, atol=1e-10)
        assert torch.equal(found.labels[b, : len(path), :n], path)


@pytest.mark.parametrize("seed", range(8))
def test_argmax_is_the_best_of_all_paths(seed: int, kernel: Kernel) -> None:
    inputs = random_inputs([5, 1, 3], 4, seed=seed)
    found = kernel.chain(inputs).argmax.cpu()
    for b, path in enumerate(Enumeration(inputs).top_k(1)[0]):
        assert torch.equal(found[b, : path.shape[1]], path[0])
        assert (found[b, path.shape[1] :] == 0).all()


def test_every_path_of_a_sentence_is_found_once(kernel: Kernel) -> None:
    inputs = random_inputs([4, 2, 1], 3, seed=5)
    found = on_cpu(kernel.chain(inputs).top_k(100))
    for b, n in enumerate([4, 2, 1]):
        assert found.count[b] == 3**n
        assert len({tuple(path.tolist()) for path in found.labels[b, : 3**n]}) == 3**n
        assert (found.labels[b, 3**n :] == 0).all()
        assert (found.log_prob[b, 3**n :] == -torch.inf).all()
    torch.testing.assert_close(found.log_prob.exp().sum(1), torch.ones(3, dtype=torch.float64))


def test_one_label_has_one_path(kernel: Kernel) -> None:
    inputs = random_inputs([3, 1], 1)
    assert kernel.chain(inputs).top_k(4).count.tolist() == [1, 1]
    torch.testing.assert_close(kernel.chain(inputs).log_partition.cpu(), Enumeration(inputs).log_partition)


def test_ties_go_to_the_lowest_label(kernel: Kernel) -> None:
    zero = torch.zeros(3)
    flat = kernel.chain(Inputs(torch.zeros(2, 4, 3), torch.zeros(3, 3), torch.tensor([4, 2]), zero, zero))
    assert (flat.argmax == 0).all()
    top = on_cpu(flat.top_k(9))
    assert (top.labels[:, 0] == 0).all()
    assert len({tuple(p.tolist()) for p in top.labels[1]}) == 9
    torch.testing.assert_close(top.log_prob[1], torch.full((9,), -2 * torch.tensor(3.0).log()))


def test_ties_are_decided_from_the_last_token_back(kernel: Kernel) -> None:
    # Two best paths, 0-1 and 1-0: the one with the lower last label.
    transitions, zero = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.zeros(2)
    two = Inputs(torch.zeros(1, 2, 2), transitions, torch.tensor([2]), zero, zero)
    assert kernel.chain(two).argmax.tolist() == [[1, 0]]


@pytest.mark.parametrize("seed", range(4))
def test_integer_scores_with_many_ties_give_the_same_scores(seed: int, kernel: Kernel) -> None:
    inputs = random_inputs([5, 3, 2], 3, seed=seed)
    inputs = inputs.with_leaves([x.round() for x in inputs.leaves()])
    found = on_cpu(kernel.chain(inputs).top_k(30))
    for b, (_, log_prob) in enumerate(zip(*Enumeration(inputs).top_k(30), strict=True)):
        torch.testing.assert_close(found.log_prob[b, : len(log_prob)], log_prob)
        live = found.labels[b, : len(log_prob)]
        assert len({tuple(p.tolist()) for p in live}) == len(log_prob)


@pytest.mark.parametrize("seed", range(4))
def test_decoding_is_the_backtrace_in_which_every_token_is_free(seed: int) -> None:
    inputs = random_inputs([9, 1, 4, 2, 9], 4, seed=seed)
    rounded = inputs.with_leaves([x.round() for x in inputs.leaves()])  # so that there are ties
    potentials = prepare(*rounded.arguments()).potentials
    best, following, mask = (
        viterbi.best_prefixes(potentials),
        viterbi.into(potentials.transitions),
        potentials.layout.mask,
    )
    forced = torch.where(mask, -1, 4).t()[..., None].contiguous()
    slow = viterbi.backtrace(best, following, forced)[..., 0].t()
    assert torch.equal(viterbi.decode(best, following, potentials.layout).t()[mask], slow[mask])


def test_the_batch_gives_each_sentence_what_it_gets_alone() -> None:
    """The published decoder returns duplicates for every sentence shorter than the longest of its batch."""
    inputs = random_inputs([12, 7, 3, 1, 9], 4, seed=3)
    together = chain(inputs).top_k(10)
    for b, n in enumerate(inputs.lengths.tolist()):
        alone = LinearChain(
            inputs.emissions[b : b + 1, :n], inputs.transitions, inputs.lengths[b : b + 1], inputs.start, inputs.end
        ).top_k(10)
        assert torch.equal(together.labels[b, :, :n], alone.labels[0])
        torch.testing.assert_close(together.log_prob[b], alone.log_prob[0])


def test_top_k_log_probs_are_those_of_the_paths() -> None:
    inputs = random_inputs([20, 13, 1], 5, seed=9, sd=3)
    found = chain(inputs).top_k(12)
    again = chain(inputs).log_prob_of_paths(found.labels)
    filled = torch.arange(12) < found.count[:, None]
    torch.testing.assert_close(found.log_prob[filled], again[filled])
    assert (found.log_prob[:, 1:] <= found.log_prob[:, :-1] + 1e-12).all()


def test_top_k_refuses_zero() -> None:
    with pytest.raises(ValueError, match="k: expected 1 or more"):
        chain(random_inputs([2], 2)).top_k(0)
