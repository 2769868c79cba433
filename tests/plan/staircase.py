"""Plans in which every output that may lie over an input does, exactly as close to it as its kernel permits."""

from dataclasses import replace
from types import MappingProxyType

from support.builder import Builder

from ptee_mcu.plan.buffers import aligned
from ptee_mcu.plan.lifetimes import tensor_lifetimes, tensor_overlaps
from ptee_mcu.plan.plan import Plan, Slot
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Padding

SAME = Padding.same(1, 1)
TWO = HW(2, 2)


def staircase(plan: Plan, closer: int = 0) -> Plan:
    """`plan` with chains of tensors, each `closer` bytes nearer to what it lies over than is permitted, if it can be.

    Chains lie one above the other, the scratch of all steps above them.
    """
    lifetimes = tensor_lifetimes(plan.graph, plan.steps)
    overlaps = tensor_overlaps(plan.graph, plan.steps, lifetimes, plan.target.isa)
    over = {output: (source, distance) for (output, source), distance in reversed(overlaps.items())}
    taken: set[str] = set()
    chain: dict[str, tuple[str, int]] = {name: (name, 0) for name in lifetimes}  # root and offset from it
    for step in plan.steps:
        source, distance = over.get(step.node.output, ("", 0))
        if source and source not in taken:
            taken.add(source)
            root, offset = chain[source]
            chain[step.node.output] = (root, offset - aligned(max(0, distance - closer)))
    slots: dict[str, Slot] = {}
    top = 0
    for root in dict.fromkeys(root for root, _ in chain.values()):
        members = {name: offset for name, (of, offset) in chain.items() if of == root}
        low = min(members.values())
        for name, offset in members.items():
            live = lifetimes[name]
            slots[name] = Slot(top + offset - low, live.nbytes, live.first, live.last)
        top = aligned(max(slots[name].end for name in members))
    return replace(plan, arena=MappingProxyType(slots), arena_bytes=top)


def overlapping(plan: Plan) -> set[str]:
    """Kinds of the nodes whose output lies over one of their inputs."""
    return {
        step.node.op.template
        for step in plan.steps
        if any(plan.arena[step.node.output].overlaps(plan.arena[tensor]) for tensor in step.node.inputs)
    }


def chains() -> QuantGraph:
    """Every kind of op that may work in place, in chains of their own, with windows of many shapes."""
    b = Builder((1, 11, 10, 5))
    starts = iter(range(10))

    def start(channels: int = 4) -> str:
        n = next(starts)
        return b.slice("input", (1, 9 + n % 3, 9 + n % 2, channels), channel_start=n % 2)

    def end(x: str) -> str:
        _, h, w, _ = b.shape(x)
        return b.avg_pool(x, HW(h, w), HW(1, 1))

    x = b.conv(start(), 6, padding=SAME)
    x = b.conv(x, 9, stride=TWO, padding=SAME)
    x = b.conv(x, 3, HW(2, 2), dilation=TWO)
    ends = [end(b.conv(x, 8, HW(1, 3)))]
    x = b.conv(start(3), 7, HW(1, 1), stride=TWO)
    x = b.conv(x, 5, HW(5, 5), padding=Padding.same(2, 2))
    ends.append(end(b.conv(x, 2, padding=Padding(0, 1, 2, 0), stride=HW(1, 2))))
    x = b.depthwise(start(), padding=SAME)
    x = b.depthwise(x, stride=TWO, padding=Padding(0, 0, 1, 1))
    ends.append(end(b.depthwise(x, padding=SAME, multiplier=4)))
    x = b.depthwise(start(3), padding=SAME, multiplier=2)
    x = b.depthwise(x, HW(5, 3), padding=Padding.same(2, 1))
    x = b.depthwise(x, TWO, dilation=TWO)
    ends.append(end(b.depthwise(x, HW(1, 1))))
    x = b.max_pool(start(), HW(3, 3), HW(1, 1), padding=SAME)
    x = b.max_pool(x, TWO, TWO)
    ends.append(end(b.max_pool(x, HW(3, 2), HW(2, 1), padding=Padding(1, 0, 1, 1), act=(-20, 50))))
    x = b.avg_pool(start(3), HW(3, 3), HW(1, 1), padding=SAME)
    x = b.avg_pool(x, HW(2, 3), HW(1, 2), padding=Padding(1, 0, 0, 1))
    ends.append(end(b.avg_pool(x, TWO, TWO, act=(-20, 50))))
    x = b.slice(start(), (1, 8, 8, 3), start=HW(1, 0), channel_start=1)
    x = b.add(x, b.slice("input", (1, 8, 8, 3)))
    x = b.concat(x, b.slice("input", (1, 8, 8, 2), start=HW(2, 1)))
    ends.append(end(b.slice(x, (1, 4, 3, 4), step=HW(2, 3), channel_start=1)))
    x = b.prelu(b.lookup(start(3)))
    x = b.resize(b.mul(x, end(x), scale=20), HW(2, 3))
    ends.append(b.mean(b.reshape(x, (1, b.shape(x)[2], b.shape(x)[1], 3))))
    b.exit("final", b.concat(*ends), final=True)
    return b.graph("chains")
