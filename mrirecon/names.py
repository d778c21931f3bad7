"""Public names of the parts of a configuration, and what older files call them.

Files on users' disks (checkpoints, configurations) name a part by the package that exports it, as
in ``mrirecon.reconstructors.VarNet``. Where it is defined is nobody's business, and may change.
"""

import importlib
from functools import lru_cache
from importlib.util import find_spec

PACKAGES = (
    "mrirecon.data",
    "mrirecon.networks",
    "mrirecon.reconstructors",
    "mrirecon.sampling",
    "mrirecon.sensitivity",
    "mrirecon.simulation",
    "mrirecon.training",
)
"""Whose exports a configuration may name."""
FORMER_MODULES = {
    "mrirecon.reconstructors": (
        "adaptive_combine adaptive_cs_net cascade_net cg_sense data_consistency deep_unrolled "
        "fi_varnet grappa ista_net kspace_consistency l1_wavelet locally_low_rank lpd_net "
        "map_refinement modl partial_fourier recurrent_varnet rim sigpy_apps soft_sense "
        "spirit total_variation unet varnet vsharp xpdnet zero_filled"
    ),
    "mrirecon.data": "coils",
    "mrirecon.sampling": "grid",
    "mrirecon.simulation": "acquisition protocol scan",
    "mrirecon.networks": "conditioning features joint_network",
    "mrirecon.training": (
        "averaging callbacks compilation consistency equivariant iterates last_checkpoint "
        "memory objective penalty perturbations progress self_supervised weighted"
    ),
}
"""Where version 0.1 defined the exports of a package: modules that have another place by now."""
RENAMED = {
    "mrirecon.networks.JointUnet": "mrirecon.networks.FusionUnet",
    "mrirecon.networks.joint_unet.JointUnet": "mrirecon.networks.FusionUnet",
    "mrirecon.reading.Reading": "mrirecon.read_options.ReadOptions",
}
"""Parts that version 0.1 called otherwise."""


@lru_cache(maxsize=1024)
def public_name(path: str) -> str:
    """Return the name under which a part is exported; the path itself where it is not.

    Args:
        path: Path of a ``_target_``: the public name, or where a version of mrirecon defined it.
    """
    path = RENAMED.get(path, path)
    module, _, name = path.rpartition(".")
    package = next((one for one in PACKAGES if module.startswith(f"{one}.")), None)
    if package is None or name not in importlib.import_module(package).__all__:
        return path
    former = module.removeprefix(f"{package}.") in FORMER_MODULES.get(package, "").split()
    return f"{package}.{name}" if former or _exists(module) else path


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # the path may be anything
        return False
