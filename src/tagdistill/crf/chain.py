"""A linear-chain CRF over label sequences, as a distribution object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tagdistill.crf import autograd as functions
from tagdistill.crf.kernels.base import ForwardBackward
from tagdistill.crf.kernels.dispatch import argmax, forward_backward, k_best, log_partition, paths_of
from tagdistill.crf.paths import PathCounts
from tagdistill.crf.potentials import pad_time, prepare
from tagdistill.crf.shapes import Bool, Float, Int


@dataclass(frozen=True)
class TopK:
    """The best paths of each sentence, best first. A sentence of n tokens has only labels^n of them."""

    labels: Int[Tensor, "batch k time"]  # 0 in padding and in empty slots
    log_prob: Float[Tensor, "batch k"]  # -inf in empty slots
    count: Int[Tensor, " batch"]  # slots that hold a path

    @property
    def weights(self) -> Float[Tensor, "batch k"]:
        """Probabilities renormalised over the paths found (Wang et al. 2020, eq. 9); 0 in empty slots."""
        return self.log_prob.to(torch.float64).softmax(1).to(self.log_prob.dtype)


class LinearChain:
    """`p(y) = exp(start[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_(t-1), y_t] + end[y_n]) / Z`.

    One forward-backward pass serves everything that is asked of an object; it runs when first needed. State is
    float64, results have the dtype of `emissions`, indices are int64. What stands in padding (emissions, labels,
    targets) reaches no result; results are 0 there. Gradients flow to emissions, transitions, start and end, and are
    analytic: a second derivative (create_graph=True) raises RuntimeError.

    emissions: (batch, time, label) log scores, any finite size. transitions: (label, label), [from, to]; finite, so
    write -1e4 for "forbidden". lengths: (batch,), 1 to time. start, end: (label,), 0 if absent. Raises ValueError for
    wrong shapes and dtypes; with `check` also for wrong lengths and values that are not finite. check: look at the
    values; on by default on a CPU and off on a GPU, where it costs one transfer. On a CPU, and on a GPU without Triton,
    it also allows the fast kernel, which needs to know how far the scores spread.
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
        self._potentials = prepare(emissions, transitions, lengths, start, end, check=check)
        self.dtype, self.time, self.num_labels = emissions.dtype, emissions.shape[1], emissions.shape[2]

    @cached_property
    def _pass(self) -> ForwardBackward:
        return forward_backward(self._potentials)

    @property
    def _graph(self) -> tuple[Tensor, Tensor]:
        return self._potentials.scores, self._potentials.transitions

    @property
    def lengths(self) -> Int[Tensor, " batch"]:
        """(batch,) on the device of emissions."""
        return self._potentials.layout.lengths

    @property
    def mask(self) -> Bool[Tensor, "batch time"]:
        """(batch, time) bool: true on words, false past a sentence's end."""
        return torch.arange(self.time, device=self.lengths.device) < self.lengths[:, None]

    @property
    def emissions(self) -> Float[Tensor, "batch time label"]:
        """The scores as they were given."""
        return self._inputs[0]

    @property
    def transitions(self) -> Float[Tensor, "label label"]:
        """[from, to], as they were given."""
        return self._inputs[1]

    @property
    def start(self) -> Float[Tensor, " label"] | None:
        return self._inputs[3]

    @property
    def end(self) -> Float[Tensor, " label"] | None:
        return self._inputs[4]

    def tempered(self, temperature: float) -> LinearChain:
        """Return the chain of all scores divided by `temperature` ("global": not the temperature of the losses)."""
        emissions, transitions, lengths, *ends = self._inputs
        start, end = (None if v is None else v / temperature for v in ends)
        return LinearChain(emissions / temperature, transitions / temperature, lengths, start, end, check=self._check)

    # -- the distribution

    @property
    def log_partition(self) -> Float[Tensor, " batch"]:
        """log Z (batch,)."""
        if self._potentials.need_gradient:
            return functions.LogPartition.apply(*self._graph, self._pass).to(self.dtype)
        return self._log_partition.to(self.dtype, copy=True)

    @cached_property
    def _log_partition(self) -> Tensor:
        """log Z in float64, without a graph."""
        return self._pass.log_partition if "_pass" in self.__dict__ else log_partition(self._potentials)

    @property
    def marginals(self) -> Float[Tensor, "batch time label"]:
        """`q_t(j) = p(y_t = j)` (batch, time, label), 0 past the end (Wang et al. 2020, eq. 10)."""
        if self._potentials.need_gradient:
            return self._out(self._marginals)
        return pad_time(self._pass.marginals_in(self.dtype), self.time)

    @property
    def log_marginals(self) -> Float[Tensor, "batch time label"]:
        """`log q_t(j)` (batch, time, label), 0 past the end. Finite without a floor: exact where q underflows."""
        if self._potentials.need_gradient:
            return self._out(functions.LogMarginals.apply(*self._graph, self._pass))
        return self._out(self._pass.log_marginals)

    @property
    def transition_marginals(self) -> Float[Tensor, "batch label label"]:
        """Expected transition counts (batch, from, to): `p(y_t = i, y_(t+1) = j)` summed over t."""
        return self._edges.to(self.dtype, copy=True)

    @property
    def _marginals(self) -> Tensor:
        graph = self._potentials.need_gradient
        return functions.Marginals.apply(*self._graph, self._pass) if graph else self._pass.marginals

    @property
    def _edges(self) -> Tensor:
        graph = self._potentials.need_gradient
        return functions.Edges.apply(*self._graph, self._pass) if graph else self._pass.edges

    def entropy(self) -> Float[Tensor, " batch"]:
        """`-sum_y p(y) log p(y)` (batch,) in nats."""
        return self.cross_entropy(self)

    # -- log-probabilities of paths

    def log_prob(self, labels: Int[Tensor, "batch time"]) -> Float[Tensor, " batch"]:
        """Return `log p(labels)` (batch,). Padding labels may be anything, -100 too."""
        return self.log_prob_of_paths(labels[:, None])[:, 0]

    def log_prob_of_paths(self, labels: Int[Tensor, "batch k time"]) -> Float[Tensor, "batch k"]:
        """Return `log p` (batch, k) of several paths a sentence, for top-k and top-wk: one log Z serves all of them."""
        path = paths_of(self._potentials, labels)
        if self._potentials.need_gradient:
            return functions.PathLogProb.apply(*self._graph, path, self._pass).to(self.dtype)
        return (path.score(*self._graph) - self._log_partition[:, None]).to(self.dtype)

    def expected_log_prob(self, counts: PathCounts) -> Float[Tensor, " batch"]:
        """Return `sum_y w(y) log p(y)` (batch,) from the expected counts of weights w that sum to 1 in each sentence.

        Gold, top-k and top-wk targets (`count`) and whole distributions (`counts`) share this form.
        """
        unary = self._in(counts.unary)
        edges = counts.transitions.to(unary)
        return functions.ExpectedLogProb.apply(*self._graph, unary, edges, self._pass).to(self.dtype)

    @property
    def counts(self) -> PathCounts:
        """Expected counts of the whole distribution: marginals and transition marginals."""
        return PathCounts(self.marginals, self.transition_marginals)

    # -- best paths

    @property
    def argmax(self) -> Int[Tensor, "batch time"]:
        """Best labels (batch, time), 0 past the end. Ties go to the lowest label, decided from the last token back."""
        return self._argmax.clone()

    @cached_property
    def _argmax(self) -> Tensor:
        return self._labels_out(argmax(self._potentials))

    def top_k(self, k: int) -> TopK:
        """Return the k best paths, exact and distinct, without a gradient. The first is `argmax`.

        Where a sentence has fewer than k paths the last slots are labels 0 with log_prob -inf. Ties beyond the first
        path are in no order. Raises ValueError for k < 1.
        """
        if k < 1:
            raise ValueError(f"k: expected 1 or more, found {k}")
        labels, score = k_best(self._potentials, k)
        with torch.no_grad():
            filled = score > -torch.inf
            path = paths_of(self._potentials, labels)
            exact = path.score(*self._graph) - self._log_partition[:, None]
            log_prob = exact.masked_fill(~filled, -torch.inf).to(self.dtype)
        return TopK(self._labels_out(labels), log_prob, filled.sum(1))

    # -- comparisons with another chain over the same sentences

    def cross_entropy(self, student: LinearChain) -> Float[Tensor, " batch"]:
        """Return `H(self, student) = -sum_y p(y) log p_student(y)` (batch,), exact over all paths.

        It is log Z of the student minus its scores under the expected counts of `self` (Wang et al. 2021, case 1a),
        in the student's dtype. Gradients flow to both chains; build `self` from detached tensors to hold it fixed.
        """
        self._check_fits(student)
        found = functions.ExpectedLogProb.apply(*student._graph, self._marginals, self._edges, student._pass)
        return -found.to(student.dtype)

    def kl(self, student: LinearChain) -> Float[Tensor, " batch"]:
        """Return `KL(self || student)` (batch,) over all paths, in the student's dtype."""
        return self.cross_entropy(student) - self.entropy().to(student.dtype)

    def posterior_cross_entropy(
        self, log_target: Float[Tensor, "batch time label"], temperature: float = 1.0
    ) -> Float[Tensor, " batch"]:
        """Return `-T^2 sum_t sum_j p_t(j) log q_t(j)` (batch,), a sum over tokens (Wang et al. 2020, eq. 13).

        p is softmax(log_target / T), q the chain's marginals to the power 1/T, normalised in each token ("local"
        temperature); the factor T^2 is included. log_target: a teacher's log-marginals (or any logits), -inf allowed.
        It is held constant: no gradient flows to it.
        """
        if not temperature > 0:
            raise ValueError(f"temperature: expected more than 0, found {temperature}")
        if log_target.shape != (len(self.lengths), self.time, self.num_labels):
            wanted = (len(self.lengths), self.time, self.num_labels)
            raise ValueError(f"log_target: expected {wanted}, found {tuple(log_target.shape)}")
        log_target = log_target.detach().to(self.lengths.device)
        return functions.PosteriorCrossEntropy.apply(*self._graph, log_target, temperature, self._pass).to(self.dtype)

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
