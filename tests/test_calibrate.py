import numpy as np
import pytest
from passes.networks import Net, residual_network

from ptee_mcu.calibrate import Observer, Range, calibrate
from ptee_mcu.errors import DataError
from ptee_mcu.graph import walk
from ptee_mcu.ops import Add, Flatten, Sigmoid, Tanh
from ptee_mcu.passes.fold import fold


def test_minmax_ranges_hold_every_value_and_zero() -> None:
    net, graph = residual_network()
    folded, x = fold(graph), net.inputs(60)
    ranges = calibrate(folded, x, observer="minmax")
    for name, value in walk(folded, x, [folded.exits[-1].logits]):
        assert ranges.of[name].low == pytest.approx(min(0.0, float(value.min())), rel=1e-4)
        assert ranges.of[name].high == pytest.approx(max(0.0, float(value.max())), rel=1e-4)


@pytest.mark.parametrize("observer", ["percentile", "mse"])
def test_clipping_observers_stay_inside_the_observed_range(observer: str) -> None:
    net, graph = residual_network()
    folded, x = fold(graph), net.inputs(60)
    full = calibrate(folded, x, observer="minmax").of
    clipped = calibrate(folded, x, observer=observer).of  # type: ignore[arg-type] # parametrized literal
    for name, span in clipped.items():
        assert full[name].low <= span.low <= 0 <= span.high <= full[name].high


def test_mse_clips_a_lone_outlier_that_percentile_and_minmax_keep_or_drop() -> None:
    net, graph = residual_network()
    folded, x = fold(graph), net.inputs(100)
    x[0, 0, 0, 0] = 1000.0
    assert calibrate(folded, x, observer="minmax").of["x"].high == 1000.0
    assert calibrate(folded, x, observer="percentile").of["x"].high < 10.0
    assert calibrate(folded, x, observer="mse").of["x"].high < 1000.0


def test_what_exits_answer_with_is_never_clipped() -> None:
    net, graph = residual_network()
    folded, x = fold(graph), net.inputs(60)
    logits = folded.exits[-1].logits
    assert calibrate(folded, x, observer="mse").of[logits] == calibrate(folded, x, observer="minmax").of[logits]


def test_channel_means_are_means_over_inputs_and_positions() -> None:
    net, graph = residual_network()
    folded, x = fold(graph), net.inputs(60)
    means = calibrate(folded, x, observer="minmax").channel_means["x"]
    np.testing.assert_allclose(means, x.mean(axis=(0, 1, 2)), atol=1e-6)


def test_progress_ends_at_its_total() -> None:
    net, graph = residual_network()
    seen: list[tuple[int, int]] = []
    calibrate(fold(graph), net.inputs(60), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (120, 120)


def test_no_calibration_inputs_is_an_error() -> None:
    net, graph = residual_network()
    with pytest.raises(DataError, match=r"at least one input, got none"):
        calibrate(fold(graph), net.inputs(0))


def test_calibration_inputs_of_another_shape_are_an_error() -> None:
    net, graph = residual_network()
    with pytest.raises(DataError, match=r"shape \(4, 8, 3\), net takes \(8, 8, 3\)"):
        calibrate(fold(graph), net.inputs(2)[:, :4])


def test_calibration_inputs_with_nan_are_an_error() -> None:
    net, graph = residual_network()
    x = net.inputs(2)
    x[0, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"1 calibration values are NaN"):
        calibrate(fold(graph), x)


@pytest.mark.parametrize("observer", ["minmax", "percentile", "mse"])
def test_the_output_of_a_bounded_function_has_its_bounds_whatever_was_observed(observer: Observer) -> None:
    net = Net((1, 4, 4, 2))
    gate, swing = net.add(Sigmoid(), "x"), net.add(Tanh(), "x")
    both = net.linear(net.add(Flatten(), net.add(Add(), gate, swing)), 3, 32)
    graph = net.graph(both)
    ranges = calibrate(graph, 0.1 * net.inputs(20), observer=observer)
    assert (ranges.of[gate], ranges.of[swing]) == (Range(0.0, 1.0), Range(-1.0, 1.0))
