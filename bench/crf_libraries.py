"""Rows of `crf_peers.py`: the linear-chain CRFs of other PyTorch libraries, each as its user would call it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from crf_problem import AutogradProvider, Provider, Result
from original import Original, StartStop
from peer_files import flair_module, supar_module
from torch import Tensor


def pytorch_crf() -> type[Provider]:
    torchcrf = importlib.import_module("torchcrf")

    class PytorchCrf(AutogradProvider):
        name = "pytorch-crf"

        def build(self) -> None:
            self.crf = torchcrf.CRF(self.p.L, batch_first=True)
            for name, value in zip(("transitions", "start_transitions", "end_transitions"), self.leaf[1:], strict=True):
                setattr(self.crf, name, torch.nn.Parameter(value.detach()))
            self.leaf[1:] = [self.crf.transitions, self.crf.start_transitions, self.crf.end_transitions]

        def log_z(self) -> Tensor:
            return self.crf._compute_normalizer(self.leaf[0].transpose(0, 1), self.p.mask.t())

        def nll(self) -> Result:
            loss = -self.crf(self.leaf[0], self.p.tags, mask=self.p.mask, reduction="sum")
            return self.gradients(loss / self.p.B)

        def viterbi(self) -> list[list[int]]:
            with torch.no_grad():
                return self.crf.decode(self.leaf[0], mask=self.p.mask)

    return PytorchCrf


def torch_crf() -> type[Provider]:
    module = importlib.import_module("TorchCRF")

    class TorchCrf(AutogradProvider):
        name = "TorchCRF"

        def build(self) -> None:
            self.crf = module.CRF(self.p.L, use_gpu=False)
            values = (torch.nn.Parameter(value.detach()) for value in self.leaf[1:])
            self.crf.trans_matrix, self.crf.start_trans, self.crf.end_trans = values
            self.leaf[1:] = [self.crf.trans_matrix, self.crf.start_trans, self.crf.end_trans]

        def log_z(self) -> Tensor:
            return self.crf._compute_denominator_log_likelihood(self.leaf[0], self.p.mask)

        def nll(self) -> Result:
            return self.gradients(-self.crf(self.leaf[0], self.p.tags, self.p.mask).sum() / self.p.B)

        def viterbi(self) -> list[list[int]]:
            with torch.no_grad():
                return self.crf.viterbi_decode(self.leaf[0], self.p.mask)

    return TorchCrf


def linear_crf_torch() -> type[Provider]:
    linear_crf = importlib.import_module("linear_crf")

    class LinearCrfTorch(AutogradProvider):
        """Its log Z has no function of its own: only the loss and the best paths can be asked for."""

        name = "linear-crf-torch"

        def build(self) -> None:
            self.crf = linear_crf.LinearCRF(self.p.L, batch_first=True)
            for name, value in zip(("transitions", "starts", "ends"), self.leaf[1:], strict=True):
                setattr(self.crf, name, torch.nn.Parameter(value.detach()))
            self.leaf[1:] = [self.crf.transitions, self.crf.starts, self.crf.ends]

        def skips(self, operation: str) -> str:
            return "" if operation in ("nll", "viterbi") else "not offered"

        def nll(self) -> Result:
            mean = self.crf(self.leaf[0], self.p.tags, self.p.mask)  # over tokens
            return self.gradients(mean * (self.p.tokens / self.p.B))

        def viterbi(self) -> list[list[int]]:
            return self.crf.decode(self.leaf[0], self.p.mask)

    return LinearCrfTorch


def bi_lstm_crf() -> type[Provider]:
    library = importlib.import_module("bi_lstm_crf")

    class BiLstmCrf(StartStop):
        """Its layer from features to scores is left out, as the inputs here are scores."""

        name = "bi-lstm-crf"

        def build(self) -> None:
            super().build()
            self.crf = library.CRF(1, self.p.L)
            self.crf.fc, self.crf.transitions = torch.nn.Identity(), self.matrix

        def log_z(self) -> Tensor:
            return self.crf._CRF__forward_algorithm(self.scores, self.p.mask.float())

        def score(self, paths: Tensor) -> Tensor:
            scores, mask = (x.repeat_interleave(paths.shape[1], 0) for x in (self.scores, self.p.mask.float()))
            return self.crf._CRF__score_sentence(scores, paths.flatten(0, 1), mask).view(paths.shape[:2])

        def nll(self) -> Result:
            return self.gradients(self.crf.loss(self.scores, self.p.tags, self.p.mask))

        def viterbi(self) -> list[list[int]]:
            with torch.no_grad():
                return self.crf(self.scores, self.p.mask)[1]

    return BiLstmCrf


def torch_struct() -> type[Provider]:
    library = importlib.import_module("torch_struct")

    class TorchStruct(AutogradProvider):
        """Scores are pairs (batch, time - 1, to, from): every sentence needs two tokens."""

        name = "torch-struct"

        def skips(self, operation: str) -> str:
            cells = self.p.B * self.p.T * self.p.L**3  # of its tree's first level
            return "" if cells < 1e8 else "too slow"

        def chain(self) -> Any:
            emissions, transitions, start, end = self.leaf
            problem = self.p
            pairs = transitions.t() + emissions[:, 1:, :, None]
            first = torch.nn.functional.pad((emissions[:, 0] + start)[:, None, None], (0, 0, 0, 0, 0, problem.T - 2))
            last = torch.nn.functional.one_hot(problem.lengths - 2, problem.T - 1).to(emissions)
            pairs = pairs + first + last[:, :, None, None] * end[:, None]
            return library.LinearChainCRF(pairs, lengths=problem.lengths)

        def labels_of(self, pairs: Tensor) -> Tensor:
            return torch.cat([pairs[:, :1].sum(-2), pairs.sum(-1)], 1)

        def log_z(self) -> Tensor:
            return self.chain().partition

        def marginals(self, *, graph: bool = False) -> Tensor:
            found = self.labels_of(self.chain().marginals)
            return found if graph else found.detach()

        def viterbi(self) -> Tensor:
            return self.labels_of(self.chain().argmax.detach()).argmax(-1)

    return TorchStruct


def supar() -> type[Provider]:
    library = supar_module("structs.linearchain")

    class Supar(AutogradProvider):
        name = "supar"

        def chain(self) -> Any:
            emissions, transitions, start, end = self.leaf
            above = torch.cat([transitions, end[:, None]], 1)
            below = torch.cat([start, start.new_zeros(1)])[None]
            return library.LinearChainCRF(emissions, torch.cat([above, below]), self.p.lengths)

        def log_z(self) -> Tensor:
            return self.chain().log_partition

        def viterbi(self) -> Tensor:
            return self.chain().argmax

    return Supar


def flair() -> type[Provider]:
    crf, viterbi = (flair_module(f"models.sequence_tagger_utils.{name}") for name in ("crf", "viterbi"))

    class Labels:
        """What flair's CRF asks of a dictionary of labels."""

        def __init__(self, labels: int) -> None:
            self.labels = labels

        def __len__(self) -> int:
            return self.labels + 2

        def get_idx_for_item(self, item: str) -> int:
            return {crf.START_TAG: self.labels, crf.STOP_TAG: self.labels + 1}[item]

        def get_item_for_index(self, index: int) -> int:
            return int(index)

    class Flair(StartStop):
        name = "flair"

        def build(self) -> None:
            super().build()
            known = Labels(self.p.L)
            self.crf = crf.CRF(known, self.labels, False)
            self.crf.transitions = self.matrix
            self.loss, self.decoder = viterbi.ViterbiLoss(known), viterbi.ViterbiDecoder(known)
            self.flat = self.p.tags[self.p.mask]

        def skips(self, operation: str) -> str:
            return "" if operation in ("nll", "viterbi") else "not offered"

        def scored(self) -> tuple[Tensor, Tensor, Tensor]:
            return self.crf(self.scores), self.p.lengths, self.crf.transitions

        def nll(self) -> Result:
            return self.gradients(self.loss(self.scored(), self.flat) / self.p.B)

        def viterbi(self) -> list[list[int]]:
            with torch.no_grad():
                tags, _ = self.decoder.decode(self.scored(), False, [])
                return [[label for label, _ in sentence] for sentence in tags]

    return Flair


LIBRARIES: dict[str, Callable[[], type[Provider]]] = {
    "pytorch-crf": pytorch_crf,
    "TorchCRF": torch_crf,
    "linear-crf-torch": linear_crf_torch,
    "bi-lstm-crf": bi_lstm_crf,
    "torch-struct": torch_struct,
    "supar": supar,
    "flair": flair,
    "original": lambda: Original,
}
