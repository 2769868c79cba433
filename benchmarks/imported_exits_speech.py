"""Spoken digits as the inputs of a keyword spotting network: 49 frames of 10 mel-frequency cepstral coefficients."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.fft import dct
from scipy.io import wavfile
from scipy.signal.windows import hann

from ptee_mcu.tensor import Float

RATE_HZ = 8000
WINDOW = RATE_HZ  # 1 s
FRAME, HOP = 240, 160  # 30 and 20 ms
FRAMES = 1 + (WINDOW - FRAME) // HOP  # 49
FFT = 256
BANDS, COEFFICIENTS = 40, 10
LOW_HZ, HIGH_HZ = 20.0, 4000.0
FLOOR = 1e-4  # of the energy of a band; silence is a constant
HELD_OUT = 25  # of the 50 recordings of each digit by each speaker: indices 0 to 24
COPIES = 8  # of each training recording, one of them as it is
ARCHIVE, FOLDER = "fsdd_recordings.tar.xz", "recordings"


def spoken_digits(data: Path) -> dict[str, npt.NDArray[np.generic]]:
    """x, y, x_test and y_test of the Free Spoken Digit Dataset, as `ptee_mcu.data.npz` reads them.

    Held out are recordings 0 to 24 of each digit and speaker. The data set's README holds out 0 to 4; those 300 alone
    would certify nothing. Speakers are the same in both parts, as there. Every coefficient is normalised by its mean
    and deviation over the training recordings.
    """
    rng = np.random.default_rng(0)
    parts: dict[str, list[Float]] = {"x": [], "x_test": []}
    labels: dict[str, list[int]] = {"y": [], "y_test": []}
    for digit, index, wave in sorted_recordings(data):
        held = index < HELD_OUT
        windows = [centred(wave)] if held else [centred(wave), *(varied(wave, rng) for _ in range(COPIES - 1))]
        parts["x_test" if held else "x"] += [coefficients(window) for window in windows]
        labels["y_test" if held else "y"] += [digit] * len(windows)
    x, x_test = np.stack(parts["x"]), np.stack(parts["x_test"])
    mean, deviation = x.mean(axis=(0, 1)), x.std(axis=(0, 1))
    return {
        "x": ((x - mean) / deviation)[..., None].astype(np.float32),
        "y": np.array(labels["y"]),
        "x_test": ((x_test - mean) / deviation)[..., None].astype(np.float32),
        "y_test": np.array(labels["y_test"]),
    }


def sorted_recordings(data: Path) -> Iterator[tuple[int, int, Float]]:
    """Digit, index and samples in [-1, 1) of every recording, by name, from the archive or the folder in `data`."""
    files = dict(_files(data))
    for name in sorted(files):
        digit, _, index = name.removesuffix(".wav").split("_")
        rate, samples = wavfile.read(io.BytesIO(files[name]))
        if rate != RATE_HZ or samples.dtype != np.int16:
            raise SystemExit(f"{name}: {samples.dtype} at {rate} Hz, int16 at {RATE_HZ} Hz is expected")
        yield int(digit), int(index), (samples / 32768).astype(np.float32)


def _files(data: Path) -> Iterator[tuple[str, bytes]]:
    if (data / FOLDER).is_dir():
        yield from ((path.name, path.read_bytes()) for path in (data / FOLDER).glob("*.wav"))
        return
    if not (data / ARCHIVE).is_file():
        raise SystemExit(f"{data}: holds neither {FOLDER}/ of the Free Spoken Digit Dataset nor {ARCHIVE}")
    with tarfile.open(data / ARCHIVE) as archive:
        for member in archive:
            if member.name.endswith(".wav") and (file := archive.extractfile(member)):
                yield Path(member.name).name, file.read()


def centred(wave: Float, shift: int = 0) -> Float:
    """One second with the recording in the middle, `shift` samples later: padded by zeros or cut on both sides."""
    start = (WINDOW - len(wave)) // 2 + shift
    window = np.zeros(WINDOW, np.float32)
    first, last = max(start, 0), min(start + len(wave), WINDOW)
    window[first:last] = wave[first - start : last - start]
    return window


def varied(wave: Float, rng: np.random.Generator) -> Float:
    """A second of the recording 0.9 to 1.1 times as fast, up to 0.1 s off the middle, up to 6 dB louder or softer.

    Half of the time in white noise of 20 to 50 dB less.
    """
    places = np.arange(0, len(wave) - 1, rng.uniform(0.9, 1.1))
    faster = np.interp(places, np.arange(len(wave)), wave).astype(np.float32)
    window = centred(faster, int(rng.integers(-RATE_HZ // 10, RATE_HZ // 10 + 1)))
    level = float(np.sqrt((faster**2).mean()) * 10 ** (-rng.uniform(20, 50) / 20) * rng.integers(2))
    changed: Float = ((window + level * rng.standard_normal(WINDOW)) * 10 ** (rng.uniform(-6, 6) / 20)).astype(
        np.float32
    )
    return changed


def coefficients(window: Float) -> Float:
    """Coefficients (49, 10) of one second: Hann window, power spectrum, 40 mel bands, logarithm, orthonormal DCT-II."""
    frames = np.lib.stride_tricks.sliding_window_view(window, FRAME)[::HOP] * hann(FRAME, sym=False)
    power = np.abs(np.fft.rfft(frames, FFT)) ** 2
    energies = np.log(power @ mel_bands().T + FLOOR)
    kept: Float = dct(energies, norm="ortho", axis=1)[:, :COEFFICIENTS].astype(np.float32)
    return kept


def mel_bands() -> npt.NDArray[np.float64]:
    """Weights (40, 129) of triangles that stand evenly on the mel scale, each with a peak of 1.

    Source: HTK Book 3.4, section 5.4: mel(f) = 2595 log10(1 + f / 700).
    """
    edges_mel = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), BANDS + 2)
    edges = 700 * (10 ** (edges_mel / 2595) - 1)
    f = np.fft.rfftfreq(FFT, 1 / RATE_HZ)
    rise = (f - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - f) / (edges[2:] - edges[1:-1])[:, None]
    bands: npt.NDArray[np.float64] = np.clip(np.minimum(rise, fall), 0, None)
    return bands


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
