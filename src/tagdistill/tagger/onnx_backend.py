"""Emissions by ONNX Runtime, from an exported graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.errors import DataError, TagdistillError
from tagdistill.tagger.backend import unpadded
from tagdistill.tagger.batches import graph_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from tagdistill.encoders.pieces import Pieces

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
ERRORS_ONLY = 3  # ONNX Runtime's level of messages


class OnnxBackend:
    """An open graph, on a device."""

    def __init__(self, file: Path, pooling: str, *, device: str = "cpu", threads: int | None = None) -> None:
        """Open a graph. Raises TagdistillError where it cannot be read, or this ONNX Runtime has no such device."""
        import onnxruntime

        if PROVIDERS[device] not in onnxruntime.get_available_providers():
            hint = "Use device='cpu', or install onnxruntime-gpu."
            raise TagdistillError(f"this ONNX Runtime has no {device}", where="device", hint=hint)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = ERRORS_ONLY
        try:
            self.session = onnxruntime.InferenceSession(str(file), options, providers=[PROVIDERS[device]])
        except Exception as error:  # its types share no base of their own
            raise DataError(f"ONNX Runtime cannot open it: {error}", where=str(file)) from error
        self.pooling = pooling

    def emissions(self, pieces: Pieces, sentences: Sequence[int]) -> list[NDArray[np.float32]]:
        """Return the emissions (word, label) of some sentences."""
        (found,) = self.session.run(None, graph_inputs(pieces, sentences, self.pooling))
        return unpadded(found, pieces, sentences)
