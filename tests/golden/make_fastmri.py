"""Makes ``fastmri.npz`` with the fastmri package; run by hand, in an environment of its own.

python -m venv fm
fm/bin/pip install torch==2.13.0
fm/bin/pip install --no-deps fastmri==0.3.0
fm/bin/pip install requests tqdm pyyaml h5py numpy scikit-image runstats pandas
fm/bin/python tests/golden/make_fastmri.py
"""

import sys
import types
from pathlib import Path

import numpy as np
import torch

sys.modules["torchvision"] = types.ModuleType("torchvision")

import fastmri  # noqa: E402
import formula  # noqa: E402
from fastmri.data.transforms import UnetDataTransform, to_tensor  # noqa: E402
from fastmri.models import Unet, VarNet  # noqa: E402
from fastmri.models.varnet import NormUnet  # noqa: E402


def filled(model):
    state = model.state_dict()
    for name, value in state.items():
        value.copy_(torch.from_numpy(np.asarray(formula.parameter(name, tuple(value.shape)))))
    return model.eval()


@torch.no_grad()
def main():
    golden = {}
    varnet = filled(VarNet(num_cascades=2, sens_chans=2, sens_pools=2, chans=4, pools=2))
    unet, norm_unet = filled(Unet(1, 1, chans=4, num_pool_layers=3)), filled(NormUnet(4, 2))
    for name in formula.SHAPES:
        mask = formula.lines(name)
        masked = (formula.kspace(name) * mask).astype(np.complex64)
        y = to_tensor(masked)[None]
        m = torch.from_numpy(mask)[None, None, None, :, None]
        for rule, count in [("told", formula.LINES[name]), ("auto", None)]:
            golden[f"varnet/{name}/{rule}"] = varnet(y, m, count)[0].numpy()
            maps = varnet.sens_net(y, m, count)[0]
            golden[f"maps/{name}/{rule}"] = torch.view_as_complex(maps.contiguous()).numpy()
        image = fastmri.ifft2c(y)[:, :1]
        golden[f"norm_unet/{name}"] = torch.view_as_complex(norm_unet(image))[0, 0].numpy()
        for key, size in [("unet", formula.SHAPES[name]), ("unet_cropped", formula.CROPS[name])]:
            attributes = {"recon_size": (*size, 1), "max": 1.0}
            sample = UnetDataTransform("multicoil")(masked, mask, None, attributes, "", 0)
            output = unet(sample.image[None, None])[0, 0]
            golden[f"{key}/{name}"] = (output * sample.std + sample.mean).numpy()
    x, y, peak = (torch.from_numpy(value) for value in formula.images())
    loss = fastmri.SSIMLoss()
    golden["ssim_loss"] = np.array(
        [loss(x[i : i + 1, None], y[i : i + 1, None], peak[i : i + 1]).item() for i in range(2)]
    )
    golden["keys/varnet"] = np.array(list(VarNet().state_dict()))
    golden["keys/unet"] = np.array(list(Unet(1, 1).state_dict()))
    np.savez_compressed(Path(__file__).with_name("fastmri.npz"), **golden)


if __name__ == "__main__":
    main()
