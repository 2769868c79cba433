"""A small float network with two places for exits."""

from passes.networks import Net

from ptee_mcu.graph import Graph, Tap
from ptee_mcu.ops import AvgPool2d, Conv2d
from ptee_mcu.tensor import HW, Padding


def two_blocks(seed: int = 0) -> Graph:
    """(1, 16, 20, 3) to 4 channels, to 8 channels at half the resolution, to 5 logits; taps "early" and "late"."""
    net = Net((1, 16, 20, 3), seed)
    early = net.relu(net.norm(net.conv("x", 4, 3), 4))
    halving = Conv2d(HW(2, 2), Padding.same(1, 1))
    late = net.relu(net.norm(net.conv(early, 8, 4, halving), 8))
    pooled = net.add(AvgPool2d(HW(8, 10), HW(8, 10)), late)
    return net.graph(net.linear(pooled, 5, 8), Tap("early", early), Tap("late", late))
