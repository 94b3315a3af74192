"""Continuous localization against products of SE(3) matrices and SciPy's rotations."""

import math

import numpy as np
import pytest

from memcore.tasks import Localization
from memcore.tasks.signals.localization import LENGTHS, compose
from memcore.tasks.signals.pose import pose_errors, pose_loss, rotation_matrix
from tasks.rows import checksum

pytestmark = pytest.mark.requires("scipy")


def motions(length, seed):
    """A row's motions in float64: rotation vectors and translations, (T, 3) each."""
    xs = Localization(length=length, seed=seed).source("train")[0]["xs"].astype(np.float64)
    return xs[:, :3], xs[:, 3:]


@pytest.mark.parametrize("length", LENGTHS)
def test_poses_are_products_of_se3_matrices(length):
    """Of Rodrigues' matrices, multiplied one by one.

    SciPy's `expm` is no reference here: its errors, some 1e-14 each, add up to 3e-11.
    """
    rotation, translation = motions(length, seed=length)
    orientation, position = compose(rotation, translation)
    pose = np.eye(4)
    for t in range(length):
        angle = np.linalg.norm(rotation[t])
        x, y, z = rotation[t] / angle
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        motion = np.eye(4)
        motion[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        motion[:3, 3] = translation[t]
        pose = pose @ motion
        assert abs(orientation[t] - pose[:3, :3]).max() < 1e-12
        assert abs(position[t] - pose[:3, 3]).max() < 1e-12


@pytest.mark.parametrize("length", LENGTHS)
def test_poses_are_those_of_scipys_rotations(length):
    from scipy.spatial.transform import Rotation

    rotation, translation = motions(length, seed=1)
    orientation, position = compose(rotation, translation)
    attitude, place = Rotation.identity(), np.zeros(3)
    for t in range(length):
        place = place + attitude.apply(translation[t])
        attitude = attitude * Rotation.from_rotvec(rotation[t])
        assert (attitude.inv() * Rotation.from_matrix(orientation[t])).magnitude() < 1e-12
        assert abs(position[t] - place).max() < 1e-12


def test_orientations_stay_orthonormal():
    orientation, _ = compose(*motions(1_000, seed=2))
    products = orientation @ np.swapaxes(orientation, 1, 2)
    assert abs(products - np.eye(3)).max() < 1e-14
    assert abs(np.linalg.det(orientation) - 1).max() < 1e-14


def test_no_motion_and_a_quarter_turn():
    quarter = [0, 0, math.pi / 2]
    orientation, position = compose(
        np.array([[0, 0, 0], quarter, quarter, [0, 0, 0]], np.float64),
        np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]], np.float64),
    )
    np.testing.assert_allclose(position, [[1, 0, 0], [2, 0, 0], [2, 1, 0], [1, 1, 0]], atol=1e-15)
    np.testing.assert_allclose(orientation[0], np.eye(3), atol=1e-15)
    np.testing.assert_allclose(orientation[3], np.diag([-1, -1, 1]), atol=1e-15)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_row_holds_motions_and_the_poses_they_lead_to(length):
    task = Localization(length=length)
    row = task.source("test")[3]
    xs = row["xs"].astype(np.float64)
    orientation, position = compose(xs[:, :3], xs[:, 3:])
    columns = np.concatenate([orientation[:, :, 0], orientation[:, :, 1]], axis=1)
    expected = np.concatenate([columns, position / np.sqrt(8 * length)], axis=1)
    np.testing.assert_array_equal(row["targets"], expected.astype(np.float32))
    assert row["starts"].nonzero()[0].tolist() == [0]
    assert (row["weights"] == 1).all()


def test_the_distribution_of_motions():
    source = Localization(length=100, turn=1.5).source("train")
    xs = np.concatenate([source[index]["xs"] for index in range(100)]).astype(np.float64)
    angle, distance = (np.linalg.norm(xs[:, part], axis=1) for part in (slice(3), slice(3, 6)))
    assert angle.max() <= 1.5 + 1e-4 and abs(angle.mean() - 0.75) < 0.03
    assert abs(np.quantile(angle, 0.25) - 0.375) < 0.03
    assert abs(distance.mean() - 2) < 0.1 and abs(np.median(distance) - 2 * math.log(2)) < 0.1
    for norm, part in ((angle, xs[:, :3]), (distance, xs[:, 3:])):
        direction = part / norm[:, None]
        assert abs(direction.mean(axis=0)).max() < 0.03
        assert abs(direction.T @ direction / len(xs) - np.eye(3) / 3).max() < 0.02


@pytest.mark.parametrize("turn", [0.1, math.pi])
def test_reach_is_the_usual_distance_at_the_end(turn):
    source = Localization(turn=turn).source("train")
    ends = np.array([source[index]["targets"][-1, 6:] for index in range(600)])
    assert abs((ends**2).sum(axis=1).mean() - 1) < 0.15


def test_the_numbers_are_the_same_on_every_machine():
    assert checksum(Localization(), bits=16) == "41a3b1ad0e957cb5"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 50}, "length is 50, expected one of 20, 100, 1000 steps"),
        ({"turn": 4.0}, "turn is 4.0, expected 0 to 3.14"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Localization(**options)


def random_poses(count, seed):
    """Poses as targets, from SciPy, (count, 9), and their rotations."""
    from scipy.spatial.transform import Rotation

    random = np.random.RandomState(seed)
    rotations = Rotation.from_quat(random.standard_normal((count, 4)))
    matrices = rotations.as_matrix()
    position = random.standard_normal((count, 3))
    return np.concatenate([matrices[:, :, 0], matrices[:, :, 1], position], axis=1), rotations


def test_the_errors_are_scipys_angle_and_the_squared_distance(backend, x64):
    (a, ra), (b, rb) = random_poses(200, 0), random_poses(200, 1)
    # A model's columns have any length, and the second any part along the first.
    predicted = np.concatenate([3 * a[:, :3], 0.5 * a[:, 3:6] - 2 * a[:, :3], a[:, 6:]], axis=1)
    given = backend.asarray((predicted, b))
    angle, squared = backend.to_numpy(pose_errors(*given))
    np.testing.assert_allclose(angle, (ra.inv() * rb).magnitude(), atol=1e-7)
    np.testing.assert_allclose(squared, ((a[:, 6:] - b[:, 6:]) ** 2).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(backend.to_numpy(pose_loss(*given)), angle + squared, rtol=1e-12)
    matrices = backend.to_numpy(rotation_matrix(given[0][..., :6]))
    np.testing.assert_allclose(matrices, ra.as_matrix(), atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-5, 1.0, math.pi - 1e-6, math.pi])
def test_small_and_great_angles_are_exact(backend, x64, angle):
    turned = [math.cos(angle), math.sin(angle), 0, -math.sin(angle), math.cos(angle), 0, 0, 0, 0]
    given = backend.asarray((np.array(turned), np.array([1.0, 0, 0, 0, 1, 0, 0, 0, 0])))
    assert abs(float(pose_errors(*given)[0]) - angle) < 1e-15 + 1e-12 * angle


@pytest.mark.backend("jax")
def test_gradients_are_finite_everywhere(backend):
    import jax
    import jax.numpy as jnp

    target = random_poses(5, 2)[0].astype(np.float32)
    predicted = target.copy()
    predicted[1] = 0
    predicted[2, 3:6] = predicted[2, :3]
    predicted[3, 3:6] *= -1
    predicted[4] += 0.1
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(pose_loss(x, jnp.asarray(target)))))
    found = np.asarray(gradient(jnp.asarray(predicted)))
    assert np.isfinite(found).all()
    assert abs(found[0]).max() < 1e-3
    step = jnp.asarray(predicted[4] - 1e-3 * found[4])
    assert pose_loss(step, target[4]) < pose_loss(jnp.asarray(predicted[4]), target[4])
