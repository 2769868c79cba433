"""Small networks of awkward shapes: what lies over what, what reads what, and what is barely a network."""

from collections.abc import Callable

from support.builder import ONE, Builder

from ptee_mcu.quant_graph import QConfidence, QExit, QuantGraph
from ptee_mcu.tensor import HW, Padding

_SAME = Padding.same(1, 1)


def shrinking() -> QuantGraph:
    """Odd channels, strides and dilation; outputs start a few bytes before their inputs."""
    b = Builder((1, 13, 11, 5), seed=1)
    x = b.conv("input", 5, HW(3, 3), stride=HW(2, 2), padding=Padding(1, 0, 1, 1))
    x = b.conv(x, 3, HW(5, 3), padding=Padding(4, 2, 4, 2), dilation=HW(2, 2))
    x = b.depthwise(x, HW(3, 2), padding=Padding(1, 1, 1, 0), stride=HW(1, 2))
    b.exit("final", b.max_pool(x, HW(2, 3), HW(1, 2), padding=Padding(0, 1, 0, 1)), final=True)
    return b.graph()


def growing() -> QuantGraph:
    """Outputs larger than their inputs, and smaller ones over larger."""
    b = Builder((1, 9, 7, 3), seed=2)
    x = b.depthwise(b.conv("input", 7, padding=_SAME), multiplier=3, padding=_SAME)
    x = b.conv(b.conv(x, 2, HW(3, 1), padding=Padding(1, 0, 1, 0)), 9, HW(2, 2), padding=Padding(1, 1, 1, 1))
    b.exit("final", x, final=True)
    return b.graph()


def one_row() -> QuantGraph:
    """Kernels of one row on an image of one row, one of them dilated."""
    b = Builder((1, 1, 24, 4), seed=3)
    x = b.conv("input", 4, HW(1, 5), padding=Padding(0, 2, 0, 2))
    x = b.conv(x, 3, HW(1, 4), padding=Padding(0, 1, 0, 2))
    x = b.conv(x, 8, HW(1, 3), dilation=HW(1, 2), padding=Padding(0, 2, 0, 2))
    b.exit("final", b.avg_pool(x, HW(1, 3), HW(1, 2), padding=Padding(0, 1, 0, 1)), final=True)
    return b.graph()


def overwritten_behind_a_head() -> QuantGraph:
    """A head reads what the trunk then overwrites in place; another reads an early tensor late."""
    b = Builder((1, 8, 8, 3), seed=4)
    x = b.conv("input", 6, padding=_SAME)
    y = b.conv(x, 6, padding=_SAME)
    b.exit("one", x)
    y = b.add(y, x)
    b.exit("two", y)
    z = b.conv(b.add(y, y), 6, padding=_SAME)
    b.exit("final", b.avg_pool(z, HW(8, 8), ONE), final=True)
    return b.graph(thresholds=(0, 0))


def logits_go_on() -> QuantGraph:
    """Logits of exits are what the next segments read, the last time as a term of the final logits."""
    b = Builder((1, 6, 6, 2), seed=5)
    x = "input"
    for name in ("one", "two"):
        x = b.linear(x, 4, name=f"{name}.logits")
        b.exits.append(QExit(name, x, QConfidence(b.linear(x, 1, name=f"{name}.confidence"))))
    b.exits.append(QExit("final", b.add(x, b.exits[0].logits), None))
    return b.graph(thresholds=(0, 0))


def twice() -> QuantGraph:
    """One tensor more than once in a sum and in concatenations."""
    b = Builder((1, 5, 5, 3), seed=6)
    x = b.add("input", "input")
    y = b.concat(x, x)
    z = b.conv(b.concat(y, x, y), 4, padding=_SAME)
    b.exit("final", b.concat(z, z, z), final=True)
    return b.graph()


def exits_on_the_input() -> QuantGraph:
    """Every exit reads the input itself: there is no trunk."""
    b = Builder((1, 5, 5, 3), seed=7)
    b.exit("one", "input")
    b.exit("two", "input")
    b.exit("final", "input", final=True)
    return b.graph(thresholds=(0, 0))


def single_op() -> QuantGraph:
    """One layer, of one vector, with one class."""
    b = Builder((1, 7), seed=8)
    b.exit("final", "input", 1, final=True)
    return b.graph()


def no_constants() -> QuantGraph:
    """Nothing to place."""
    b = Builder((1, 6, 6, 4), seed=9)
    x = b.max_pool(b.add("input", "input"), HW(2, 2), HW(2, 2))
    b.exits.append(QExit("final", b.avg_pool(x, HW(3, 3), ONE), None))
    return b.graph()


def cascade() -> QuantGraph:
    """A head that adds the logits of the head before it: that one runs where only the later exit may fire."""
    b = Builder((1, 8, 8, 3), seed=12)
    x = b.conv("input", 4, padding=_SAME)
    b.exit("one", x)
    x = b.conv(x, 4, padding=_SAME)
    logits = b.add(b.linear(b.avg_pool(x, HW(8, 8), ONE), 4), b.exits[0].logits)
    b.exits.append(QExit("two", logits, QConfidence(b.linear(logits, 1))))
    b.exit("final", b.conv(x, 2), final=True)
    return b.graph(thresholds=(128, 0))


def rearranged() -> QuantGraph:
    """Slices and padding, each over the one before."""
    b = Builder((1, 8, 8, 6), seed=11)
    x = b.slice("input", (1, 7, 7, 5), start=HW(1, 1), channel_start=1)
    x = b.pad(b.slice(x, (1, 4, 4, 5), step=HW(2, 2)), Padding(1, 0, 0, 1), 1, 1)
    b.exit("final", b.max_pool(x, ONE, ONE, act=(-20, 60)), final=True)
    return b.graph()


SHAPES: dict[str, Callable[[], QuantGraph]] = {
    shape.__name__: shape
    for shape in (
        shrinking, growing, one_row, overwritten_behind_a_head, logits_go_on, twice, exits_on_the_input, single_op,
        no_constants, cascade, rearranged,
    )
}  # fmt: skip


def many_exits(exits: int) -> QuantGraph:
    """A layer and a head per exit."""
    b = Builder((1, 3, 3, 2), seed=1)
    x = "input"
    for i in range(exits - 1):
        x = b.conv(x, 2, ONE, name=f"trunk{i}")
        b.exit(f"exit{i}", x, 2)
    b.exit("final", x, 2, final=True)
    return b.graph("many")
