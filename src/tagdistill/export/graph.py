"""ONNX graphs, written node by node.

PyTorch's own exporters fix the number of words of a BiLSTM in the graph, or trace an encoder's masks wrongly; and the
same weights would not always give the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tagdistill.errors import ConfigError
from tagdistill.tagger.batches import INPUTS, OUTPUT

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto
    from torch import Tensor

RUNTIME = "com.microsoft"  # operations of ONNX Runtime's own
OPSET, IR = 20, 9  # Gelu is an operation since opset 20
MAX_BYTES = 2**31 - 2**24  # of constants: Protocol Buffers end at 2 GiB
TYPES = {np.dtype("int64"): TensorProto.INT64, np.dtype("bool"): TensorProto.BOOL}


class Graph:
    """A graph that grows by one operation at a time; values go by the names that `op` and `constant` return."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def op(self, kind: str, *inputs: str, outputs: int = 0, **attributes: Any) -> Any:
        """Add an operation and return the name of its output, or with `outputs` the names of so many."""
        names = [f"{kind}_{len(self.nodes)}_{number}" for number in range(outputs or 1)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names if outputs else names[0]

    def constant(self, values: Any, dtype: Any = np.float32, name: str = "") -> str:
        """Return the name of a constant; equal ones that have no name of their own are stored once."""
        array = np.ascontiguousarray(values, dtype=dtype)
        key = name or f"constant_{array.dtype}_{array.shape}_{array.ravel().tolist()}"
        self.constants.setdefault(key, array)
        return key

    def shape_of(self, value: str, *axes: int) -> str:
        """Return some sizes of a value, as a vector."""
        return str(self.op("Gather", self.op("Shape", value), self.constant(axes, np.int64)))

    def reshape(self, value: str, *sizes: int) -> str:
        """Return a value in another shape: 0 keeps the size at that place, -1 is what is left."""
        return str(self.op("Reshape", value, self.constant(sizes, np.int64)))

    def linear(self, value: str, weight: Tensor, bias: Tensor, name: str) -> str:
        """Return a linear layer of a value; `weight` is (out, in), as in PyTorch."""
        moved = self.op("MatMul", value, self.constant(array_of(weight).T, name=f"{name}.weight"))
        return str(self.op("Add", moved, self.constant(array_of(bias), name=f"{name}.bias")))

    def end(self, output: str) -> None:
        """Make a value the graph's output."""
        self.nodes.append(helper.make_node("Identity", [output], [OUTPUT.name]))

    def changed(self, nodes: list[NodeProto], constants: dict[str, NDArray[Any]]) -> Graph:
        """Return a graph with other operations and constants; arrays are not copied."""
        graph = Graph()
        graph.nodes, graph.constants = nodes, constants
        return graph

    def model(self) -> ModelProto:
        """Return the graph as ONNX. Raises ConfigError where it is too large for a file of that format."""
        size = sum(array.nbytes for array in self.constants.values())
        if size > MAX_BYTES:
            what = f"a graph of {size / 1e9:.1f} GB: a file of ONNX holds at most 2"
            raise ConfigError(what, where="export.formats", hint="Use fp16 or int8, or `vocabulary: used`.")
        inputs = [helper.make_tensor_value_info(x.name, TYPES[np.dtype(x.dtype)], list(x.axes)) for x in INPUTS]
        result = helper.make_tensor_value_info(OUTPUT.name, TensorProto.FLOAT, list(OUTPUT.axes))
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, "tagger", inputs, [result], constants)
        domains = {"": OPSET} | {node.domain: 1 for node in self.nodes if node.domain}
        opsets = [helper.make_opsetid(*domain) for domain in domains.items()]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="tagdistill")


def array_of(tensor: Tensor) -> Any:
    """Return a tensor as a float32 array."""
    return tensor.detach().float().cpu().numpy()
