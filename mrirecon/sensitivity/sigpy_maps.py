"""sigpy's estimators behind our role, as a reference to compare with; sigpy is optional."""

from abc import abstractmethod
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.image import center_fit
from mrirecon.sensitivity.base import (
    SensitivityEstimator,
    calibration_blocks,
    check_calibration,
    fitting_kernel,
    in_order,
    kernel_remark,
    maps_shape,
    unit_norm,
)
from mrirecon.types import Maps, Sample


class _Sigpy(SensitivityEstimator):
    """Runs one of sigpy's apps, on the CPU, on each slice's calibration data."""

    name = ""

    def __init__(self, calibration: int, smallest: int) -> None:
        super().__init__()
        self.calibration = calibration
        self._smallest = smallest

    @torch.no_grad()
    def forward(self, sample: Sample) -> Maps:
        """Return sigpy's maps; zero for an empty slice.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
            ConfigError: When sigpy is not installed.
        """
        app = _sigpy_apps()
        if sample.kspace.shape[-3] == 1:
            return sample.kspace.new_ones(maps_shape(sample))
        h, w = sample.grid
        members: list[int] = []
        maps: list[Tensor] = []
        for chosen, block in calibration_blocks(
            sample, self.calibration, self._smallest, self.name
        ):
            # at least on a grid of its own size, whatever the size of the reference scan
            for kspace in center_fit(block, (h, w)):
                found = torch.zeros_like(kspace)
                scale = float(kspace.abs().max())
                if scale > 0:
                    result = self._run(app, (kspace / scale).cpu().numpy(), min(block.shape[-2:]))
                    found = torch.from_numpy(np.ascontiguousarray(result)).to(found)
                maps.append(found.unsqueeze(0))
            members += chosen
        return unit_norm(in_order([torch.cat(maps)], members)).reshape(maps_shape(sample))

    @abstractmethod
    def _run(self, app: ModuleType, kspace: np.ndarray, width: int) -> Any:
        """Return the maps of one slice."""


class SigpyEspirit(_Sigpy):
    """ESPIRiT by ``sigpy.mri.app.EspiritCalib`` (Ong and Lustig, ISMRM 2019, 4819).

    Its phase is relative to the first coil. Arguments as for
    :class:`~mrirecon.sensitivity.Espirit`, with sigpy's defaults.
    """

    name = "sigpy's ESPIRiT"

    def __init__(
        self, kernel: int = 6, calibration: int = 24, threshold: float = 0.02, crop: float = 0.95
    ) -> None:
        check_calibration(kernel, calibration, 3)
        super().__init__(calibration, 5)
        self.kernel, self.threshold, self.crop = kernel, threshold, crop

    def remarks(self, sample: Sample) -> tuple[str, ...]:
        return kernel_remark(sample, self.kernel, self.name)

    def _run(self, app: ModuleType, kspace: np.ndarray, width: int) -> Any:
        return app.EspiritCalib(
            kspace, calib_width=width, thresh=self.threshold,
            kernel_width=fitting_kernel(self.kernel, (width,)), crop=self.crop, show_pbar=False,
        ).run()  # fmt: skip


class SigpyJsense(_Sigpy):
    """Joint estimation by ``sigpy.mri.app.JsenseRecon`` (Ying and Sheng, MRM 57:1196, 2007).

    Args:
        kernel: Width of the sensitivities in k-space.
        calibration: Largest width of the calibration region.
        iterations: Alternations between image and sensitivities, and steps within each.
    """

    name = "sigpy's JSENSE"

    def __init__(self, kernel: int = 16, calibration: int = 24, iterations: int = 10) -> None:
        if kernel < 3 or calibration < kernel:
            raise ValueError(
                "kernel must be at least 3 and calibration at least the kernel, "
                f"got {kernel} and {calibration}"
            )
        super().__init__(calibration, 3)
        self.kernel, self.iterations = kernel, iterations

    def remarks(self, sample: Sample) -> tuple[str, ...]:
        return kernel_remark(sample, self.kernel, self.name, 1)

    def _run(self, app: ModuleType, kspace: np.ndarray, width: int) -> Any:
        return app.JsenseRecon(
            kspace, mps_ker_width=fitting_kernel(self.kernel, (width,), 1), ksp_calib_width=width,
            max_iter=self.iterations, max_inner_iter=self.iterations, show_pbar=False,
        ).run()  # fmt: skip


def _sigpy_apps() -> ModuleType:
    try:
        import sigpy.mri.app
    except ImportError as error:
        raise ConfigError(
            "sigpy's estimators need the package sigpy: pip install sigpy, or choose "
            "sensitivity=espirit"
        ) from error
    app: ModuleType = sigpy.mri.app
    return app
