"""Emissions by ONNX Runtime, from an exported graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagdistill.errors import DataError, TagdistillError
from tagdistill.tagger.backend import CPU, unpadded
from tagdistill.tagger.batches import graph_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from tagdistill.encoders.pieces import Pieces

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
ERRORS_ONLY = 3  # ONNX Runtime's level of messages


def usable(device: str) -> str:
    """Return cpu or cuda for a device of `load.DEVICES`. Raises TagdistillError if this ONNX Runtime has no cuda."""
    import onnxruntime

    there = PROVIDERS["cuda"] in onnxruntime.get_available_providers()
    if device == "cuda" and not there:
        hint = f"Use {CPU}, or install onnxruntime-gpu."
        raise TagdistillError("this ONNX Runtime has no cuda", where="device", hint=hint)
    return "cuda" if there and device != "cpu" else "cpu"


class OnnxBackend:
    """An open graph, on a device."""

    def __init__(self, file: Path, pooling: str, *, device: str = "cpu", threads: int | None = None) -> None:
        """Open a graph; `device` is a `usable` one. Raises DataError where it cannot be read."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = ERRORS_ONLY
        try:
            self.session = onnxruntime.InferenceSession(str(file), options, providers=[PROVIDERS[device]])
        except Exception as error:  # its types share no base of their own
            raise DataError(f"ONNX Runtime cannot open it: {error}", where=str(file)) from error
        self.pooling = pooling

    def emissions(
        self,
        pieces: Pieces,
        words: Sequence[Sequence[str]],  # noqa: ARG002 (graphs read pieces only)
        sentences: Sequence[int],
    ) -> list[NDArray[np.float32]]:
        """Return the emissions (word, label) of some sentences."""
        (found,) = self.session.run(None, graph_inputs(pieces, sentences, self.pooling))
        return unpadded(found, pieces, sentences)
