"""Scores cases and tells what was found, for every command that does."""

import sys
from collections.abc import Sequence

from tqdm import tqdm

from mrirecon.evaluation.origins.makings import Makings
from mrirecon.evaluation.scores.observed import Observed
from mrirecon.evaluation.scores.protocol import Score
from mrirecon.evaluation.scores.scoring import Case, Rules, score_cases, workers_for
from mrirecon.evaluation.tables.evaluated import Evaluated
from mrirecon.evaluation.tables.standings import ranking_lines
from mrirecon.evaluation.tables.summaries import table
from mrirecon.terminal import draws_bars


def evaluated(
    cases: Sequence[Case], rules: Rules, makings: Makings, workers: int | None
) -> Evaluated:
    """Score all volumes, and show how far it is.

    Args:
        cases: Volumes of all methods.
        rules: Rules of how they are read and compared.
        makings: How they were made.
        workers: Number of processes; None for what they keep busy.
    """
    scores: list[Score] = []
    seen = Observed()
    outcomes = score_cases(cases, rules, workers_for(len(cases), workers))
    for outcome in tqdm(
        outcomes, total=len(cases), unit="volume", leave=False, disable=not draws_bars()
    ):
        scores += outcome.scores
        seen.add(outcome.seen)
    return Evaluated.of(scores, seen, makings, rules.protocol)


def tell(found: Evaluated) -> None:
    """Print means, what was compared, the order of the methods, and warnings."""
    infos = found.protocol.infos
    print(table(found.summaries, infos))
    print(found.seen.definition(found.protocol))
    for line in ranking_lines(found.standings, infos):
        print(line)
    for told in found.seen.judged():
        print(told)
    for warning in found.warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
