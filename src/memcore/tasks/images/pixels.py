"""Images read pixel by pixel, one class per image asked for at the last step."""

from dataclasses import dataclass

import numpy as np

from memcore.tasks.base.task import Example, check_index


@dataclass(frozen=True, eq=False)
class PixelRows:
    """The chosen images as rows of T = height * width steps of one feature in [0, 1].

    images (N, T) with values from 0 to `peak`, labels (N,) ints, indices (n,) which of the N
    belong to this split, order (T,) the order in which pixels are read.
    """

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray
    order: np.ndarray
    peak: float

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Example:
        check_index(index, len(self))
        row = self.indices[index]
        length = len(self.order)
        pixels = self.images[row][self.order].astype(np.float32) / np.float32(self.peak)
        starts, weights = np.zeros(length, bool), np.zeros(length, np.float32)
        starts[0], weights[-1] = True, 1.0
        return {
            "xs": pixels[:, None],
            "starts": starts,
            "targets": np.full(length, self.labels[row], np.int32),
            "weights": weights,
        }
