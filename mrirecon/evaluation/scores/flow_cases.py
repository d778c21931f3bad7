"""Which of the volumes to compare are flow encodings, and of which velocity."""

from collections.abc import Sequence
from dataclasses import replace

from mrirecon.errors import RawDataError
from mrirecon.evaluation.scores.flow import found_pairs, venc_of
from mrirecon.evaluation.scores.scoring import Case, Flow


def with_flow(cases: Sequence[Case], venc: float | None, still: int) -> tuple[list[Case], float]:
    """Keep the flow encodings among volumes, each with the files that have none.

    Args:
        cases: Files of all volumes.
        venc: Velocity in cm/s that turns the phase by half a turn; None takes what the files of
            the references tell.
        still: Number of the set without flow encoding.

    Returns:
        The volumes with a flow encoding, and the velocity.

    Raises:
        RawDataError: When there are none, or files tell no or several velocities.
    """
    by_name = {case.name: case for case in cases}
    references = {case.name: case.reference for case in cases}
    found = found_pairs("reference", references, still)
    without = {path: name for name, path in references.items()}
    if venc is None:
        told = {venc_of(pair.encoded) for pair in found.values()}
        if len(told) > 1:
            raise RawDataError(
                f"the files tell velocities of {', '.join(f'{v:g}' for v in sorted(told))} cm/s, "
                "expected one of all that are compared; evaluate them apart, or say venc=NUMBER"
            )
        (venc,) = told
    chosen = []
    for name, pair in found.items():
        other = by_name[without[pair.still]]
        flow = Flow(venc, other.reference, other.images)
        chosen.append(replace(by_name[name], flow=flow))
    return chosen, venc
