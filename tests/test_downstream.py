"""Agreement of what is found in an image with what is found in its reference."""

import pickle
import sys

import numpy as np
import pytest
import torch
from scipy.ndimage import shift

from mrirecon.downstream import LABELS, TissueSegmenter
from mrirecon.errors import ConfigError, ShapeError
from mrirecon.interruption import Interrupted
from mrirecon.metrics import Dice, LandmarkShift, Segmenter, VolumeDifference, segmentation_metrics
from mrirecon.metrics.landmarks import REACH, landmarks
from mrirecon.metrics.own import OwnMetric
from mrirecon.simulation.anatomy import Anatomy
from mrirecon.simulation.contrast import CONTRASTS
from mrirecon.simulation.simulated_scan import SimulatedScan
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol
from mrirecon.simulation.tissues import INDEX
from mrirecon.users_code import users_code
from mrirecon.weights.safetensors_file import FACTS, write_safetensors
from tests import scenes
from tests.commands import mrirecon

GROUPS = (("csf",), ("grey", "deep_grey", "pallidum"), ("white",))


class Thresholds:
    def __init__(self):
        self.calls, self.labels = 0, {1: "dim", 2: "bright"}

    def __call__(self, volume):
        self.calls += 1
        return (volume > 1).astype(int) + (volume > 2)


def volumes():
    """Four dim and two bright voxels; in the image one of each is missing."""
    reference = torch.zeros(1, 4, 4)
    reference[0, 0], reference[0, 1, :2] = 1.5, 3
    image = reference.clone()
    image[0, 0, 0] = image[0, 1, 0] = 0
    return image, reference


def test_labels_are_counted():
    image, reference = volumes()
    found = {n: m(image, reference) for n, m in segmentation_metrics(Thresholds(), True).items()}
    assert found == pytest.approx(
        {
            "dice": (6 / 7 + 2 / 3) / 2, "dice_dim": 6 / 7, "dice_bright": 2 / 3,
            "volume": (200 / 7 + 200 / 3) / 2, "volume_dim": 200 / 7, "volume_bright": 200 / 3,
        }
    )  # fmt: skip
    assert [*segmentation_metrics(Thresholds())] == ["dice", "volume"]
    where = torch.zeros(1, 4, 4, dtype=torch.bool)
    where[0, :, 1:] = True
    metric = Dice(Segmenter(Thresholds()))
    assert metric(image, reference, where) == 1  # what is missing lies elsewhere
    assert metric(reference, reference) == 1


def test_what_neither_has_agrees_and_what_only_one_has_does_not():
    empty, (_, reference) = torch.zeros(1, 4, 4), volumes()
    for metric, alike, different in ((Dice, 1, 0), (VolumeDifference, 0, 200)):
        for label in (None, 1):
            one = metric(Segmenter(Thresholds()), label)
            assert one(empty, empty) == alike and one(empty, reference) == different


def test_each_volume_is_segmented_once_also_after_it_was_sent_to_another_process():
    image, reference = volumes()
    metrics = segmentation_metrics(Thresholds(), each_label=True)
    (segmenter,) = {id(m.segmenter): m.segmenter for m in metrics.values()}.values()
    for metric in metrics.values():
        metric(image, reference)
    assert segmenter.function.calls == 2
    again = pickle.loads(pickle.dumps(metrics))
    assert again["dice"].segmenter is again["volume_dim"].segmenter
    assert again["dice"](image, reference) == metrics["dice"](image, reference)


def halves(volume, at=2):
    return torch.from_numpy(volume > at)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda volume: volume, "integers of shape"),
        (lambda _: np.zeros(3, int), "got int64 of shape"),
        (lambda _: None, "got object"),
        (3, "int cannot be called"),
    ],
)
def test_a_segmenter_that_is_none_is_told(function, told):
    with pytest.raises(ConfigError, match=told):
        Dice(Segmenter(function))(*volumes())


def test_any_function_will_do_and_its_names_are_checked():
    assert Dice(Segmenter(halves))(*volumes()) == pytest.approx(2 / 3)
    for labels in (["dim"], None, {"x": "dim"}, {1: "dim", 2: "dim"}, {1: "dim", "1": "bright"}):
        bad = Thresholds()
        bad.labels = labels
        with pytest.raises(ConfigError, match="numbers and their names"):
            Segmenter(bad)


def raising(*_):
    return {}["mine"]


def leaving(*_):
    sys.exit(0)


def sparse(volume):
    return torch.ones(volume.shape).to_sparse()


@pytest.mark.parametrize("metric", [lambda f: Dice(Segmenter(f)), lambda f: OwnMetric(f, "mine")])
@pytest.mark.parametrize(
    ("function", "told"),
    [
        (raising, r"raising, .* raised KeyError: 'mine' \(.*test_downstream.py, line \d+\)$"),
        (
            leaving,
            r"leaving, .* raised SystemExit: 0 \(.*test_downstream.py",
        ),  # as if all were well
        (lambda: 1, r"<lambda>, .* raised TypeError.* positional arguments? but [12] w"),
    ],
)
def test_code_of_a_user_that_fails_is_told_as_such(metric, function, told):
    with pytest.raises(ConfigError, match=told):
        metric(function)(*volumes())


def test_signals_and_our_own_errors_pass_through_code_of_a_user():
    for error in (Interrupted(2), ShapeError("other sizes"), KeyboardInterrupt()):
        with pytest.raises(type(error)), users_code("metric", raising):
            raise error
    with pytest.raises(KeyError), users_code("metric", TissueSegmenter()):
        raise KeyError
    with pytest.raises(ConfigError, match=r"sparse, .* raised TypeError"):
        Segmenter(sparse)(volumes()[0])


def test_what_a_function_does_to_its_arrays_changes_nothing():
    def spoils(image, reference=None):
        image[:] = 0
        return image.astype(int) if reference is None else 1.0

    image, reference = (one.double() for one in volumes())
    Dice(Segmenter(spoils))(image, reference)
    OwnMetric(spoils, "mine")(image, reference)
    assert image.sum() > 0


@pytest.fixture(scope="module")
def head():
    scan = scenes.scan(matrix=(96, 96), slices=1)
    return torch.from_numpy(scan.target(0).numpy()[None])


@pytest.mark.parametrize("moved", [(0, 0), (0, 1), (1.5, -0.5), (-2.3, 0.7)])
def test_landmarks_are_found_where_they_are(head, moved):
    image = torch.from_numpy(shift(head[0].numpy(), moved, order=3)[None])
    found = LandmarkShift()(image, head)
    assert found == pytest.approx(np.hypot(*moved), abs=0.12)


def test_landmarks_that_are_lost_count_as_far_away(head):
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(head.shape, generator=generator)
    assert LandmarkShift()(noise, head) > 0.8 * REACH
    blurred = torch.nn.functional.avg_pool2d(head, 5, 1, 2)
    assert 0.05 < LandmarkShift()(blurred, head) < LandmarkShift()(noise, head)
    assert LandmarkShift()(3 * head, head) == pytest.approx(0, abs=1e-6)


def test_landmarks_lie_apart_and_inside(head):
    places = landmarks(head[0].double().numpy())
    assert 10 < len(places) <= 60
    assert places.min() >= 11 and places.max() < 96 - 11
    distances = np.abs(places[:, None] - places).max(-1) + 100 * np.eye(len(places))
    assert distances.min() > 6
    where = torch.zeros(head.shape, dtype=torch.bool)
    with pytest.raises(ShapeError, match="holds no voxel"):
        LandmarkShift()(head, head, where)
    where[:, :5] = True
    with pytest.raises(ShapeError, match="no landmark"):
        LandmarkShift()(head, head, where)
    with pytest.raises(ShapeError, match="at least 23 pixels"):
        LandmarkShift()(head[:, :20], head[:, :20])


def slice_and_truth(contrast):
    """A slice of a head that nobody has learned from, and what the simulation knows of it."""
    prescription = Prescription(matrix=(128, 128), slices=1)
    protocol = SimulationProtocol(prescription=prescription, contrast=CONTRASTS[contrast])
    image = SimulatedScan(70_000, protocol).target(0).numpy()[None]
    anatomy = Anatomy.draw(np.random.default_rng((70_000, 0)), protocol.lesions)
    axis = (np.arange(128) - 64) * prescription.voxel[0]
    fractions, _ = anatomy.fractions(prescription.points(0, axis, axis).astype(np.float32), 1.7)
    shares = [fractions[[INDEX[name] for name in names]].sum(0) for names in GROUPS]
    labels = np.stack([1 - np.sum(shares, 0), *shares]).argmax(0).reshape(128, 128)
    return image, labels


@pytest.mark.parametrize("contrast", ["t1", "t2", "flair"])
def test_tissues_of_a_head_that_the_network_has_not_seen(contrast):
    image, truth = slice_and_truth(contrast)
    found = TissueSegmenter()(image)
    for label in LABELS:
        a, b = found[0] == label, truth == label
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.6
    assert (TissueSegmenter()(1e-5 * image) == found).all()  # whatever the unit


def test_slices_that_are_too_small_are_told():
    with pytest.raises(ShapeError, match="at least 8 x 8"):
        TissueSegmenter()(np.ones((1, 4, 30), np.float32))


def test_other_weights_are_told(tmp_path):
    facts = dict.fromkeys(FACTS)
    write_safetensors(tmp_path / "a.safetensors", {"a": torch.ones(1)}, facts)
    with pytest.raises(ConfigError, match=r"a\.safetensors holds other weights"):
        TissueSegmenter(str(tmp_path / "a.safetensors"))(np.ones((1, 16, 16), np.float32))


def test_labels_without_a_segmenter_are_refused(tmp_path):
    told = mrirecon(
        "evaluate",
        "reference=a",
        "reconstruction=b",
        "each_label=true",
        folder=tmp_path,
        fails=True,
    )
    assert "needs a segmenter, segmenter=tissues" in told


def test_weights_that_are_none_are_told(tmp_path):
    (tmp_path / "a.safetensors").write_text("no weights")
    with pytest.raises(ConfigError, match=r"^segmenter: .*a\.safetensors is no readable"):
        TissueSegmenter(str(tmp_path / "a.safetensors"))(np.ones((1, 16, 16), np.float32))
