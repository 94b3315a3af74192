"""The functions of memcore.ops, each with random inputs and a plain float64 loop of its equations.

The loops know nothing of the library: one step of one sequence at a time, on NumPy arrays. A family of
rules is a module here with its own OPS; every test in test_ops.py runs over all of them.
"""

from op_cases import deltas, memories, mlstm, recurrences, softmax, windows
from op_cases.base import BATCH as BATCH
from op_cases.base import HEADS as HEADS
from op_cases.base import KEYS as KEYS
from op_cases.base import VALUES as VALUES
from op_cases.base import WIDTH as WIDTH
from op_cases.base import WINDOW as WINDOW
from op_cases.base import Op as Op
from op_cases.base import loop as loop

OPS: dict[str, Op] = {
    **recurrences.OPS,
    **memories.OPS,
    **deltas.OPS,
    **mlstm.OPS,
    **softmax.OPS,
    **windows.OPS,
}
