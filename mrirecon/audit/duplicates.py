"""Images that are there twice: copies, also scaled, mirrored, cropped and resampled, and people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.audit.finding import Finding, Kind, Level
from mrirecon.audit.likeness import Likeness, Sketch, candidates, compare, symmetry

DUPLICATE = Kind(
    "duplicate",
    "The same image is there twice. Across splits a method is tested on what it was trained on; "
    "within one, a case counts twice.",
    "Keep one of both files; all scans of a person belong into one split.",
)
SAME_PERSON = Kind(
    "same anatomy",
    "Two scans in different folders seem to show the same person, so that a method may be tested "
    "on a person that it knows.",
    "Put all scans of a person into one split (mrirecon split).",
)
SAME_NOISE = Kind(
    "identical noise",
    "Different images have the same noise, which no scanner makes: it was added by a program with "
    "one seed. A method can learn this noise by heart.",
    "Draw new noise for every slice, or get measured data.",
)
COPY, PERSON = 0.72, 0.5
"""Agreement of fine structure from which on two images are one, and show one person. Measured heads
of different people have at most 0.43 (5600 pairs); copies, whatever was done to them, from 0.77
on."""
TYPICAL, COPY_BEYOND, PERSON_BEYOND, SURE = 0.75, 2.0, 1.7, 0.85
"""Where all images of a collection are alike, as simulated heads of one template are (up to 0.67),
more is asked for: so many times the agreement that this share of all pairs does not exceed, but
never more than the last."""
FEW, FEW_BEYOND = 10, 0.65
"""Pairs of files below which nothing is known about what is typical, and what is asked for then."""
BEYOND_SYMMETRY = 1.15
"""Factor by which it exceeds what an image has with its own mirror images: round phantoms look
alike."""
NOISE = 0.5
"""Correlation of the outermost samples of two images from which on it is the same noise."""
MOST_PAIRS = 20_000
FEWEST, MOST = 2, 40
"""Similar images that are looked at for each one, in large and in small collections."""


@dataclass(frozen=True)
class Image:
    """One plane of a file, as it is compared with others.

    Attributes:
        file: Name of the file, with the folder that it was given in.
        folder: Number of the folder.
        plane: Number of the plane, from 1.
        slice: Number of the slice, from 1: planes of a dynamic scan share it.
        subject: Pseudonym of the patient; None when the file tells none.
        digest: Checksum of k-space.
        sketch: Sketch of the image.
        noise: Outermost samples of k-space, and what grid and coils they come from; empty for
            images without k-space.
    """

    file: str
    folder: int
    plane: int
    slice: int
    subject: str | None
    digest: str
    sketch: Sketch
    noise: tuple[tuple[int, ...], Complex64[Tensor, " sample"]]


@dataclass(frozen=True)
class Pair:
    """Two images that are too alike.

    Attributes:
        first: One of the images.
        second: The other image.
        likeness: How alike they are.
        finding: What that means.
    """

    first: Image
    second: Image
    likeness: Likeness
    finding: Finding


def find(images: Sequence[Image]) -> Iterator[Pair]:
    """Compare the images of different files; the best pair of two files is told.

    Candidates come from signatures, so that not all images are compared with all.
    """
    most = max(FEWEST, min(MOST, MOST_PAIRS // max(1, 5 * len(images))))
    best: dict[tuple[str, str], tuple[Image, Image, Likeness]] = {}
    for one, other in candidates([image.sketch for image in images], most):
        first, second = images[one], images[other]
        if first.file == second.file:
            continue
        likeness = compare(first.sketch, second.sketch)
        key = (first.file, second.file)
        if key not in best or likeness.score > best[key][2].score:
            best[key] = (first, second, likeness)
    copy, person = _limits([likeness.score for _, _, likeness in best.values()])
    for first, second, likeness in best.values():
        pair = _judged(first, second, likeness, copy, person)
        if pair is not None:
            yield pair


def _limits(scores: Sequence[float]) -> tuple[float, float]:
    """Return the agreement that a copy, and one person, must have among such images."""
    if len(scores) < FEW:
        return COPY, FEW_BEYOND
    typical = float(torch.tensor(scores).quantile(TYPICAL))
    copy = min(max(COPY, COPY_BEYOND * typical), SURE)
    return copy, min(max(PERSON, PERSON_BEYOND * typical), copy)


def find_noise(images: Sequence[Image]) -> Iterator[Pair]:
    """Look for different images whose outermost samples agree, in one file or in two."""
    groups: dict[tuple[int, ...], list[Image]] = {}
    for image in images:
        groups.setdefault(image.noise[0], []).append(image)
    told = set()
    for shape, members in groups.items():
        if not shape or len(members) < 2:
            continue
        samples = torch.stack([image.noise[1] for image in members])
        agreement = correlation(samples)
        for one, other in torch.nonzero(agreement.triu(1) > NOISE).tolist():
            first, second = members[one], members[other]
            files = (first.file, second.file)
            same_slice = first.file == second.file and first.slice == second.slice
            if files in told or same_slice:
                continue
            likeness = compare(first.sketch, second.sketch)
            if likeness.score >= PERSON:
                continue  # one image, or one object
            told.add(files)
            names = (first.file,) if first.file == second.file else files
            reason = (
                f"The outermost samples of k-space agree by {float(agreement[one, other]):.2f}, "
                f"while the images do by {likeness.score:.2f} only."
            )
            planes = (first.plane, second.plane)
            yield Pair(
                first, second, likeness, Finding(SAME_NOISE, Level.PROBLEM, names, planes, reason)
            )


def correlation(samples: Complex64[Tensor, "image sample"]) -> Float32[Tensor, "image image"]:
    """Return the magnitudes of the correlations of all pairs."""
    unit = samples / samples.norm(dim=1, keepdim=True).clamp_min(1e-30)
    return (unit @ unit.conj().T).abs()


def _judged(
    first: Image, second: Image, likeness: Likeness, copy: float, person: float
) -> Pair | None:
    """Say what a likeness means; None when it is no more than chance and symmetry make."""
    if first.digest == second.digest:
        return _pair(first, second, likeness, Level.PROBLEM, "k-space is the same, bit by bit.")
    if likeness.score < person:
        return None
    alone = max(symmetry(first.sketch), symmetry(second.sketch))
    if likeness.score < min(BEYOND_SYMMETRY * alone, 0.93):
        return None
    across = first.folder != second.folder
    known = first.subject is not None and first.subject == second.subject
    turn = f", the second {likeness.turn}" if likeness.turn else ""
    how = (
        f"Fine structure agrees by {likeness.score:.2f} with the {likeness.view} taken to be of "
        f"equal size{turn}; that of measured heads of different people is at most 0.43."
    )
    if likeness.score >= copy:
        repeated = known and not across and not likeness.turn
        level = Level.SUSPICION if repeated else Level.PROBLEM
        return _pair(first, second, likeness, level, how)
    # one person in one split is as it should be, and ids are told elsewhere; scans of a person lie
    # in the same way, so that a mirrored one is alike because heads are
    if not across or known or likeness.turn:
        return None
    finding = Finding(
        SAME_PERSON,
        Level.SUSPICION,
        (first.file, second.file),
        (first.plane, second.plane),
        how,
    )
    return Pair(first, second, likeness, finding)


def _pair(first: Image, second: Image, likeness: Likeness, level: Level, reason: str) -> Pair:
    files, planes = (first.file, second.file), (first.plane, second.plane)
    return Pair(first, second, likeness, Finding(DUPLICATE, level, files, planes, reason))
