"""How likely somebody speaks, every 32 ms, with the LSTM of silero-vad on NumPy alone.

    pip download --no-deps silero-vad
    python examples/convert/voice_activity.py silero_vad-6.2.3-py3-none-any.whl speech.wav

The sound is a WAV file of 16 bits, mono, 16,000 samples a second. The weights are read from the wheel,
which is neither installed nor imported. What each window of sound needs, a spectrum and four
convolutions, looks at that window alone; only the LSTM remembers.
"""

from __future__ import annotations

import sys
import wave
import zipfile

import numpy as np
from safetensors.numpy import load

from memcore.convert import from_weights

WINDOW, BEFORE, BEHIND = 512, 64, 64
"""Samples of a window, of those seen before it, and of those mirrored behind it."""
CONVOLUTIONS = {"conv1": 1, "conv2": 2, "conv3": 2, "conv4": 1}
"""The strides."""


def read(wheel: str) -> dict[str, np.ndarray]:
    """The arrays in the wheel, of the network for 16 kHz."""
    with zipfile.ZipFile(wheel) as files:
        name = next(name for name in files.namelist() if name.endswith("_16k.safetensors"))
        return load(files.read(name))


def windows(sound: np.ndarray) -> np.ndarray:
    """``(samples,)`` to ``(windows, BEFORE + WINDOW + BEHIND)``."""
    count = -(-len(sound) // WINDOW)
    line = np.pad(sound, (BEFORE, count * WINDOW - len(sound)))
    rows = np.lib.stride_tricks.sliding_window_view(line, BEFORE + WINDOW)[::WINDOW]
    return np.pad(rows, ((0, 0), (0, BEHIND)), mode="reflect")


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """``(windows, channels, length)`` with a kernel ``(out, channels, width)``."""
    places = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[-1], axis=-1)
    return np.einsum("nclk,ock->nol", places[:, :, ::stride], kernel)


def features(rows: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    """``(windows, samples)`` to what the LSTM reads, ``(windows, 128)``."""
    spectrum = convolve(rows[:, None], w["stft_conv.weight"], 128)
    half = spectrum.shape[1] // 2
    x = np.sqrt(spectrum[:, :half] ** 2 + spectrum[:, half:] ** 2)
    for name, stride in CONVOLUTIONS.items():
        x = np.pad(x, ((0, 0), (0, 0), (1, 1)))
        x = np.maximum(convolve(x, w[f"{name}.weight"], stride) + w[f"{name}.bias"][:, None], 0)
    return x[..., 0]


def likely(sound: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    """The likelihood of speech in each window of ``sound (samples,)``, numbers in [-1, 1]."""
    inside = {name: leaf for name, leaf in w.items() if name.startswith("lstm_cell.")}
    weights = {name.removeprefix("lstm_cell."): leaf for name, leaf in inside.items()}
    model, params = from_weights("torch.nn.LSTMCell", weights)
    _, ys = model.apply(params, features(windows(sound), w))
    logits = np.maximum(ys, 0) @ w["final_conv.weight"][0, :, 0] + w["final_conv.bias"]
    return 1 / (1 + np.exp(-logits))


def main(wheel: str, sound: str) -> None:
    with wave.open(sound) as file:
        form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        if form != (1, 2, 16_000):
            raise ValueError(f"{sound} has channels, bytes and rate {form}, expected (1, 2, 16000)")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    for i, p in enumerate(likely(samples.astype(np.float32) / 2**15, read(wheel))):
        print(f"{i * WINDOW / 16_000:8.3f} s  {p:.3f}  {'#' * round(40 * float(p))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
