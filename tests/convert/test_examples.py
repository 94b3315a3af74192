"""The examples that read another package's wheel: on wheels made here, and on real ones where the variable
MEMCORE_WHEELS names their folder."""

from __future__ import annotations

import io
import os
import wave
import zipfile
from pathlib import Path
from typing import Any

import g2p
import numpy as np
import pytest
import voice_activity
from safetensors.numpy import save

HIDDEN = 12


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def wheel(folder: Path, name: str, content: bytes) -> str:
    path = folder / "made_up-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr(name, content)
    return str(path)


def real(name: str) -> list[Path]:
    return sorted(Path(os.environ.get("MEMCORE_WHEELS", os.devnull)).glob(f"{name}-*.whl"))


@pytest.fixture(params=["made up", *real("g2p_en")], ids=lambda path: Path(path).stem)
def g2p_wheel(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if isinstance(request.param, Path):
        return str(request.param)
    rng = np.random.default_rng(0)
    gru = {"w_ih": (3 * HIDDEN, 8), "w_hh": (3 * HIDDEN, HIDDEN)}
    gru |= {"b_ih": (3 * HIDDEN,), "b_hh": (3 * HIDDEN,)}
    shapes: dict[str, tuple[int, ...]] = {"enc_emb": (29, 8), "dec_emb": (74, 8)}
    shapes |= {f"{part}_{name}": shape for part in ("enc", "dec") for name, shape in gru.items()}
    shapes |= {"fc_w": (74, HIDDEN), "fc_b": (74,)}
    file = io.BytesIO()
    np.savez(file, **{n: rng.normal(size=s).astype("float32") for n, s in shapes.items()})
    return wheel(tmp_path, "made_up/checkpoint.npz", file.getvalue())


def told(word: str, w: dict[str, Any]) -> list[str]:
    """The phonemes, by a GRU written out."""

    def gru(part: str, x: Any, h: Any) -> Any:
        ir, iz, i_n = np.split(x @ w[f"{part}_w_ih"].T + w[f"{part}_b_ih"], 3)
        hr, hz, hn = np.split(h @ w[f"{part}_w_hh"].T + w[f"{part}_b_hh"], 3)
        z = sigmoid(iz + hz)
        return (1 - z) * np.tanh(i_n + sigmoid(ir + hr) * hn) + z * h

    h = np.zeros(w["enc_w_hh"].shape[1])
    for letter in word:
        h = gru("enc", w["enc_emb"]["abcdefghijklmnopqrstuvwxyz".index(letter) + 3], h)
    h, said = gru("enc", w["enc_emb"][2], h), [2]
    for _ in range(20):
        h = gru("dec", w["dec_emb"][said[-1]], h)
        said.append(int(np.argmax(w["fc_w"] @ h + w["fc_b"])))
        if said[-1] == 3:
            break
    return [g2p.PHONEMES[index] for index in said[1:] if index != 3]


@pytest.mark.parametrize("framework", g2p.FRAMEWORKS)
def test_a_word_is_spelled_alike_in_every_framework(framework: str, g2p_wheel: str) -> None:
    arrays = g2p.read(g2p_wheel)
    runner = g2p.FRAMEWORKS[framework](g2p.cell(arrays, "enc"), g2p.cell(arrays, "dec"))
    for word in ("memory", "recurrent"):
        phonemes = g2p.spell(word, arrays, runner)
        assert phonemes == told(word, arrays) and phonemes
        if "g2p_en" in g2p_wheel and word == "memory":
            assert " ".join(phonemes) == "M EH1 M ER0 IY0"


def test_what_g2p_prints(g2p_wheel: str, capsys: pytest.CaptureFixture[str]) -> None:
    g2p.main(g2p_wheel, "Memory")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and len({line[12:] for line in lines}) == 1


@pytest.fixture(params=["made up", *real("silero_vad")], ids=lambda path: Path(path).stem)
def vad_wheel(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if isinstance(request.param, Path):
        return str(request.param)
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"stft_conv.weight": (10, 1, 256)}
    widths = {"conv1": (6, 5), "conv2": (4, 6), "conv3": (4, 4), "conv4": (8, 4)}
    for name, width in widths.items():
        shapes |= {f"{name}.weight": (*width, 3), f"{name}.bias": width[:1]}
    shapes |= {"lstm_cell.weight_ih": (32, 8), "lstm_cell.weight_hh": (32, 8)}
    shapes |= {"lstm_cell.bias_ih": (32,), "lstm_cell.bias_hh": (32,)}
    shapes |= {"final_conv.weight": (1, 8, 1), "final_conv.bias": (1,)}
    arrays = {n: (0.3 * rng.normal(size=s)).astype("float32") for n, s in shapes.items()}
    return wheel(tmp_path, "made_up/data/net_16k.safetensors", save(arrays))


def heard(sound: Any, w: dict[str, Any]) -> list[float]:
    """The likelihoods, window by window, sum by sum."""

    def convolve(x: Any, kernel: Any, stride: int) -> Any:
        width = kernel.shape[-1]
        places = range(0, x.shape[-1] - width + 1, stride)
        sums = [np.tensordot(kernel, x[:, p : p + width], 2) for p in places]
        return np.stack(sums, axis=-1)

    h = c = np.zeros(w["lstm_cell.weight_hh"].shape[1])
    line, found = np.concatenate([np.zeros(64), sound, np.zeros(-len(sound) % 512)]), []
    for begin in range(0, len(line) - 64, 512):
        x = line[begin : begin + 576]
        x = np.concatenate([x, x[-2:-66:-1]])[None]
        x = convolve(x, w["stft_conv.weight"], 128)
        x = np.hypot(*np.split(x, 2))
        for name, stride in {"conv1": 1, "conv2": 2, "conv3": 2, "conv4": 1}.items():
            x = convolve(np.pad(x, ((0, 0), (1, 1))), w[f"{name}.weight"], stride)
            x = np.maximum(x + w[f"{name}.bias"][:, None], 0)
        sums = w["lstm_cell.weight_ih"] @ x[:, 0] + w["lstm_cell.bias_ih"]
        i, f, g, o = np.split(sums + w["lstm_cell.weight_hh"] @ h + w["lstm_cell.bias_hh"], 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        logit = w["final_conv.weight"][0, :, 0] @ np.maximum(h, 0) + w["final_conv.bias"][0]
        found.append(sigmoid(logit))
    return found


def test_speech_is_as_likely_as_by_another_hand(vad_wheel: str) -> None:
    t = np.arange(6000) / 16_000
    sound = np.sin(2 * np.pi * 150 * t) * np.sin(2 * np.pi * 3 * t)
    sound += 0.05 * np.random.default_rng(0).normal(size=len(t))
    arrays = voice_activity.read(vad_wheel)
    likely = voice_activity.likely(sound.astype("float32"), arrays)
    assert likely.shape == (12,)
    np.testing.assert_allclose(likely, heard(sound, arrays), rtol=0, atol=1e-5)


def test_what_voice_activity_prints(
    vad_wheel: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for rate in (16_000, 8_000):
        with wave.open(str(tmp_path / f"{rate}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(bytes(2 * 1600))
    voice_activity.main(vad_wheel, str(tmp_path / "16000.wav"))
    assert len(capsys.readouterr().out.splitlines()) == 4
    with pytest.raises(ValueError, match=r"channels, bytes and rate \(1, 2, 8000\), expected"):
        voice_activity.main(vad_wheel, str(tmp_path / "8000.wav"))
