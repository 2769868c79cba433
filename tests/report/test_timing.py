"""Times on a board: means over the images, worst cases, what placing saved, what is unknown said so."""

from dataclasses import replace

import pytest
from report import small

from ptee_mcu import boards
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.place import placed
from ptee_mcu.plan.plan import Plan
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Report, summarise
from ptee_mcu.report.timing import Timing, timing


def plan(board: str) -> Plan:
    return placed(make_plan(small.graph(), boards.load(board))).plan


def report(board: str) -> Report:
    return summarise(plan(board), small.answers(), of="ten images")


def found(board: str) -> Timing:
    made = report(board).timing
    assert made is not None
    return made


def test_the_mean_is_of_the_images_that_left_at_each_exit() -> None:
    made = report("nrf52840_dk")
    assert made.timing is not None
    assert made.timing.mean == pytest.approx(sum(row.share * (row.cycles or 0.0) for row in made.rows))
    assert made.timing.worst == max(row.cycles or 0.0 for row in made.rows)
    assert made.timing.mean <= made.timing.percentile_95 <= made.timing.worst


def test_placing_constants_in_sram_is_compared_with_all_of_them_in_flash() -> None:
    made = found("nrf52840_dk")
    assert made.mean < made.in_flash
    assert made.boot > 0
    still = found("mps2_an386")
    assert still.mean == still.in_flash
    assert still.boot == 0


def test_energy_is_power_times_time_and_unknown_where_the_power_is() -> None:
    made = found("nucleo_l4r5zi")
    assert made.energy_uj == pytest.approx(made.ms(made.mean) * 23.2 * 1.8)
    assert found("nucleo_f746zg").energy_uj is None


def test_a_core_without_rates_has_no_times() -> None:
    flash = make_plan(small.graph(), boards.load("mps2_an386"))
    unknown = replace(flash, target=replace(flash.target, cpu="cortex-m85"))
    assert timing(unknown, (0.4, 0.3, 0.2, 0.1)) is None


def test_the_report_says_times_error_bar_energy_and_that_nothing_was_measured_on_hardware(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = report("nucleo_f746zg")
    assert made.timing is not None
    Console(quiet=True).report(replace(made, timing=replace(made.timing, traced=(1.0, 2.0, 3.0, made.timing.full[-1]))))
    text = capsys.readouterr().out
    assert "time on nucleo_f746zg at 216 MHz: mean " in text
    assert "energy of the mean inference: unknown" in text
    assert "cycles are computed, not measured on hardware; cortex-m7: error " in text
    assert "by trace of the firmware (+0.0 %)" in text


def test_a_power_without_a_source_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    Console(quiet=True).report(report("nrf52840_dk"))
    assert "uJ (from a power without a source)" in capsys.readouterr().out
