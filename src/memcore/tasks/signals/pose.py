"""Poses: an orientation as two columns of its matrix and a position; and how far two are apart.

A pose is nine numbers: the first column of the rotation matrix, the second one, the position. The
columns are the 6D representation of rotations (arXiv:1812.07035), which unlike angles, rotation
vectors and quaternions has no jumps for a model to learn; any six numbers, save that the two
vectors are parallel, give a rotation. Functions of arrays of any library.
"""

from memcore.backend import namespace
from memcore.types import Array

SMALLEST = 1e-6
"""A vector shorter than this is divided by this instead of its length."""


def pose_loss(predicted: Array, target: Array) -> Array:
    """The loss "pose": the geodesic angle in radians plus the squared distance.

    predicted, target (..., 9) floats; returns (...). Gradients are finite everywhere.
    """
    angle, squared = pose_errors(predicted, target)
    return angle + squared


def pose_errors(predicted: Array, target: Array) -> tuple[Array, Array]:
    """The geodesic angle between two orientations, 0 to pi, and the squared distance: each (...).

    predicted, target (..., 9) floats: see the module. The angle is that of the rotation
    R = predicted^T target, by atan2(sin, cos): exact at small angles too, where arccos of the
    trace is not.
    """
    xp = namespace(predicted)
    a, b = rotation_matrix(predicted[..., :6]), rotation_matrix(target[..., :6])
    between = xp.matmul(xp.matrix_transpose(a), b)
    skew = (between - xp.matrix_transpose(between)) / 2
    sine = _norm(xp.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], axis=-1))
    cosine = (between[..., 0, 0] + between[..., 1, 1] + between[..., 2, 2] - 1) / 2
    apart = predicted[..., 6:] - target[..., 6:]
    return xp.atan2(sine[..., 0], cosine), xp.sum(apart * apart, axis=-1)


def rotation_matrix(columns: Array) -> Array:
    """The rotation (..., 3, 3) of six numbers (..., 6), by Gram-Schmidt (eq. 15 of 1812.07035).

    The first column has the direction of the first three numbers, the second that of the part of
    the others that is orthogonal to it, and the third is their cross product.
    """
    xp = namespace(columns)
    first = _unit(columns[..., :3])
    second = columns[..., 3:]
    second = _unit(second - xp.sum(first * second, axis=-1, keepdims=True) * first)
    third = xp.linalg.cross(first, second)
    return xp.stack([first, second, third], axis=-1)


def _unit(vector: Array) -> Array:
    xp = namespace(vector)
    return vector / xp.maximum(_norm(vector), xp.full_like(vector[..., :1], SMALLEST))


def _norm(vector: Array) -> Array:
    """The length (..., 1), whose gradient at zero is zero instead of NaN."""
    xp = namespace(vector)
    squared = xp.sum(vector * vector, axis=-1, keepdims=True)
    positive = squared > 0
    root = xp.sqrt(xp.where(positive, squared, xp.ones_like(squared)))
    return xp.where(positive, root, xp.zeros_like(squared))
