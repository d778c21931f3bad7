"""The front door for Python: from a file or an array to images in one call."""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from mrirecon.building import build_callable, build_node
from mrirecon.choices import choices
from mrirecon.config import composed
from mrirecon.data.transforms import Compose, Normalize
from mrirecon.errors import ConfigError, ShapeError
from mrirecon.evaluation.scores.protocol import Protocol, Score, score
from mrirecon.files import conf_folder
from mrirecon.image_series import ImageSeries
from mrirecon.loading import load_with_domain, packaged_weights
from mrirecon.memory_scan import MemoryScan, SampleScan, as_kspace
from mrirecon.pipeline import Method, Request, ensemble_of, run
from mrirecon.privacy import identified
from mrirecon.readers import open_scan
from mrirecon.reconstruction import series_of
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.guarded import guarded
from mrirecon.sampling import SamplingPattern
from mrirecon.scan import Scan
from mrirecon.selection import Selection
from mrirecon.sensitivity import Espirit
from mrirecon.types import Sample
from mrirecon.uncertainty import Spread
from mrirecon.uncertainty.bounds import Bounds
from mrirecon.weights import weights_file

Source = str | Path | Scan | Sample | np.ndarray | Tensor


def load(
    name: str | Path | Sequence[str | Path],
    trust: Collection[str] = (),
    *,
    fallback: str | Reconstructor | None = None,
) -> Method:
    """Load a method by its name, classical or with weights of this package, or a checkpoint.

    Args:
        name: Choice of ``model=`` of ``mrirecon reconstruct``, such as ``"cg_sense"`` or ``"pnp"``;
            or the path of a checkpoint of ``mrirecon train`` or of public weights, or ``zoo:`` and
            the name of weights that ``mrirecon models`` lists. A list of these is an ensemble:
            the image is the mean of theirs.
        trust: Packages whose classes the checkpoint may name.
        fallback: Classical method for planes that are unlike what the weights have learned from,
            or a choice of ``fallback=`` of ``mrirecon reconstruct``, such as ``"l1_wavelet"``; None
            takes none.

    Raises:
        ConfigError: When there is neither such a file nor such a method, the checkpoint does not
            fit, a learned method is named without weights, or the weights do not tell what they
            have learned from and there is a fallback.
    """
    if not isinstance(name, str | Path):
        return ensemble_of([load(one, trust, fallback=fallback) for one in name])
    if not Path(name).is_file() and (config := composed("reconstruct", str(name))) is not None:
        return _named(str(name), config, fallback)
    name = weights_file(name)
    if not Path(name).is_file() and Path(name).suffix == "":
        known = ", ".join(choices("model", [conf_folder()]))
        raise ConfigError(f"{name}: no such file, nor a shipped method; found {known}")
    reconstructor, transform, domain = load_with_domain(name, trust)
    other, node = _fallback(fallback)
    reconstructor = guarded(reconstructor, domain, str(name), other)
    used = yaml.safe_dump(node) if node else ""
    return Method(reconstructor.eval(), transform, config=used, checkpoint=identified(name))


def _named(name: str, config: dict[str, Any], fallback: str | Reconstructor | None) -> Method:
    reconstructor = build_node(config["model"], Reconstructor, "model")
    path, domain = packaged_weights(reconstructor)
    if reconstructor.trainable and not path:
        raise ConfigError(
            f"{name} is a learned method; load a checkpoint of it, which `mrirecon train "
            f"model={name}` makes"
        )
    other, node = _fallback(fallback)
    reconstructor = guarded(reconstructor, domain, path, other)
    transform = build_callable(config["preprocessing"], "preprocessing")
    used = yaml.safe_dump(config | node)
    return Method(
        reconstructor.eval(), transform, config=used, checkpoint=identified(path) if path else ""
    )


def _fallback(
    method: str | Reconstructor | None,
) -> tuple[Reconstructor | None, dict[str, Any]]:
    """Return the method, and what a record tells of it; nothing where there is none."""
    if method is None:
        return None, {}
    if isinstance(method, Reconstructor):  # it keeps no node
        return method, {"fallback": f"an object of the class {type(method).__name__}"}
    if (config := composed("reconstruct", method, "fallback")) is None:
        known = ", ".join(choices("fallback", [conf_folder()]))
        raise ConfigError(f"fallback: {method} is not shipped; choose one of {known}")
    node = config["fallback"]
    return build_node(node, Reconstructor, "fallback"), {"fallback": node}


def reconstruct(
    source: Source,
    method: Method | Reconstructor | str | Path = "cg_sense",
    *,
    sampling: SamplingPattern | None = None,
    selection: Selection | None = None,
    phase: bool = False,
    batch_size: int = 1,
    device: str | torch.device | None = None,
    samples: int | Spread | None = None,
    calibration: str | Path | None = None,
) -> ImageSeries:
    """Reconstruct a scan that holds one series of images.

    The images tell no patient: their header has a pseudonym, as outputs of the command line do.

    Args:
        source: A raw file of any supported format, a Scan, one slice as a Sample, or centred
            k-space ``(coil, h, w)`` or ``(slice, coil, h, w)``; see :class:`MemoryScan`. A file
            that tells something wrongly is opened by ``open_scan(path, ReadOptions(...))`` first.
        method: Method as :func:`load` returns or takes it, or a reconstructor such as
            ``CgSense(Espirit())``, which gets normalised slices. One with weights of the package
            warns of planes that are unlike what these have learned from, as by its name.
        sampling: Pattern whose positions alone are kept of what was measured; None takes that of
            the method, if it has one.
        selection: Slices and frames to reconstruct; None takes all.
        phase: Whether the images keep their phase.
        batch_size: Slices computed at once.
        device: Torch device that computes; None takes the CPU.
        samples: Number of images of which ``mean`` and ``std`` of the result are made, or a
            :class:`Spread` that says what makes them differ; None makes none.
        calibration: File of ``mrirecon calibrate``, of which ``bounds`` of the result are made;
            None makes none.

    Raises:
        ConfigError: When the calibration is one of another method, or the scan holds several series
            (echoes, sets, stacks): see :func:`reconstruct_series`.
        RawDataError: When the file cannot be read.
    """
    scan = _scan(source)
    if len(found := series_of(scan.header)) > 1:
        names = ", ".join(name.strip("_") for name in found)
        raise ConfigError(
            f"{scan.header.name} holds {len(found)} series ({names}); use "
            "mrirecon.reconstruct_series, which returns all of them"
        )
    (series,) = reconstruct_series(
        scan, method, sampling=sampling, selection=selection, phase=phase, batch_size=batch_size,
        device=device, samples=samples, calibration=calibration,
    )  # fmt: skip
    return series


def reconstruct_series(
    source: Source,
    method: Method | Reconstructor | str | Path = "cg_sense",
    *,
    sampling: SamplingPattern | None = None,
    selection: Selection | None = None,
    phase: bool = False,
    batch_size: int = 1,
    device: str | torch.device | None = None,
    samples: int | Spread | None = None,
    calibration: str | Path | None = None,
) -> list[ImageSeries]:
    """Reconstruct all series of a scan; the arguments are those of :func:`reconstruct`."""
    if isinstance(method, str | Path):
        method = load(method)
    if isinstance(method, Reconstructor):
        path, domain = packaged_weights(method)
        method = Method(guarded(method, domain, path), Compose([Normalize()]))
    place = torch.device(device or "cpu")
    method = replace(
        method, reconstructor=method.reconstructor.to(place), device=place,
        sampling=sampling or method.sampling,
    )  # fmt: skip
    spread = Spread(samples) if isinstance(samples, int) else samples
    bounds = None if calibration is None else Bounds.of(calibration, method.facts)
    request = Request(selection or Selection(), phase, batch_size, spread=spread, bounds=bounds)
    made = run(_scan(source), method, request)
    for warning in made.warnings:
        warnings.warn(warning, stacklevel=2)
    return [ImageSeries(**vars(one)) for one in made.results]


def evaluate(
    images: ImageSeries | np.ndarray | Tensor,
    reference: ImageSeries | np.ndarray | Tensor,
    protocol: Protocol | str | None = None,
) -> Score:
    """Score magnitude images against a reference, as fastMRI's ``evaluate.py`` does.

    Args:
        images: Volume to score, ``(slice, y, x)``, or one slice ``(y, x)``; complex images count by
            magnitude.
        reference: Volume to compare with, of the same axes; larger images are cropped to its size.
        protocol: Rule of what is compared, in which units and by which metrics, or a choice of
            ``protocol=`` of ``mrirecon evaluate``, such as ``"calgary"``.

    Returns:
        NMSE, PSNR in dB and SSIM of the volume, or the metrics of the protocol. Method and volume
        have no names.

    Raises:
        ShapeError: When the shapes do not fit.
        ConfigError: When there is no such protocol.
    """
    if isinstance(protocol, str):
        protocol = named_protocol(protocol)
    pair = _volume(images, "images"), _volume(reference, "reference")
    return replace(score("images", "reference", *pair, protocol), method="", volume="")


def named_protocol(name: str) -> Protocol:
    """Return a published scoring protocol by its name.

    Raises:
        ConfigError: When there is no such protocol.
    """
    if (config := composed("evaluate", name, "protocol")) is None:
        known = ", ".join(choices("protocol", [conf_folder()]))
        raise ConfigError(f"protocol: {name} is not shipped; choose one of {known}")
    return build_node(config["protocol"], Protocol, "protocol")


def espirit(kspace: np.ndarray | Tensor, estimator: Espirit | None = None) -> np.ndarray:
    """Estimate coil sensitivities with ESPIRiT (Uecker et al., MRM 71:990, 2014).

    Args:
        kspace: Centred k-space, ``(coil, h, w)`` or ``(slice, coil, h, w)``; zero where not
            measured.
        estimator: ESPIRiT with settings of its own; None takes the defaults of
            :class:`~mrirecon.sensitivity.Espirit`.

    Returns:
        Maps of the same shape, complex64, with unit root-sum-of-squares over coils where there is
        an object, zero elsewhere.

    Raises:
        ShapeError: When the array has another shape.
        CalibrationError: When the centre is not sampled densely enough.
    """
    given, estimator = as_kspace(kspace), estimator or Espirit()
    with torch.inference_mode():
        maps = torch.stack([estimator(sample) for sample in MemoryScan(given)])
    return maps.reshape(kspace.shape).numpy()


def _scan(source: Source) -> Scan:
    if isinstance(source, Scan):
        return source
    if isinstance(source, Sample):
        return SampleScan(source)
    if isinstance(source, str | Path):
        return open_scan(source)
    return MemoryScan(source)


def _volume(images: ImageSeries | np.ndarray | Tensor, name: str) -> Tensor:
    values = images.array if isinstance(images, ImageSeries) else images
    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    if not isinstance(tensor, Tensor) or tensor.ndim not in (2, 3):
        found = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise ShapeError(f"{name}: expected an array (slice, y, x) or (y, x), got {found}")
    tensor = tensor.abs() if tensor.is_complex() else tensor
    return tensor.reshape(-1, *tensor.shape[-2:]).float()
