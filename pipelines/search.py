"""A Ray Tune searcher that takes its suggestions from a campaign. Ray executes; it does not remember."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from pipelines.campaign import Campaign
from pipelines.ledger import Trial


class CampaignSearch(Searcher):
    """Each suggestion is a job of the campaign; each completion is looked up in the ledger.

    Tune's own snapshots are of no use to it: the next launch starts afresh from the ledger.
    """

    def __init__(
        self, campaign: Campaign, on_end: Callable[[Trial], None], stopping: Callable[[], bool]
    ) -> None:
        super().__init__(metric="epoch", mode="max")  # Tune wants one; nothing is decided by it
        self._campaign, self._on_end, self._stopping = campaign, on_end, stopping
        self._live: dict[str, str] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next job; None to be asked again later."""
        if self._stopping() or self._campaign.finished:
            return Searcher.FINISHED
        job = self._campaign.next()
        if job is None:
            return Searcher.FINISHED if self._campaign.finished else None
        self._live[trial_id] = job.spec["key"]
        return {"spec": job.spec, "attempt": job.attempt}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Whatever Ray thinks of the trial's end, the ledger knows."""
        if not self._stopping():
            self._on_end(self._campaign.ended(self._live.pop(trial_id)))

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its searcher for a restore that nobody asks for."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Tune expects a file."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""
