"""A sequence tagger: word vectors -> BiLSTM, MLP or linear layer -> emissions -> a linear chain over the labels."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from tagdistill.crf import LinearChain
from tagdistill.models.layer_mix import LayerMix
from tagdistill.settings.base import Decoder, Settings


class TaggerSpec(Settings):
    """The shape of a tagger: with the weights, all that is needed to rebuild it."""

    inputs: int = Field(gt=0, description="size of a word vector, after the mix of layers")
    mix: tuple[int, ...] = Field((), description="hidden layers that are mixed")
    labels: tuple[str, ...]
    decoder: Decoder
    head: Literal["bilstm", "mlp", "linear"]
    hidden: int = 128
    dropout: float = 0.5
    word_dropout: float = 0.0


class LockedDropout(nn.Module):
    """Dropout with one mask for all words of a sentence (Gal and Ghahramani 2016), and of whole words."""

    def __init__(self, p: float, words: float = 0.0) -> None:
        super().__init__()
        self.p, self.words = p, words

    def forward(self, vectors: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """Return the vectors, in training with some dimensions and words set to 0."""
        if not self.training:
            return vectors
        batch, time, dim = vectors.shape
        if self.words:
            vectors = vectors * (torch.rand(batch, time, 1, device=vectors.device) >= self.words)
        if self.p:
            keep = torch.rand(batch, 1, dim, device=vectors.device) >= self.p
            vectors = vectors * keep / (1 - self.p)
        return vectors


class BiLSTM(nn.Module):
    """One LSTM layer in each direction over sentences of different lengths.

    Two LSTMs over padded sentences, one of them over the reversed sentences, are one kernel call each. Over a packed
    sequence of different lengths torch loops over small calls, at half the speed on a CPU.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.right = nn.LSTM(inputs, hidden, batch_first=True)
        self.left = nn.LSTM(inputs, hidden, batch_first=True)

    def forward(
        self, vectors: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch time hidden"]:
        """Return the states of both directions; rows past a sentence's end are undefined, and reach no other row."""
        rows = mirrored_rows(lengths.to(vectors.device, non_blocking=True), vectors.shape[1])
        left, _ = self.left(_reordered(vectors, rows))
        right, _ = self.right(vectors)
        return torch.cat([right, _reordered(left, rows)], -1)


def mirrored_rows(lengths: Int[Tensor, " batch"], time: int) -> Int[Tensor, " rows"]:
    """Return the order of the rows of (batch * time) in which every sentence is reversed.

    Padding stays where it is, after the sentence; applied twice, the order is the original one.
    """
    step = torch.arange(time, device=lengths.device)
    ends = lengths[:, None]
    within = torch.where(step < ends, ends - 1 - step, step)
    return (within + time * torch.arange(len(lengths), device=lengths.device)[:, None]).flatten()


def _reordered(values: Tensor, rows: Tensor) -> Tensor:
    return values.flatten(0, 1).index_select(0, rows).view_as(values)


class Tagger(nn.Module):
    """Scores of labels and label transitions.

    A softmax tagger is the chain without transitions, so every operation of `LinearChain` holds for it too.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: TaggerSpec) -> None:
        super().__init__()
        self.spec = spec
        # Standardisation belongs to the model: a new language changes no stored feature and no other model.
        self.register_buffer("mean", torch.zeros(spec.inputs))
        self.register_buffer("std", torch.ones(spec.inputs))
        self.mix = LayerMix(len(spec.mix)) if spec.mix else None
        self.dropout_in = LockedDropout(spec.dropout, spec.word_dropout)
        self.dropout_out = LockedDropout(spec.dropout if spec.head != "linear" else 0.0)
        self.bilstm = BiLSTM(spec.inputs, spec.hidden) if spec.head == "bilstm" else None
        self.mlp = nn.Sequential(nn.Linear(spec.inputs, spec.hidden), nn.ReLU()) if spec.head == "mlp" else None
        width = {"bilstm": 2 * spec.hidden, "mlp": spec.hidden, "linear": spec.inputs}[spec.head]
        labels = len(spec.labels)
        self.emission = nn.Linear(width, labels)
        crf = spec.decoder == "crf"
        self.transitions = nn.Parameter(torch.zeros(labels, labels), requires_grad=crf)  # [from, to]
        self.start = nn.Parameter(torch.zeros(labels), requires_grad=crf)
        self.end = nn.Parameter(torch.zeros(labels), requires_grad=crf)

    def standardise_by(self, mean: Float[Tensor, " dim"], std: Float[Tensor, " dim"]) -> None:
        """Set the mean and standard deviation by which word vectors are standardised."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(1e-6))

    def mixed(self, vectors: Float[Tensor, "*words all"]) -> Float[Tensor, "*words dim"]:
        """Return word vectors as they are standardised: of layers to mix, which stand beside one another, the mix."""
        return vectors if self.mix is None else self.mix(vectors, self.spec.inputs)

    def emissions(
        self, vectors: Float[Tensor, "batch time all"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch time label"]:
        """Return the score of each label of each word; rows past a sentence's end are undefined."""
        states = self.dropout_in((self.mixed(vectors) - self.mean) / self.std)
        if self.bilstm is not None:
            states = self.bilstm(states, lengths)
        if self.mlp is not None:
            states = self.mlp(states)
        scores: Tensor = self.emission(self.dropout_out(states))
        return scores

    def forward(self, vectors: Float[Tensor, "batch time all"], lengths: Int[Tensor, " batch"]) -> LinearChain:
        """Return the distribution over the label sequences of each sentence."""
        emissions = self.emissions(vectors, lengths).float()
        lengths = lengths.to(vectors.device, non_blocking=True)
        return LinearChain(emissions, self.transitions, lengths, start=self.start, end=self.end)


def constrain(chain: LinearChain, labels: tuple[str, ...]) -> LinearChain:
    """Return the chain with every ill-formed BIOES sequence ruled out, for `decode: constrained`."""
    from tagdistill.data.transitions import FORBIDDEN, allowed_transitions

    start, transitions, end = (
        torch.where(torch.as_tensor(allowed), 0.0, FORBIDDEN).to(chain.emissions)
        for allowed in allowed_transitions(labels)
    )
    return LinearChain(
        chain.emissions,
        chain.transitions + transitions,
        chain.lengths,
        start=start if chain.start is None else chain.start + start,
        end=end if chain.end is None else chain.end + end,
    )
