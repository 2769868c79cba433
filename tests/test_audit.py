import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from scipy.stats import beta, binom
from support.emitted import planned
from support.points import CODES, switched_network
from typer.testing import CliRunner

from ptee_mcu import cli_audit
from ptee_mcu.audit import Counts, Interval, Verdict, audit, interval, read_counts
from ptee_mcu.emit import emit
from ptee_mcu.errors import ConfigError, DataError
from ptee_mcu.project import Inputs, with_project
from ptee_mcu.quant_graph import OperatingPoint
from ptee_mcu.report.summary import Answers, summarise
from ptee_mcu.sim import evaluate

GRAPH = switched_network()
CERTIFIED = OperatingPoint("safe", (0, 0, 0), asked=0.03, bound=0.02, delta=0.05)
APP = typer.Typer()
APP.command()(cli_audit.audit)


def counts(audited: int, disagreed: int) -> Counts:
    return Counts((audited, 0, 0, 0), (audited - disagreed, 0, 0, 0))


@pytest.mark.parametrize(("audited", "disagreed"), [(1, 0), (1, 1), (50, 0), (200, 3), (200, 200), (100_000, 1234)])
def test_the_interval_is_that_of_clopper_and_pearson(audited: int, disagreed: int) -> None:
    found = interval(audited, disagreed, 0.05)
    low = beta.ppf(0.025, disagreed, audited - disagreed + 1) if disagreed else 0.0
    high = beta.ppf(0.975, disagreed + 1, audited - disagreed) if disagreed < audited else 1.0
    assert found.low == pytest.approx(low, abs=1e-9)
    assert found.high == pytest.approx(high, abs=1e-9)


@pytest.mark.parametrize("rate", [0.003, 0.02, 0.3])
def test_the_interval_covers_the_rate_as_often_as_it_says(rate: float) -> None:
    audited = 150
    missed = 0.0
    for hits in range(audited + 1):
        seen = interval(audited, hits, 0.1)
        missed += float(binom.pmf(hits, audited, rate)) * (not seen.low <= rate <= seen.high)
    assert missed <= 0.1


def test_nothing_audited_says_nothing() -> None:
    assert interval(0, 0, 0.05) == Interval(0, 0, 0.0, 1.0)
    assert audit(GRAPH, CERTIFIED, counts(0, 0)).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("audited", "disagreed", "verdict"),
    [(2000, 10, Verdict.HOLDS), (2000, 100, Verdict.BROKEN), (2000, 39, Verdict.UNDECIDED), (10, 0, Verdict.UNDECIDED)],
)
def test_a_point_holds_or_is_broken_only_where_the_whole_interval_says_so(
    audited: int, disagreed: int, verdict: Verdict
) -> None:
    found = audit(GRAPH, CERTIFIED, counts(audited, disagreed))
    assert (found.verdict, found.limit, found.limit_is) == (verdict, 0.02, "certified")


def test_the_audits_that_would_decide_do_decide_at_the_same_rate() -> None:
    found = audit(GRAPH, CERTIFIED, counts(100, 1))
    assert found.verdict is Verdict.UNDECIDED
    assert found.needed is not None
    later = audit(GRAPH, CERTIFIED, counts(2 * found.needed, 2 * found.needed // 100))
    assert later.verdict is Verdict.HOLDS
    assert audit(GRAPH, CERTIFIED, counts(100, 2)).needed is None  # at the limit no number does


def test_what_was_asked_is_the_limit_where_nothing_is_certified_and_none_is_where_something_else_was_asked() -> None:
    asked = replace(CERTIFIED, bound=None, delta=None)
    found = audit(GRAPH, asked, counts(2000, 10))
    assert (found.limit, found.limit_is) == (0.03, "asked")
    for point in (replace(CERTIFIED, quantity="mean_cost"), OperatingPoint("own", (0, 0, 0))):
        found = audit(GRAPH, point, counts(2000, 10))
        assert (found.limit, found.limit_is, found.verdict, found.needed) == (None, None, None, None)


def test_every_exit_has_an_interval_and_all_answers_together_one() -> None:
    found = audit(GRAPH, CERTIFIED, Counts((100, 50, 0, 20), (90, 50, 0, 20)), delta=0.1)
    assert list(found.exits) == ["a", "b", "c", "final"]
    assert found.exits["a"] == interval(100, 10, 0.1)
    assert found.overall == interval(170, 10, 0.1)
    assert found.as_json()["confidence"] == 0.9


def test_counts_come_from_numbers_or_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    path.write_text(json.dumps({"answered": [300, 80], "audited": [100, 40], "agreed": [95, 40]}))
    assert read_counts("95/100,40/40") == read_counts(str(path)) == Counts((100, 40), (95, 40))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "has no two lists of whole numbers of one length"),
        ("[1, 2]", "has no two lists of whole numbers of one length"),
        ('{"audited": [1], "agreed": [1, 2]}', "has no two lists of whole numbers of one length"),
        ('{"audited": [1.5], "agreed": [1]}', "has no two lists of whole numbers of one length"),
        ('{"audited": "1", "agreed": "1"}', "has no two lists of whole numbers of one length"),
        ('{"audited": [1], "agreed": [2]}', "exit 0: 2 of 1 audited answers agreed"),
        ('{"audited": [1], "agreed": [-1]}', "exit 0: -1 of 1 audited answers agreed"),
        ("{", "is no JSON"),
    ],
)
def test_a_file_without_counts_is_refused_by_what_is_wrong_with_it(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "stats.json"
    path.write_text(text)
    with pytest.raises(DataError, match=re.escape(message)):
        read_counts(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.json: No such file"):
        read_counts(str(tmp_path / "nothing.json"))


def test_counts_of_another_network_and_a_delta_that_is_no_probability_are_refused() -> None:
    with pytest.raises(DataError, match="counts of 2 exits; switched has 4"):
        audit(GRAPH, CERTIFIED, read_counts("1/1,1/1"))
    with pytest.raises(ConfigError, match="delta is 1"):
        audit(GRAPH, CERTIFIED, counts(1, 0), delta=1)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit") / "out"
    plan = planned(replace(GRAPH, points=(CERTIFIED, *GRAPH.points), default=0))
    run = evaluate(plan.graph, CODES)
    report = summarise(plan, Answers(run.exit, run.label, None, None), of="noise")
    with_project(emit(plan), plan, Inputs(CODES, None, "noise"), report).write(folder)
    return folder


def test_the_command_says_so_by_its_exit_code_where_the_point_is_broken(out: Path) -> None:
    runner = CliRunner()
    held = runner.invoke(APP, [str(out), "--stats", "1990/2000,5/5,0/0,10/10", "--json"])
    assert held.exit_code == 0, held.output
    assert json.loads(held.output)["verdict"] == "holds"
    broken = runner.invoke(APP, [str(out), "--stats", "1800/2000,5/5,0/0,10/10"])
    assert broken.exit_code == 1
    assert "certified limit 2 %: broken" in broken.output


def test_the_command_takes_the_point_that_was_in_force(out: Path) -> None:
    words = [str(out), "--stats", "97/100,0/0,0/0,0/0", "--operating-point", "10 %"]
    found = CliRunner().invoke(APP, [*words, "--json"])
    assert json.loads(found.output)["limit_is"] == "asked"
    assert "asked limit 10 %: holds" in CliRunner().invoke(APP, words).output
