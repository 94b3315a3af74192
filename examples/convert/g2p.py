"""Spell a word as its phonemes, with the recurrent networks of g2p-en, in every framework.

    pip download --no-deps g2p-en
    python examples/convert/g2p.py g2p_en-2.1.0-py3-none-any.whl memory

An encoder reads the letters, and a decoder begins in the encoder's last state and says one phoneme
after the other. Both are GRUs in torch's layout. Their weights are read from the wheel, which is
neither installed nor imported.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

import memcore
from memcore.convert import from_weights

LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
PHONEMES = """
    <pad> <unk> <s> </s> AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0 AY1 AY2 B CH D DH EH0
    EH1 EH2 ER0 ER1 ER2 EY0 EY1 EY2 F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N NG OW0 OW1 OW2 OY0 OY1 OY2 P R S
    SH T TH UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH
""".split()
BEGIN, END = PHONEMES.index("<s>"), PHONEMES.index("</s>")
LONGEST = 20

Cell = tuple[memcore.Model, dict[str, Any]]
Runner = tuple[Callable[[Any], Any], Callable[[Any, Any], tuple[Any, Any]]]
"""``encode(xs) -> state`` and ``step(state, x) -> (state, y)``."""


def read(wheel: str) -> dict[str, np.ndarray]:
    """The arrays in the wheel."""
    with zipfile.ZipFile(wheel) as files:
        name = next(name for name in files.namelist() if name.endswith(".npz"))
        with np.load(io.BytesIO(files.read(name)), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def cell(arrays: dict[str, np.ndarray], part: str) -> Cell:
    """The encoder or the decoder, under the names that torch gives such weights."""
    names = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}
    weights = {theirs: arrays[f"{part}_{name}"] for theirs, name in names.items()}
    return from_weights("torch.nn.GRUCell", weights)


def in_numpy(encoder: Cell, decoder: Cell) -> Runner:
    return (
        lambda xs: encoder[0].apply(encoder[1], xs)[0],
        lambda state, x: memcore.step(*decoder, state, x),
    )


def in_jax(encoder: Cell, decoder: Cell) -> Runner:
    import jax
    import jax.numpy as jnp

    (encode, theirs), (decode, mine) = encoder, decoder
    theirs, mine = jax.tree.map(jnp.asarray, (theirs, mine))
    step = jax.jit(lambda state, x: memcore.step(decode, mine, state, x))
    return lambda xs: encode.apply(theirs, jnp.asarray(xs))[0], step


def in_equinox(encoder: Cell, decoder: Cell) -> Runner:
    import equinox as eqx
    import jax.numpy as jnp

    from memcore_equinox import Memory

    encode, decode = (Memory(model, params=params) for model, params in (encoder, decoder))
    return lambda xs: encode(jnp.asarray(xs))[0], eqx.filter_jit(decode.step)


def in_linen(encoder: Cell, decoder: Cell) -> Runner:
    import jax
    import jax.numpy as jnp

    from memcore_flax.linen import Memory

    (encode, theirs), (decode, mine) = encoder, decoder
    variables = [{"params": {"memory": params}} for params in (theirs, mine)]
    step = jax.jit(lambda state, x: Memory(decode).apply(variables[1], state, x, method="step"))
    return lambda xs: Memory(encode).apply(variables[0], jnp.asarray(xs))[0], step


def in_nnx(encoder: Cell, decoder: Cell) -> Runner:
    import jax.numpy as jnp
    from flax import nnx

    from memcore_flax.nnx import Memory

    encode, decode = (Memory(model, params=params) for model, params in (encoder, decoder))
    step = nnx.jit(lambda module, state, x: module.step(state, x))
    return lambda xs: encode(jnp.asarray(xs))[0], lambda state, x: step(decode, state, x)


FRAMEWORKS = {
    "NumPy": in_numpy,
    "JAX": in_jax,
    "Equinox": in_equinox,
    "Flax Linen": in_linen,
    "Flax NNX": in_nnx,
}


def spell(word: str, arrays: dict[str, np.ndarray], runner: Runner) -> list[str]:
    """The phonemes of a word, each the likeliest after those before it."""
    encode, step = runner
    known = [LETTERS.index(letter if letter in LETTERS else "<unk>") for letter in word]
    state, said = encode(arrays["enc_emb"][[*known, LETTERS.index("</s>")]]), [BEGIN]
    while len(said) <= LONGEST:
        state, y = step(state, arrays["dec_emb"][said[-1]])
        best = int(np.argmax(np.asarray(y) @ arrays["fc_w"].T + arrays["fc_b"]))
        if best == END:
            break
        said.append(best)
    return [PHONEMES[index] for index in said[1:]]


def main(wheel: str, *words: str) -> None:
    arrays = read(wheel)
    encoder, decoder = cell(arrays, "enc"), cell(arrays, "dec")
    for name, framework in FRAMEWORKS.items():
        runner = framework(encoder, decoder)
        for word in words or ("memory",):
            print(f"{name:12}{word:16}{' '.join(spell(word.lower(), arrays, runner))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
