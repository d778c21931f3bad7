import h5py
import numpy as np
import pytest
import torch

from mrirecon.data.collate import collate
from mrirecon.image import center_crop, center_fit, root_sum_of_squares
from mrirecon.inference import reconstruct_scan
from mrirecon.loading import load_reconstructor
from mrirecon.readers import open_scan
from mrirecon.reconstructors.learned.unet import UNet
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.sensitivity import LearnedMaps
from mrirecon.toolkits.fastmri import strip_prefixes
from tests.golden.formula import CROPS, SHAPES
from tests.golden.reference import coil_images, filled, golden, sample

CASES = [(name, rule) for name in SHAPES for rule in ("told", "auto")]


def small_varnet():
    return VarNet(cascades=2, channels=4, pools=2, sensitivity=LearnedMaps(2, 2))


def assert_same(result, expected):
    error = torch.linalg.vector_norm(result - expected) / torch.linalg.vector_norm(expected)
    assert error < 1e-5


@pytest.mark.parametrize(("name", "rule"), CASES)
def test_varnet_agrees_with_fastmri(name, rule):
    with torch.no_grad():
        image = filled(small_varnet())(sample(name, rule))
    assert_same(image.real, torch.from_numpy(golden(f"varnet/{name}/{rule}")))


@pytest.mark.parametrize(("name", "rule"), CASES)
def test_learned_maps_agree_with_fastmri(name, rule):
    with torch.no_grad():
        maps = filled(small_varnet()).sens_net(sample(name, rule))
    assert_same(maps, torch.from_numpy(golden(f"maps/{name}/{rule}")))


@pytest.mark.parametrize("name", SHAPES)
def test_unet_agrees_with_fastmri_and_its_transform(name):
    with torch.no_grad():
        image = filled(UNet(channels=4, pools=3), "unet.")(sample(name))
    assert_same(image.real, torch.from_numpy(golden(f"unet/{name}")))


@pytest.mark.parametrize("name", SHAPES)
def test_unet_sees_what_fastmris_transform_shows_it(name):
    """Cropped before mean and deviation are taken; a batch may hold several sizes."""
    size = torch.tensor(CROPS[name])
    told = [sample(name).replace(region=region) for region in (size, torch.tensor(SHAPES[name]))]
    with torch.no_grad():
        images = filled(UNet(4, 3, crop=True), "unet.")(collate(told)).real
    assert_same(
        center_crop(images[0], CROPS[name]), torch.from_numpy(golden(f"unet_cropped/{name}"))
    )
    assert_same(images[1], torch.from_numpy(golden(f"unet/{name}")))
    outside = ~center_fit(torch.ones(CROPS[name]), SHAPES[name]).bool()
    assert torch.equal(images[0][outside], root_sum_of_squares(coil_images(name))[outside])


@pytest.mark.parametrize("name", SHAPES)
def test_public_weights_of_a_unet_bring_their_preprocessing(name, tmp_path):
    """From a file of fastMRI's layout to the image that fastMRI makes of it."""
    weights = filled(UNet(4, 3), "unet.").unet.state_dict()
    torch.save(weights, tmp_path / "knee_mc_leaderboard_state_dict.pt")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = sample(name).kspace[None].numpy()
        file["mask"] = sample(name).mask[0].numpy()
        file["reconstruction_rss"] = np.ones((1, *CROPS[name]), np.float32)  # tells the size only
    network, transform = load_reconstructor(tmp_path / "knee_mc_leaderboard_state_dict.pt")
    volume = reconstruct_scan(open_scan(tmp_path / "a.h5"), network, transform)
    expected = torch.from_numpy(golden(f"unet_cropped/{name}"))
    assert volume.shape == (1, *CROPS[name])
    assert_same(volume[0], expected.abs())
    network.crop = False
    other = reconstruct_scan(open_scan(tmp_path / "a.h5"), network, transform)
    assert (other[0] - expected).norm() > 0.01 * expected.norm()


@pytest.mark.parametrize(
    ("cascades", "parameters"), [(12, 29_936_966), (8, 20_119_610), (6, 15_210_932)]
)
def test_varnet_is_as_large_as_published(cascades, parameters):
    with torch.device("meta"):
        model = VarNet(cascades=cascades)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert sum(p.numel() for p in model.sens_net.parameters()) == 484_898
    assert sum(p.numel() for p in model.cascades[0].parameters()) == 2_454_339


def test_varnet_has_the_published_keys():
    with torch.device("meta"):
        state = VarNet().state_dict()
    assert list(state) == golden("keys/varnet").tolist()
    assert len(state) == 324
    assert state["cascades.11.dc_weight"].shape == (1,)
    assert state["cascades.0.model.unet.conv.layers.0.weight"].shape == (288, 144, 3, 3)
    assert state["sens_net.norm_unet.unet.down_sample_layers.0.layers.0.weight"].shape[0] == 8


EXTRAS = {"loss.w": torch.ones(1, 1, 7, 7), "NMSE.quantity": torch.zeros(1)}


def test_lightning_checkpoint_of_a_varnet_loads():
    model = small_varnet()
    state = {f"varnet.{name}": value for name, value in model.state_dict().items()}
    model.load_state_dict(strip_prefixes({"epoch": 3, "state_dict": {**state, **EXTRAS}}))


@pytest.mark.parametrize("prefix", ["", "unet."])
def test_published_weights_of_a_unet_load(prefix):
    model = UNet(channels=2, pools=2)
    state = {f"{prefix}{name}": value for name, value in model.unet.state_dict().items()}
    model.load_state_dict(strip_prefixes({**state, **EXTRAS}))


def test_our_own_names_pass_unchanged():
    for model in (small_varnet(), UNet(channels=2, pools=2)):
        assert strip_prefixes(model.state_dict()).keys() == model.state_dict().keys()


def test_foreign_weights_are_refused():
    with pytest.raises(ValueError, match="found layer1"):
        strip_prefixes({"layer1.weight": torch.zeros(1)})
