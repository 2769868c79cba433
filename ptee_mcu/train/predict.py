"""Labels of a float graph over many inputs, by torch."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from ptee_mcu.graph import Graph
from ptee_mcu.tensor import Float
from ptee_mcu.train.module import GraphModule

_BATCH = 100


def predict(
    graph: Graph, x: Callable[[int, int], Float], count: int, progress: Callable[[int, int], None]
) -> npt.NDArray[np.int64]:
    """Label of the final exit for inputs 0 .. `count` - 1; `x(start, stop)` gives a batch of them."""
    logits = graph.exits[-1].logits
    module = GraphModule(graph, [logits]).eval()
    labels = []
    with torch.inference_mode():
        for start in range(0, count, _BATCH):
            stop = min(start + _BATCH, count)
            answer = module(torch.from_numpy(x(start, stop)))[logits]
            labels.append(answer.reshape(stop - start, -1).argmax(dim=1).numpy())
            progress(stop, count)
    return np.concatenate(labels)
