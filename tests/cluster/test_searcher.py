"""What becomes of a job, by how its worker ended; Ray's errors are told apart by their text."""

from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from pipelines.cluster.nodes import NodeWatch
from pipelines.cluster.searcher import QueueSearcher, failure_cause
from pipelines.cluster.tasks import Ending
from pipelines.execution.job_queue import DEATHS, JobQueue
from pipelines.execution.worker_config import NodeCheck, Resources
from pipelines.ledger.attempt import Failure
from pipelines.ledger.ledger import Ledger
from tests.conftest import small_study

ALONE = Resources()


class Setting:
    """A searcher over one arm's trials, and what was said of nodes."""

    def __init__(self, place: Path, resources: Resources = ALONE, trials: int = 0) -> None:
        self.ledger = Ledger.open(str(place))
        arms = ("ce", "gce") if trials else ("ce",)
        study = small_study(arms=arms, repeats=1, trials=trials)
        self.jobs = JobQueue(study, "a" * 64, self.ledger)
        self.said: list[str] = []
        self.stopping = False
        self.nodes = NodeWatch(resources, NodeCheck(), self.said.append)
        self.search = QueueSearcher(
            self.jobs, resources, lambda trial: None, lambda: self.stopping, self.nodes
        )

    def suggest(self, name: str) -> Any:
        return self.search.suggest(name)

    def end(self, name: str, ending: Ending) -> None:
        self.search.on_trial_complete(name, {"ending": ending})


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def test_a_job_that_lost_sight_of_its_driver_runs_again(setting: Setting):
    """Else a launch would wait for ever for a trial that nobody runs."""
    first = setting.suggest("one")
    setting.end("one", Ending("n1", stopped=True))
    assert setting.search.error is None
    assert setting.suggest("two") == first | {"attempt": 2}


def test_a_job_that_was_asked_to_stop_is_left_to_the_next_launch(setting: Setting):
    setting.suggest("one")
    setting.stopping = True
    setting.end("one", Ending("n1", stopped=True))
    setting.stopping = False
    assert setting.suggest("two") is None


@pytest.mark.parametrize(
    "ending", [Ending("n1", faults=("has no torch: install it",)), Ending("n1", True, leaves=True)]
)
def test_a_node_that_declines_or_leaves_is_avoided_and_its_jobs_run_again_uncounted(
    setting: Setting, ending: Ending
):
    assert setting.suggest("0")["avoided"] == []
    for number in range(2 * DEATHS):
        setting.end(str(number), ending)
        job = setting.suggest(str(number + 1))
        assert (job["attempt"], job["avoided"]) == (number + 2, ["n1"])
    assert len(setting.said) == 1  # not each time


def test_a_machine_that_is_alone_and_no_longer_fit_ends_the_experiment(setting: Setting):
    """Files of the program have changed under a launch, say: nothing is mixed, nobody waits."""
    nodes = NodeWatch(Resources(), NodeCheck(), setting.said.append, alone=True)
    setting.search._nodes = nodes
    setting.suggest("one")
    setting.end("one", Ending("n1", faults=("runs other code than the driver: launch again",)))
    assert setting.suggest("two") == Searcher.FINISHED
    said = "this machine runs no more trials: runs other code than the driver: launch again"
    assert str(setting.search.error) == said


def test_what_a_worker_could_not_write_down_the_driver_does(setting: Setting):
    """A node whose mount has become read-only, say: the true cause is in the ledger."""
    failure = Failure("OSError", "Read-only file system: /study", "code", "Traceback ...", "node7")
    key = setting.suggest("one")["spec"]["key"]
    setting.end("one", Ending("n1", lost=failure))
    trial = setting.ledger.trial(key)
    assert trial and trial.error and trial.state == "failed"
    names = ("type", "message", "class", "host")
    assert [trial.error[name] for name in names] == [*failure[:3], "node7"]
    written = setting.ledger.storage.read(f"trials/{key}/attempts/1/traceback.txt")
    assert written == b"Traceback ..."


def test_a_result_that_is_not_to_be_seen_counts_as_a_death_of_its_worker(setting: Setting):
    for number in range(DEATHS):
        key = setting.suggest(str(number))["spec"]["key"]
        setting.ledger.attempt(key, number + 1).begin()
        setting.end(str(number), Ending("n1"))
    trial = setting.ledger.trial(key)
    assert trial and trial.error and trial.error["class"] == "node"
    said = f"what it wrote is not to be seen in the storage, {DEATHS} times, the last time on "
    assert said + trial.error["host"] in trial.error["message"]


def test_an_error_of_the_job_queue_ends_the_experiment_and_is_kept(setting: Setting, monkeypatch):
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(setting.jobs, "next", lambda *asked: (_ for _ in ()).throw(full))
    assert setting.suggest("one") == Searcher.FINISHED and setting.search.error is full


def test_a_failure_that_the_driver_cannot_write_down_either_ends_the_experiment(
    setting: Setting, monkeypatch
):
    full = OSError(28, "No space left on device")
    setting.suggest("one")
    monkeypatch.setattr(setting.ledger.storage, "replace", lambda *_: (_ for _ in ()).throw(full))
    setting.end("one", Ending("n1", lost=Failure("OSError", "full", "data", "", "node7")))
    assert setting.search.error is full


def test_a_loss_is_told_by_the_text_of_rays_error():
    died = "The actor died unexpectedly before finishing this task."
    assert failure_cause(f"{died} The actor died because its node has died. Node Id: 1") == "node"
    assert (
        failure_cause("the actor's node was terminated unexpectedly: health check failed") == "node"
    )
    lost = (
        "ActorUnavailableError: The actor 641b is unavailable: The actor is temporarily unavailable"
    )
    assert failure_cause(f"{lost}: RpcError: RPC error: Socket closed rpc_code: 14.") == "node"
    assert failure_cause("Task was killed due to the node running low on memory.") == "memory"
    died += " The actor is dead because its worker process has died."
    assert (
        failure_cause(f"{died} Worker unexpectedly exits with a connection error code 2.")
        == "worker"
    )


@pytest.mark.parametrize(("concurrent", "gpus"), [(None, 0.25), (4, 1.0), (6, 0.5), (100, 0.25)])
def test_where_few_may_run_at_once_each_takes_more_of_a_gpu(
    tmp_path: Path, concurrent: int | None, gpus: float
):
    """Ray would fill one GPU after the other, and leave the rest idle."""
    setting = Setting(tmp_path, Resources(gpus=0.25, concurrent=concurrent), trials=40)
    assert setting.suggest("one")["gpus"] == 0.25  # before it is known what there is
    setting.nodes.whole_gpus = 4
    assert setting.suggest("two")["gpus"] == gpus


def test_the_last_trials_take_more_of_a_gpu(tmp_path: Path):
    setting = Setting(tmp_path, Resources(gpus=0.25), trials=1)
    setting.nodes.whole_gpus = 100
    assert setting.suggest("one")["gpus"] == 1.0
