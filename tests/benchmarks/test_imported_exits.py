"""Speech features, enlarged images and the page of benchmarks/imported_exits.py; its builds take too long for tests."""

import io
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

pytest.importorskip("torch")

from benchmarks import imported_exits_speech as speech
from benchmarks.imported_exits_networks import NETWORKS, Network, enlarged
from benchmarks.imported_exits_page import page
from ptee_mcu.config import load_config


def _tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * speech.RATE_HZ)) / speech.RATE_HZ)).astype("f4")


def _wav(path: Path, samples: np.ndarray, rate: int = speech.RATE_HZ) -> None:
    content = io.BytesIO()
    wavfile.write(content, rate, samples)
    path.write_bytes(content.getvalue())


def test_one_second_becomes_49_frames_of_10_coefficients() -> None:
    assert speech.coefficients(_tone(440)).shape == (speech.FRAMES, speech.COEFFICIENTS) == (49, 10)


def test_a_tone_is_loudest_in_the_band_around_it() -> None:
    power = np.abs(np.fft.rfft(_tone(1000)[: speech.FFT])) ** 2
    loudest = int((speech.mel_bands() @ power).argmax())
    peak_hz = np.fft.rfftfreq(speech.FFT, 1 / speech.RATE_HZ)[speech.mel_bands()[loudest].argmax()]
    assert abs(peak_hz - 1000) < 100


def test_a_short_recording_stands_in_the_middle_and_a_long_one_loses_both_ends() -> None:
    short, long = np.ones(100, np.float32), np.arange(speech.WINDOW + 200, dtype=np.float32)
    window = speech.centred(short)
    assert np.flatnonzero(window).tolist() == list(range(3950, 4050))
    np.testing.assert_array_equal(speech.centred(long), long[100:-100])
    assert np.flatnonzero(speech.centred(short, 7))[0] == 3957


def test_recordings_below_25_are_held_out_and_the_others_trained_on_eight_times(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for index in (0, 24, 25):
        _wav(folder / f"3_ann_{index}.wav", (20000 * _tone(300 + index, 0.4)).astype(np.int16))
    arrays = speech.spoken_digits(tmp_path)
    assert arrays["x"].shape == (8, 49, 10, 1)
    assert arrays["x_test"].shape == (2, 49, 10, 1)
    assert set(arrays["y"].tolist()) == set(arrays["y_test"].tolist()) == {3}


def test_recordings_of_another_rate_are_refused(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    _wav(tmp_path / "recordings" / "3_ann_0.wav", np.zeros(100, np.int16), 16000)
    with pytest.raises(SystemExit, match="int16 at 16000 Hz, int16 at 8000 Hz is expected"):
        list(speech.sorted_recordings(tmp_path))


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="neither recordings/"):
        list(speech.sorted_recordings(tmp_path))


def test_enlarged_images_keep_flat_areas_and_grow_threefold() -> None:
    x = np.full((2, 32, 32, 3), 77, np.uint8)
    x[1, :, :, 0] = 200
    larger = enlarged(x)
    assert larger.shape == (2, 96, 96, 3)
    assert (larger[0] == 77).all()
    assert (larger[1] == [200, 77, 77]).all()


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_every_config_is_one_that_builds_understand(tmp_path: Path, network: Network) -> None:
    path = tmp_path / "build.toml"
    for exits in (False, True):
        path.write_text(network.config(exits=exits))
        config = load_config(path)
        assert (config.exits is not None) == exits
        assert str(config.model.file) == network.file


def test_a_page_without_builds_names_what_is_missing(tmp_path: Path) -> None:
    text = page(tmp_path, tmp_path)
    assert all(network.title in text.split("Not there yet:")[1] for network in NETWORKS)
