"""A network of three early exits, the last two cascading, with three operating points that share inputs differently."""

from dataclasses import replace

import numpy as np
from support.builder import Builder

from ptee_mcu.quant_graph import NEVER, OperatingPoint, QConfidence, QExit, QuantGraph
from ptee_mcu.tensor import HW, Int8, Padding

ONE = HW(1, 1)
CODES: Int8 = np.random.default_rng(21).integers(-128, 128, (70, 6, 6, 2)).astype(np.int8)


def switched_network(name: str = "switched") -> QuantGraph:
    """Exits a, b, c (whose logits add those of b) and the final one; point 2 never lets a and b fire."""
    b = Builder((1, 6, 6, 2), seed=4)
    x = b.conv("input", 4, padding=Padding.same(1, 1), name="one")
    b.exit("a", b.avg_pool(x, HW(3, 3), HW(3, 3), name="a.pool"))
    x = b.conv(x, 6, stride=HW(2, 2), padding=Padding.same(1, 1), name="two")
    b.exit("b", x)
    x = b.conv(x, 6, padding=Padding.same(1, 1), name="three")
    logits = b.add(b.linear(x, 4, name="c.linear"), b.exits[1].logits, name="c.logits")
    b.exits.append(QExit("c", logits, QConfidence(b.linear(x, 1, name="c.confidence"))))
    b.exit("final", b.conv(x, 4, ONE, name="four"), final=True)
    points = (
        OperatingPoint("1 %", (40, 30, 20), asked=0.01, measured=0.008),
        OperatingPoint("3 %", (10, 5, 0), (1.0, 0.5, 0.25, 0.125), 0.03, 0.02),
        OperatingPoint("10 %", (NEVER, NEVER, -10), asked=0.1),
    )
    return replace(b.graph(name, (0, 0, 0)), points=points, default=1)
