"""What people read: nominal labelled as such, agreement and accuracy in their own columns, nothing cut off."""

from dataclasses import replace

import pytest
from report import small
from support.builder import Builder
from support.emitted import planned

from ptee_mcu.exits.outcomes import exit_taken, risk_per_exit
from ptee_mcu.exits.reliability import Reliability, Score
from ptee_mcu.firmware.audit_symbols import Audit
from ptee_mcu.firmware.checks import CallStack, Checks
from ptee_mcu.report.console import Console
from ptee_mcu.report.points import point_rows
from ptee_mcu.report.summary import Answers, Baseline, Report, summarise
from ptee_mcu.tensor import HW

FOOTNOTE = "nominal: PTEEnet's own figure, which charges the last head alone; for comparison with papers only"
RELIABILITY = (
    Reliability("a", Score.SOFTMAX, 1.524, 0.0415, 0.0123, (), ()),
    Reliability("a", Score.CONFIDENCE, 0.9, 0.02, 0.01, (), ()),
)


def report() -> Report:
    graph, outcomes = small.graph(), small.outcomes()
    return summarise(
        planned(graph),
        small.answers(),
        of="ten images",
        baseline=Baseline(10_000, 0.9171, 0.9174),
        notes=["a remark"],
        points=point_rows(planned(graph), outcomes),
        reliability=RELIABILITY,
        risks=risk_per_exit(outcomes, exit_taken(outcomes.confidences, graph.point.thresholds)),
    )


def shown(report: Report, capsys: pytest.CaptureFixture[str]) -> str:
    Console(quiet=True).report(report)
    return capsys.readouterr().out


def line(text: str, start: str) -> str:
    found = [each for each in text.splitlines() if each.strip().startswith(start)]
    assert found, f"no line starts with {start!r} in\n{text}"
    return found[0]


def test_nominal_stands_beside_the_honest_cost_and_is_labelled(capsys: pytest.CaptureFixture[str]) -> None:
    made = report()
    text = shown(made, capsys)
    assert "cost nominal" in " ".join(line(text, "exit").split())
    for row in made.rows:
        assert f"{row.macs / made.backbone_macs:.3f} {row.nominal:.3f}" in " ".join(line(text, f"{row.name} ").split())
    assert f"{made.cost:.3f} {made.nominal_cost:.3f}" in " ".join(line(text, "mean").split())
    assert FOOTNOTE in text.splitlines()


def test_without_early_exits_there_is_neither_a_nominal_cost_nor_a_table_of_points(
    capsys: pytest.CaptureFixture[str],
) -> None:
    b = Builder((1, 4, 4, 2))
    b.exit("final", b.conv("input", 4, HW(1, 1)), final=True)
    labels = small.LABELS[-1]
    text = shown(summarise(planned(b.graph()), Answers(0 * labels, labels, labels, None), of="ten images"), capsys)
    assert "nominal" not in text
    assert "operating points" not in text


def test_points_show_agreement_and_accuracy_apart(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(report(), capsys)
    assert " ".join(line(text, "point").split()) == (
        "point asked certified agree % right % cost worst ms worst ms exit shares %"
    )
    careful = " ".join(line(text, "careful").split())
    assert careful.startswith("careful disagreement 10 % at 95 % 90.00 70.00 ")
    assert careful.endswith(" 20.0 / 40.0 / 30.0 / 10.0")


def test_the_default_point_is_marked_and_a_point_without_a_promise_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown(report(), capsys)
    assert "disagreement 50 % not certified" in " ".join(line(text, "* bold").split())
    assert "*: the default" in text


def test_every_ask_is_shown_in_its_own_unit(capsys: pytest.CaptureFixture[str]) -> None:
    made = report()
    cycles = replace(made.points[0], name="timed", quantity="mean_cycles", asked=1234567.0)
    unasked = replace(made.points[0], name="unasked", asked=None)
    text = shown(replace(made, points=(*made.points, cycles, unasked)), capsys)
    assert "drop 1 pp" in line(text, "never")
    assert "mean cost 0.75" in line(text, "cheap")
    assert "mean cycles 1,234,567" in line(text, "timed")
    assert " ".join(line(text, "unasked").split()).startswith("unasked - at 95 %")


def test_notes_of_points_stand_beneath_with_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(report(), capsys).splitlines()
    assert "note: bold: a remark on bold" in lines
    assert any(each.startswith("note: never: no exit fires: ") for each in lines)


def test_one_line_per_exit_says_temperature_errors_and_risk(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(report(), capsys)
    assert line(text, "a: ") == (
        "a: 5 left here, 20.00 % of them disagree, 40.00 % are wrong; softmax temperature 1.52, ECE 4.15 -> 1.23 %; "
        "sigmoid temperature 0.90, ECE 2.00 -> 1.00 %"
    )
    assert line(text, "final: ") == "final: nobody left here"


def test_the_baseline_is_of_held_out_images_whatever_part_they_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(report(), capsys)
    assert "without exits, all 10,000 held-out images (for thresholds and report): 91.71 % in int8" in text
    assert "test images" not in text


@pytest.mark.parametrize("columns", ["20", "80"])
def test_no_figure_is_cut_off_however_narrow_the_terminal(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    made = report()
    text = shown(made, capsys)
    assert "…" not in text
    assert made.of in text
    assert line(text, "careful").rstrip().endswith("10.0")


def test_square_brackets_in_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    made = report()
    rows = (replace(made.rows[0], name="a[red]"), *made.rows[1:])
    points = (replace(made.points[0], name="p[bold]"),)
    text = shown(replace(made, rows=rows, points=points), capsys)
    assert "a[red]" in text
    assert "p[bold]" in text


def checks_of(name: str) -> Checks:
    stacks = (CallStack(f"{name}_run", 632), CallStack(f"{name}_run_until", 1_640))
    return Checks(stacks, None, (CallStack(f"{name}_step", 616),), 4096, Audit(34, (), (), (), ()), clean=True)


def test_the_stack_computed_and_painted_and_the_audit_are_shown_and_stored(capsys: pytest.CaptureFixture[str]) -> None:
    made = report()
    made = replace(made, checks=checks_of(made.name))
    text = shown(made, capsys)
    assert line(text, "stack at worst").startswith(
        f"stack at worst: {made.name}_run 632 B, {made.name}_run_until 1,640 B, of 4,096 B reserved"
    )
    assert f"stack painted in the emulator: {made.name}_step 616 B" in text.splitlines()
    assert "34 functions: no heap, no floating point, no recursion" in line(text, "audit of")
    stored = made.as_json()["checks"]
    assert stored["stacks"][0] == {"function": f"{made.name}_run", "nbytes": 632}
    assert stored["painted"] == [{"function": f"{made.name}_step", "nbytes": 616}]
    assert (stored["reserved_bytes"], stored["clean"]) == (4096, True)


def test_an_audit_that_fails_and_a_stack_without_a_bound_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    made = report()
    bad = replace(checks_of(made.name), stacks=(), unbounded="f calls f", painted=(), clean=False)
    text = shown(replace(made, checks=replace(bad, audit=Audit(34, (), (), ("f",), ()))), capsys)
    assert "stack: no bound: f calls f" in text.splitlines()
    assert "audit: the network's code holds recursion: f" in text.splitlines()
    assert "painted" not in text
    assert "audit of" not in text


def test_remarks_and_warnings_stay_on_their_lines_however_narrow_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    sentence = "conv_2d_10: 64 -> 60 channels, 589,824 -> 552,960 MACs, 4,864 -> 4,560 B of constants"
    console = Console()
    console.say(sentence)
    console.warn(sentence)
    assert capsys.readouterr().err.splitlines() == [sentence, f"warning: {sentence}"]
