"""All that an evaluation has found, for its tables, its files and its page."""

from collections.abc import Sequence
from dataclasses import dataclass

from mrirecon.evaluation.origins.makings import Makings
from mrirecon.evaluation.scores.observed import Observed
from mrirecon.evaluation.scores.protocol import Protocol, Score
from mrirecon.evaluation.tables.leading import best_first, leading_metric, methods_in_order
from mrirecon.evaluation.tables.standings import Standing, equal_methods, standings
from mrirecon.evaluation.tables.stratified import Stratified, stratified
from mrirecon.evaluation.tables.summaries import Summary, summarize
from mrirecon.evaluation.tables.summary_table import SummaryTable, summary_tables


@dataclass(frozen=True)
class Evaluated:
    """Scores of methods on the same volumes, and what is known of them.

    Attributes:
        protocol: Protocol that was scored by.
        scores: Scores of all volumes, methods and regions.
        seen: What was noticed while volumes were read.
        makings: How the volumes were made, and whose they are.
        summaries: Summary of each method, and of each region of it.
        standings: Orders of the methods by each metric, in each region.
        stratified: Scores by what the files tell of the scans.
    """

    protocol: Protocol
    scores: Sequence[Score]
    seen: Observed
    makings: Makings
    summaries: Sequence[Summary]
    standings: Sequence[Standing]
    stratified: Sequence[Stratified] = ()

    @classmethod
    def of(
        cls, scores: Sequence[Score], seen: Observed, makings: Makings, protocol: Protocol
    ) -> "Evaluated":
        """Summarise scores over volumes, and rank methods over patients."""
        summaries = summarize(scores, makings.patients)
        ranked = standings(scores, makings.patients, protocol.infos)
        kinds = stratified(scores, makings, ranked, protocol.infos)
        return cls(protocol, scores, seen, makings, summaries, ranked, kinds)

    @property
    def warnings(self) -> list[str]:
        """What makes the scores look other than the images are."""
        return [
            *self.seen.warnings(self.protocol),
            *self.makings.warnings(),
            *equal_methods(self.scores),
        ]

    @property
    def volumes(self) -> list[str]:
        """Names of the volumes."""
        return list(dict.fromkeys(score.volume for score in self.scores))

    @property
    def patients(self) -> int:
        """Number of patients; a volume that tells none is a patient of its own."""
        return len({self.makings.patients.get(name) or name for name in self.volumes})

    @property
    def regions(self) -> list[str]:
        """Labels of what was scored; the empty one is all that the protocol compares."""
        return list(dict.fromkeys(score.region for score in self.scores))

    @property
    def leading(self) -> str | None:
        """Name of the metric that orders methods and volumes; None where none has a better end."""
        return leading_metric(self.protocol.infos)

    @property
    def tables(self) -> list[SummaryTable]:
        """Table of everything, and one of each region."""
        return summary_tables(self.summaries, self.standings, self.protocol.infos)

    def standing(self, metric: str | None, region: str = "") -> Standing | None:
        """Return an order of the methods; None where there is none."""
        return next((s for s in self.standings if (s.metric, s.region) == (metric, region)), None)

    def methods(self, region: str = "") -> list[str]:
        """Return the methods, best first by the leading metric where they have an order."""
        own = [score.method for score in self.scores if score.region == region]
        return methods_in_order(own, self.standings, self.protocol.infos, region)

    def ordered_volumes(self, method: str) -> list[str]:
        """Return the volumes of a method from best to worst; none where there is no better end."""
        if (leading := self.leading) is None:
            return []
        own = [score for score in self.scores if (score.method, score.region) == (method, "")]
        return best_first(
            {score.volume: score.values[leading] for score in own}, self.protocol.infos[leading]
        )
