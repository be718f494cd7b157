"""Exact inference and distillation losses for linear-chain CRFs, batched, in PyTorch."""

from tagdistill.crf.chain import LinearChain, TopK
from tagdistill.crf.paths import PathCounts, count

__all__ = ["LinearChain", "PathCounts", "TopK", "count"]
