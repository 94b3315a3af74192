"""What the tests of tasks share."""

import hashlib

import numpy as np

from memcore.tasks import SPLITS


def first_rows(task, count=40, split="train"):
    source = task.source(split)
    return [source[index] for index in range(count)]


def asked(row):
    """The steps that count, with weight 1, and the answers there."""
    assert set(np.unique(row["weights"])) <= {0.0, 1.0}
    steps = np.flatnonzero(row["weights"])
    return steps.tolist(), row["targets"][steps].tolist()


def checksum(task, bits=None):
    """Of one row of each split; floats as whole numbers of `bits` binary places."""
    digest = hashlib.sha256()
    for split in SPLITS:
        row = task.source(split)[7]
        for key in ("xs", "targets", "weights"):
            array = row[key]
            whole = array if bits is None else np.rint(array * 2.0**bits)
            digest.update(whole.astype("<i4").tobytes())
    return digest.hexdigest()[:16]
