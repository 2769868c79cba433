"""How long a core takes for what it executes, memory never waiting: documented timings.

No constant is fitted to a measured network, but for the overall ratio of the Cortex-M7 and the factors per kernel of
the Cortex-M55, which are published measurements: no table of timings of these cores exists.

Where a manual gives a range, its middle is taken; a refill after a taken branch is 2 cycles on cores with three stages,
of the 1 to 3 that the manual allows. How far the sums are from measured times stands beside each core.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ptee_mcu.cycles.thumb import Instruction, Kind
from ptee_mcu.errors import ConfigError

_LOADS = frozenset({Kind.LOAD})
_MULTIPLE = frozenset({Kind.LOAD_MULTIPLE, Kind.STORE_MULTIPLE})


@dataclass(frozen=True, slots=True)
class Core:
    """Cycles beyond one per instruction.

    `extra`: per kind. `register`: per word of a load or store of several, `several` once for each of them.
    `first_load`: for a single load that does not follow another at once. `load_use`: where the next instruction needs
    what was loaded. `refill`: per taken branch. `scale`: what all of it is multiplied with, by the beginning of the
    function's name, "" for all others. `error`: how far in percent a priced time may lie from a measured one; None
    where nothing measured is known. `checked`: against what.
    """

    name: str
    extra: Mapping[Kind, float]
    register: float
    several: float
    first_load: float
    load_use: float
    refill: float
    error: tuple[float, float] | None
    checked: str
    source: str
    scale: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({"": 1.0}))

    def execution(self, block: Sequence[Instruction]) -> float:
        """Cycles of one execution of `block`, left by falling through, before `scale`."""
        cycles = float(len(block))
        before: Instruction | None = None
        for now in block:
            cycles += self.extra.get(now.kind, 0.0)
            if now.kind in _MULTIPLE:
                cycles += self.register * now.words + self.several
            if now.kind in _LOADS and (before is None or before.kind not in _LOADS):
                cycles += self.first_load
            if before is not None and before.loaded is not None and now.reads >> before.loaded & 1:
                cycles += self.load_use
            before = now
        return cycles

    def taken(self, block: Sequence[Instruction]) -> float:
        """Cycles more where `block` is left by a taken branch, before `scale`; a low-overhead loop has none."""
        return 0.0 if block[-1].kind is Kind.LOOP_END else self.refill

    def scale_of(self, function: str) -> float:
        """The factor of a function: that of the longest beginning of its name."""
        return self.scale[max((name for name in self.scale if function.startswith(name)), key=len)]


_DIVISIONS = {Kind.DIV: 5.0, Kind.FP_DIV: 13.0}  # 2 to 12 cycles; 14
_M4 = Core(
    name="cortex-m4",
    extra=MappingProxyType({**_DIVISIONS, Kind.LOAD_DUAL: 2.0, Kind.STORE_DUAL: 1.0, Kind.FP_MAC: 2.0}),
    register=1.0,
    several=0.0,
    first_load=1.0,
    load_use=0.0,
    refill=2.0,
    error=(-6.0, 3.0),
    checked="four networks on a Nucleo-L4R5ZI, a fully connected one on an nRF52840",
    source="Cortex-M4 TRM (Arm DDI0439) 3.3.1 and 7.2; a dual store leaves through the write buffer",
)
_CORES = (
    _M4,
    Core(
        name="cortex-m3",
        extra=MappingProxyType(
            {
                Kind.DIV: 5.0,
                Kind.MLA: 1.0,
                Kind.MUL_LONG: 3.0,
                Kind.MLA_LONG: 4.5,
                Kind.LOAD_DUAL: 2.0,
                Kind.STORE_DUAL: 1.0,
            }
        ),
        register=1.0,
        several=0.0,
        first_load=1.0,
        load_use=0.0,
        refill=2.0,
        error=None,
        checked="nothing",
        source="Cortex-M3 TRM (Arm DDI0337) 18.2: mla 2, smull 3 to 5, smlal 4 to 7; else as the Cortex-M4",
    ),
    Core(
        name="cortex-m33",
        extra=MappingProxyType({**_DIVISIONS, Kind.LOAD_DUAL: 1.0, Kind.STORE_DUAL: 1.0, Kind.FP_MAC: 2.0}),
        register=1.0,
        several=-1.0,
        first_load=0.0,
        load_use=1.0,
        refill=2.0,
        error=(-10.0, 10.0),
        checked="four networks on an nRF5340-DK",
        source="Arm publishes no table; one cycle each, one more where a load's result is needed at once",
    ),
    Core(
        name="cortex-m7",
        extra=_M4.extra,
        register=_M4.register,
        several=_M4.several,
        first_load=_M4.first_load,
        load_use=0.0,
        refill=_M4.refill,
        error=(-30.0, 30.0),
        checked="ratios between published times of three engines on Cortex-M7 and M4",
        source="Arm publishes no table; 0.61 of the Cortex-M4's cycles, the mean of those ratios",
        scale=MappingProxyType({"": 0.61}),
    ),
    Core(
        name="cortex-m55",
        extra=MappingProxyType({}),
        register=0.0,
        several=0.0,
        first_load=0.0,
        load_use=0.0,
        refill=0.0,
        error=(-20.0, 20.0),
        checked="published cycles of kernels of another branch of CMSIS-NN on an Apollo510",
        source="ns-cmsis-nn kernel benchmarks: cycles per instruction by kind of kernel",
        scale=MappingProxyType(
            {
                "": 1.0,
                "arm_fully_connected": 1.07,
                "arm_nn_vec_mat_mult": 1.07,
                "arm_elementwise": 1.1,
                "arm_depthwise": 1.3,
                "arm_nn_depthwise": 1.3,
                "arm_avgpool": 1.7,
                "arm_max_pool": 1.7,
            }
        ),
    ),
    Core(
        name="cortex-m0plus",
        extra=MappingProxyType({Kind.LOAD: 1.0, Kind.STORE: 1.0, Kind.CALL: 1.0}),
        register=1.0,
        several=0.0,
        first_load=0.0,
        load_use=0.0,
        refill=1.0,
        error=None,
        checked="nothing; no better than a bound",
        source="Cortex-M0+ TRM (Arm DDI0484) 3.3, with the multiplier of one cycle",
    ),
    Core(
        name="cortex-m0",
        extra=MappingProxyType({Kind.LOAD: 1.0, Kind.STORE: 1.0, Kind.CALL: 1.0}),
        register=1.0,
        several=0.0,
        first_load=0.0,
        load_use=0.0,
        refill=2.0,
        error=None,
        checked="nothing; no better than a bound",
        source="Cortex-M0 TRM (Arm DDI0432) 3.3, with the multiplier of one cycle",
    ),
)
CORES: Mapping[str, Core] = MappingProxyType({core.name: core for core in _CORES})


def core_of(cpu: str) -> Core:
    """The timings of a target's `cpu`.

    Raises:
        ConfigError: where there are none.
    """
    if cpu not in CORES:
        raise ConfigError(f"no timings are known for {cpu!r}", hint=f"known cores: {', '.join(CORES)}")
    return CORES[cpu]
