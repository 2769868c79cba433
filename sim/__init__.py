"""The simulator: what the emitted C computes, to the last byte; batched over data sets, or one input in one arena."""

from ptee_mcu.sim.evaluation import Evaluation, evaluate
from ptee_mcu.sim.inference import Trace, run

__all__ = ["Evaluation", "Trace", "evaluate", "run"]
