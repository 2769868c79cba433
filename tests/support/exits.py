"""A residual network of the shape of ResNet-8 (three stages of one block) with two early exits, for 16x16 images."""

from support.builder import Builder

from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Padding

_ONE, _TWO, _THREE = HW(1, 1), HW(2, 2), HW(3, 3)
_SAME = Padding.same(1, 1)


def residual_network(name: str = "residual") -> QuantGraph:
    b = Builder((1, 16, 16, 3), seed=8)
    x = b.conv("input", 8, _THREE, padding=_SAME, act=(2, 127), name="stem")
    for i, channels in enumerate((8, 16, 32)):
        stride = _ONE if i == 0 else _TWO
        y = b.conv(x, channels, _THREE, stride=stride, padding=_SAME, act=(2, 127), name=f"block{i}.one")
        y = b.conv(y, channels, _THREE, padding=_SAME, name=f"block{i}.two")
        skip = x if i == 0 else b.conv(x, channels, _ONE, stride=stride, name=f"block{i}.skip")
        x = b.add(y, skip, name=f"block{i}.add")
        side = b.shape(x)[1]
        pooled = b.avg_pool(x, HW(side // 2, side // 2), HW(side // 2, side // 2), name=f"pool{i}")
        b.exit(f"exit{i}", pooled, 10, final=i == 2)
    return b.graph(name, (0, 0))
