"""A project's network on its report images, through the simulator."""

from dataclasses import replace

from ptee_mcu.operating_point import plan_at, point_notes
from ptee_mcu.project import Project
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Answers, Report, summarise
from ptee_mcu.sim import evaluate


def simulate(project: Project, count: int | None, console: Console, *, point: str | None = None) -> Report:
    """Exits, labels, accuracy, agreement and cost on the first `count` images (all where None).

    `point`: name or number of the operating point; the default one where None.

    Raises:
        ConfigError: where there is no such point.
    """
    project = replace(project, plan=plan_at(project.plan, point))
    inputs = project.inputs.head(count)
    codes = project.codes(inputs)
    with console.progress("simulating") as advance:
        run = evaluate(project.plan.graph, codes, full=True, progress=lambda done: advance(done, len(codes)))
    assert run.labels is not None
    return summarise(
        project.plan,
        Answers(run.exit, run.label, run.labels[-1], inputs.labels),
        of=inputs.of,
        notes=point_notes(project.plan, point),
    )
