"""A linear-chain CRF over label sequences, as a distribution object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tagdistill.crf import autograd
from tagdistill.crf.kernels.base import ForwardBackward
from tagdistill.crf.kernels.dispatch import prepare
from tagdistill.crf.layout import on_host
from tagdistill.crf.paths import PathCounts
from tagdistill.crf.potentials import pad_time
from tagdistill.crf.shapes import Bool, Float, Int


@dataclass(frozen=True)
class TopK:
    """The best paths of each sentence, best first. A sentence of n tokens has only labels^n of them.

    Examples:
        >>> chain = LinearChain(torch.tensor([[[0.0, 1.0], [2.0, 0.0]]]), torch.zeros(2, 2), torch.tensor([2]))
        >>> best = chain.top_k(2)
        >>> best.labels
        tensor([[[1, 0],
                 [0, 0]]])
        >>> best.count
        tensor([2])
    """

    labels: Int[Tensor, "batch k time"]  # 0 in padding and in empty slots
    log_prob: Float[Tensor, "batch k"]  # natural logarithms; -inf in empty slots
    count: Int[Tensor, " batch"]  # slots that hold a path

    @property
    def weights(self) -> Float[Tensor, "batch k"]:
        """Probabilities (batch, k) renormalised over these paths (Wang et al. 2020, eq. 9); 0 in empty slots.

        Examples:
            >>> log_prob = torch.tensor([[0.6, 0.2]]).log()
            >>> TopK(torch.zeros(1, 2, 1, dtype=torch.int64), log_prob, torch.tensor([2])).weights
            tensor([[0.7500, 0.2500]])
        """
        return self.log_prob.to(torch.float64).softmax(1).to(self.log_prob.dtype)


class LinearChain:
    """The distribution of the label sequences of a batch of sentences under a linear-chain CRF.

    `p(y) = exp(start[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_(t-1), y_t] + end[y_n]) / Z`.

    One forward-backward pass serves everything that is asked of an object; it runs when first needed. State is
    float64, results have the dtype of `emissions`, indices are int64, logarithms are natural. What stands in padding
    (emissions, labels, targets) reaches no result; results are 0 there. Gradients flow to emissions, transitions, start
    and end, and are analytic: a second derivative (create_graph=True) raises RuntimeError.

    Args:
        emissions: (batch, time, label) log scores, any finite size.
        transitions: (label, label) log scores, [from, to]; finite, so write -1e4 for "forbidden".
        lengths: (batch,) tokens of each sentence, 1 to time.
        start: (label,) log scores of the first token's label, 0 if absent.
        end: (label,) log scores of the last token's label, 0 if absent.
        check: look at the values; on by default on a CPU and off on a GPU, where it costs one transfer. On a CPU, and
            on a GPU without Triton, it also allows the fast kernel, which needs to know how far the scores spread.

    Raises:
        ValueError: for wrong shapes and dtypes; with `check` also for wrong lengths.
        NonFiniteScores: with `check`, for a score that is NaN or infinite (a ValueError).
        KernelError: where the compiled kernel is chosen and cannot be built.

    Examples:
        >>> emissions = torch.tensor([[[0.0, 1.0], [2.0, 0.0]]])  # one sentence, two tokens, two labels
        >>> chain = LinearChain(emissions, torch.zeros(2, 2), torch.tensor([2]))
        >>> chain.argmax
        tensor([[1, 0]])
        >>> chain.marginals
        tensor([[[0.2689, 0.7311],
                 [0.8808, 0.1192]]])
    """

    def __init__(
        self,
        emissions: Float[Tensor, "batch time label"],
        transitions: Float[Tensor, "label label"],
        lengths: Int[Tensor, " batch"],
        start: Float[Tensor, " label"] | None = None,
        end: Float[Tensor, " label"] | None = None,
        *,
        check: bool | None = None,
    ) -> None:
        self._inputs = (emissions, transitions, lengths, start, end)
        self._check = check
        self._graph = prepare(emissions, transitions, lengths, start, end, check=check)
        self._kernel, self._potentials = self._graph.kernel, self._graph.potentials
        self.dtype, self.time, self.num_labels = emissions.dtype, emissions.shape[1], emissions.shape[2]

    @cached_property
    def _pass(self) -> ForwardBackward:
        return self._kernel.forward_backward(self._potentials)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the pass, which may hold addresses: a copy runs its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_pass"}

    @property
    def lengths(self) -> Int[Tensor, " batch"]:
        """Tokens of each sentence (batch,), int64 on the device of `emissions`.

        Examples:
            >>> LinearChain(torch.zeros(2, 3, 4), torch.zeros(4, 4), torch.tensor([3, 1])).lengths
            tensor([3, 1])
        """
        return self._potentials.layout.lengths

    @property
    def mask(self) -> Bool[Tensor, "batch time"]:
        """(batch, time) bool: true on tokens, false past a sentence's end.

        Examples:
            >>> LinearChain(torch.zeros(2, 3, 4), torch.zeros(4, 4), torch.tensor([3, 1])).mask
            tensor([[ True,  True,  True],
                    [ True, False, False]])
        """
        return torch.arange(self.time, device=self.lengths.device) < self.lengths[:, None]

    @property
    def emissions(self) -> Float[Tensor, "batch time label"]:
        """The emissions (batch, time, label), the caller's own tensor.

        Examples:
            >>> LinearChain(torch.zeros(2, 3, 4), torch.zeros(4, 4), torch.tensor([3, 1])).emissions.shape
            torch.Size([2, 3, 4])
        """
        return self._inputs[0]

    @property
    def transitions(self) -> Float[Tensor, "label label"]:
        """The transitions (label, label), [from, to], the caller's own tensor.

        Examples:
            >>> LinearChain(torch.zeros(2, 3, 4), torch.zeros(4, 4), torch.tensor([3, 1])).transitions.shape
            torch.Size([4, 4])
        """
        return self._inputs[1]

    @property
    def start(self) -> Float[Tensor, " label"] | None:
        """The start scores (label,), the caller's own tensor, or None.

        Examples:
            >>> LinearChain(torch.zeros(2, 3, 4), torch.zeros(4, 4), torch.tensor([3, 1])).start is None
            True
        """
        return self._inputs[3]

    @property
    def end(self) -> Float[Tensor, " label"] | None:
        """The end scores (label,), the caller's own tensor, or None.

        Examples:
            >>> LinearChain(torch.zeros(2, 3, 4), torch.zeros(4, 4), torch.tensor([3, 1]), end=torch.ones(4)).end
            tensor([1., 1., 1., 1.])
        """
        return self._inputs[4]

    def tempered(self, temperature: float) -> LinearChain:
        """Return the chain of all scores divided by `temperature` ("global": not the temperature of the losses).

        Examples:
            >>> chain = LinearChain(torch.tensor([[[0.0, 2.0]]]), torch.zeros(2, 2), torch.tensor([1]))
            >>> chain.tempered(2.0).emissions
            tensor([[[0., 1.]]])
        """
        emissions, transitions, lengths, *ends = self._inputs
        start, end = (None if v is None else v / temperature for v in ends)
        return LinearChain(emissions / temperature, transitions / temperature, lengths, start, end, check=self._check)

    # -- the distribution

    @property
    def log_partition(self) -> Float[Tensor, " batch"]:
        """`log Z` (batch,), Z the sum of the exponentials of the scores of all paths.

        Examples:
            >>> LinearChain(torch.zeros(2, 3, 2), torch.zeros(2, 2), torch.tensor([3, 1])).log_partition.exp()
            tensor([8., 2.])
        """
        if self._graph.needs_gradient:
            return autograd.log_partition(self._graph, self.dtype, self._pass)
        return self._log_partition.to(self.dtype, copy=True)

    @cached_property
    def _log_partition(self) -> Tensor:
        """The float64 `log Z`, without a graph."""
        return self._pass.log_partition if "_pass" in self.__dict__ else self._kernel.log_partition(self._potentials)

    @property
    def marginals(self) -> Float[Tensor, "batch time label"]:
        """`q_t(j) = p(y_t = j)` (batch, time, label), 0 past the end (Wang et al. 2020, eq. 10).

        Examples:
            >>> LinearChain(torch.zeros(1, 2, 2), torch.zeros(2, 2), torch.tensor([1])).marginals
            tensor([[[0.5000, 0.5000],
                     [0.0000, 0.0000]]])
        """
        if self._graph.needs_gradient:
            return self._out(self._marginals)
        return pad_time(self._pass.marginals_in(self.dtype), self.time)

    @property
    def log_marginals(self) -> Float[Tensor, "batch time label"]:
        """`log q_t(j)` (batch, time, label), 0 past the end. Finite without a floor: exact where q underflows.

        Examples:
            >>> LinearChain(torch.tensor([[[0.0, -200.0]]]), torch.zeros(2, 2), torch.tensor([1])).log_marginals
            tensor([[[   0., -200.]]])
        """
        if self._graph.needs_gradient:
            return self._out(autograd.log_marginals(self._graph, self._pass))
        return self._out(self._pass.log_marginals)

    @property
    def transition_marginals(self) -> Float[Tensor, "batch label label"]:
        """Expected transition counts (batch, from, to): `p(y_t = i, y_(t+1) = j)` summed over t.

        Examples:
            >>> LinearChain(torch.zeros(1, 3, 2), torch.zeros(2, 2), torch.tensor([3])).transition_marginals
            tensor([[[0.5000, 0.5000],
                     [0.5000, 0.5000]]])
        """
        return self._transition_marginals.to(self.dtype, copy=True)

    @property
    def _marginals(self) -> Tensor:
        return autograd.marginals(self._graph, self._pass) if self._graph.needs_gradient else self._pass.marginals

    @property
    def _transition_marginals(self) -> Tensor:
        return (
            autograd.transition_marginals(self._graph, self._pass) if self._graph.needs_gradient else self._pass.edges
        )

    def entropy(self) -> Float[Tensor, " batch"]:
        """Return `-sum_y p(y) log p(y)` (batch,) in nats.

        Examples:
            >>> LinearChain(torch.zeros(1, 3, 2), torch.zeros(2, 2), torch.tensor([3])).entropy()  # 3 log 2
            tensor([2.0794])
        """
        return self.cross_entropy(self)

    # -- log-probabilities of paths

    def log_prob(self, labels: Int[Tensor, "batch time"]) -> Float[Tensor, " batch"]:
        """Return `log p(labels)` (batch,) of one path per sentence.

        labels: (batch, time); in padding they may be anything, -100 too. Raises ValueError for another shape, and for a
        label outside the chain's on a token.

        Examples:
            >>> chain = LinearChain(torch.zeros(2, 3, 2), torch.zeros(2, 2), torch.tensor([3, 1]))
            >>> chain.log_prob(torch.tensor([[0, 1, 0], [1, -100, -100]])).exp()
            tensor([0.1250, 0.5000])
        """
        return self.log_prob_of_paths(labels[:, None]).squeeze(1)

    def log_prob_of_paths(self, labels: Int[Tensor, "batch k time"]) -> Float[Tensor, "batch k"]:
        """Return `log p` (batch, k) of several paths per sentence, for top-k and top-wk: one log Z serves all of them.

        labels: (batch, k, time), as in `log_prob`, which raises the same errors.

        Examples:
            >>> chain = LinearChain(torch.tensor([[[0.0, 1.0], [2.0, 0.0]]]), torch.zeros(2, 2), torch.tensor([2]))
            >>> chain.log_prob_of_paths(torch.tensor([[[1, 0], [0, 0]]])).exp()
            tensor([[0.6439, 0.2369]])
        """
        path = self._kernel.paths(self._potentials, labels)
        if self._graph.needs_gradient:
            return autograd.path_log_prob(self._graph, path, self.dtype, self._pass)
        return (path.score(self._potentials) - self._log_partition[:, None]).to(self.dtype)

    def expected_log_prob(self, counts: PathCounts) -> Float[Tensor, " batch"]:
        """Return `sum_y w(y) log p(y)` (batch,) from the expected counts of weights w that sum to 1 in each sentence.

        Gold, top-k and top-wk targets (`count`) and whole distributions (`counts`) share this form. Raises ValueError
        for counts of another shape.

        Examples:
            >>> from tagdistill.crf import count
            >>> chain = LinearChain(torch.zeros(1, 3, 2), torch.zeros(2, 2), torch.tensor([3]))
            >>> paths, weights = torch.tensor([[[0, 1, 0], [1, 1, 1]]]), torch.tensor([[0.75, 0.25]])
            >>> chain.expected_log_prob(count(paths, weights, chain.lengths, 2)).exp()
            tensor([0.1250])
        """
        batch, labels = len(self.lengths), self.num_labels
        for name, value, shape in (
            ("unary", counts.unary, (batch, self.time, labels)),
            ("transitions", counts.transitions, (batch, labels, labels)),
        ):
            if value.shape != shape:
                raise ValueError(f"counts.{name}: expected {shape}, found {tuple(value.shape)}")
        unary = self._in(counts.unary)
        edges = counts.transitions.to(unary)
        return autograd.expected_log_prob(self._graph, unary, edges, self._pass).to(self.dtype)

    @property
    def counts(self) -> PathCounts:
        """Expected counts of the whole distribution: `marginals` and `transition_marginals`.

        Examples:
            >>> LinearChain(torch.zeros(1, 3, 2), torch.zeros(2, 2), torch.tensor([3])).counts.unary.sum()  # tokens
            tensor(3.)
        """
        return PathCounts(self.marginals, self.transition_marginals)

    # -- best paths

    @property
    def argmax(self) -> Int[Tensor, "batch time"]:
        """Best labels (batch, time), 0 past the end. Ties go to the lowest label, decided from the last token back.

        Examples:
            >>> LinearChain(torch.tensor([[[0.0, 1.0], [2.0, 0.0]]]), torch.zeros(2, 2), torch.tensor([2])).argmax
            tensor([[1, 0]])
        """
        return self._argmax.clone()

    @cached_property
    def _argmax(self) -> Tensor:
        return self._labels_out(self._kernel.argmax(self._potentials))

    def top_k(self, k: int) -> TopK:
        """Return the k best paths of each sentence, exact and distinct, without a gradient. The first is `argmax`.

        Where a sentence has fewer than k paths the last slots are labels 0 with log_prob -inf. Ties beyond the first
        path are in no order. Raises ValueError for k < 1.

        Examples:
            >>> chain = LinearChain(torch.tensor([[[0.0, 1.0], [2.0, 0.0]]]), torch.zeros(2, 2), torch.tensor([2]))
            >>> chain.top_k(5).log_prob.exp()
            tensor([[0.6439, 0.2369, 0.0871, 0.0321, 0.0000]])
        """
        if k < 1:
            raise ValueError(f"k: expected 1 or more, found {k}")
        labels, score = self._kernel.k_best(self._potentials, k)
        with torch.no_grad():
            filled = score > -torch.inf
            path = self._kernel.paths(self._potentials, labels)
            exact = path.score(self._potentials) - self._log_partition[:, None]
            log_prob = exact.masked_fill(~filled, -torch.inf).to(self.dtype)
        return TopK(self._labels_out(labels), log_prob, filled.sum(1))

    # -- comparisons with another chain over the same sentences

    def cross_entropy(self, student: LinearChain) -> Float[Tensor, " batch"]:
        """Return `H(self, student) = -sum_y p(y) log p_student(y)` (batch,) in nats, exact over all paths.

        It is log Z of the student minus its scores under the expected counts of `self` (Wang et al. 2021, case 1a),
        in the student's dtype. Gradients flow to both chains; build `self` from detached tensors to hold it fixed.
        Raises ValueError where the two differ in labels or, with `check`, in the lengths of sentences.

        Examples:
            >>> lengths, transitions = torch.tensor([1]), torch.zeros(2, 2)
            >>> teacher = LinearChain(torch.tensor([[[0.0, 1.0]]]), transitions, lengths)
            >>> teacher.cross_entropy(LinearChain(torch.zeros(1, 1, 2), transitions, lengths))  # log 2
            tensor([0.6931])
        """
        self._check_fits(student)
        expected = autograd.expected_log_prob(
            student._graph, self._marginals, self._transition_marginals, student._pass
        )
        return -expected.to(student.dtype)

    def kl(self, student: LinearChain) -> Float[Tensor, " batch"]:
        """Return `KL(self || student)` (batch,) in nats over all paths, in the student's dtype; as `cross_entropy`.

        Examples:
            >>> lengths, transitions = torch.tensor([1]), torch.zeros(2, 2)
            >>> teacher = LinearChain(torch.tensor([[[0.0, 1.0]]]), transitions, lengths)
            >>> teacher.kl(LinearChain(torch.zeros(1, 1, 2), transitions, lengths))
            tensor([0.1109])
        """
        return self.cross_entropy(student) - self.entropy().to(student.dtype)

    def posterior_cross_entropy(
        self, log_target: Float[Tensor, "batch time label"], temperature: float = 1.0
    ) -> Float[Tensor, " batch"]:
        """Return `-T^2 sum_t sum_j p_t(j) log q_t(j)` (batch,), a sum over tokens (Wang et al. 2020, eq. 13).

        p is softmax(log_target / T), q the chain's marginals to the power 1/T, normalised in each token ("local"
        temperature); the factor T^2 is included.

        Args:
            log_target: (batch, time, label), a teacher's log-marginals (or any logits), -inf allowed. It is held
                constant: no gradient flows to it.
            temperature: T, more than 0.

        Raises:
            ValueError: for another shape, or a temperature that is not more than 0.

        Examples:
            >>> student = LinearChain(torch.zeros(1, 2, 2), torch.zeros(2, 2), torch.tensor([2]))
            >>> student.posterior_cross_entropy(torch.tensor([[[0.2, 0.8], [0.6, 0.4]]]).log())  # 2 log 2
            tensor([1.3863])
        """
        if not temperature > 0:
            raise ValueError(f"temperature: expected more than 0, found {temperature}")
        shape = self.emissions.shape
        if log_target.shape != shape:
            raise ValueError(f"log_target: expected {tuple(shape)}, found {tuple(log_target.shape)}")
        log_target = log_target.detach().to(self.lengths.device)
        return autograd.posterior_cross_entropy(self._graph, log_target, temperature, self.dtype, self._pass)

    # -- between the caller's tensors and the kernels'

    def _in(self, values: Tensor) -> Tensor:
        """(batch, time, label) of any dtype -> float64, 0 in padding."""
        layout = self._potentials.layout
        return layout.tokens(values.to(layout.mask.device)).to(torch.float64).mul_(layout.weight)

    def _out(self, rows: Tensor) -> Tensor:
        """Float64 -> the dtype and number of time steps of the inputs."""
        return pad_time(rows.to(dtype=self.dtype, copy=True), self.time)

    def _labels_out(self, labels: Tensor) -> Tensor:
        """(..., shorter) -> (..., time), with zeros."""
        missing = self.time - labels.shape[-1]
        return torch.nn.functional.pad(labels, (0, missing)) if missing else labels

    def _check_fits(self, other: LinearChain) -> None:
        mine, theirs = self._potentials.scores.shape, other._potentials.scores.shape
        if mine != theirs:
            raise ValueError(f"student: expected scores (batch, time, label) {tuple(mine)}, found {tuple(theirs)}")
        looked_at = on_host(self.lengths) if self._check is None else self._check
        if looked_at and not torch.equal(self.lengths, other.lengths.to(self.lengths.device)):
            raise ValueError("student: expected sentences of the same lengths")
