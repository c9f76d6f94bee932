"""A window's users in blocks, each turned into rows of `candidates`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from ray_tasks.interactions.windows import Window
from ray_tasks.retrieval.candidate_blocks import Catalogue, ItemFeatures, Scorer, Users
from ray_tasks.retrieval.source import CandidateSource
from schemas.candidates_config import Candidates


@dataclass(frozen=True)
class ScoredBlocks:
    """One window's users in blocks: rows of `candidates`, each block sorted by user and item."""

    scorer: Scorer
    users: Users
    size: int

    @classmethod
    def of(
        cls,
        view: Window,
        sources: Mapping[str, CandidateSource],
        settings: Candidates,
        catalogue: Catalogue | None = None,
    ) -> "ScoredBlocks":
        """For a window's users, by sources fitted on what the window knows, from the items of a catalogue."""
        features = ItemFeatures.of(view.log)
        scorer = Scorer(view.name, sources, view.log.item_ids, features, settings.per_source, catalogue)
        return cls(scorer, Users.of(view), settings.block_size)

    def scored_by(self, sources: Mapping[str, CandidateSource]) -> "ScoredBlocks":
        """The same users, by these sources."""
        return replace(self, scorer=replace(self.scorer, sources=sources))

    @property
    def count(self) -> int:
        """Number of blocks."""
        return math.ceil(len(self.users) / self.size)

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        return self.scorer.table(self.users.part(number * self.size, self.size))
