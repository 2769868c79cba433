"""A project's network on its report images, through the simulator."""

from ptee_mcu.project import Project
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Answers, Report, summarise
from ptee_mcu.sim import evaluate


def simulate(project: Project, count: int | None, console: Console) -> Report:
    """Exits, labels, accuracy, agreement and cost on the first `count` images (all where None)."""
    inputs = project.inputs.head(count)
    codes = project.codes(inputs)
    with console.progress("simulating") as advance:
        run = evaluate(project.plan.graph, codes, full=True, progress=lambda done: advance(done, len(codes)))
    assert run.labels is not None
    return summarise(
        project.plan,
        Answers(run.exit, run.label, run.labels[-1], inputs.labels),
        of=inputs.of,
    )
