"""The studies that faults are dealt to: one that is finished, and one that is not."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.faults.commands import Shell
from pipelines.ledger.attempt import LedgerConflict
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.storage import open_storage
from tests.support.object_store import BUCKET

STUDY = {
    "name": "faults",
    "protocol": {
        "data": {"source": "digits"},
        "noise": {"kind": "flip", "rate": 0.4},
        "splits": {"meta": 50, "val": 50, "test": 1400},
        "model": {"name": "mlp", "options": {"hidden": [16]}},
        "schedule": {"epochs": 4, "lr": 0.05},
    },
    "request": {"arms": ["ce", "gce", "l2rw"], "trials": 2, "repeats": 1, "seeds": 1},
}
LAUNCH = ("--executor", "inline", "--wandb", "disabled", "--checkpoint-seconds", "0")
LAUNCH += ("--wait-for-lease", "0")
CHECKPOINTS = 65  # of twelve to a trial: five trials are finished, and the sixth has begun
NOT_STUDY = (".tmp", "wandb")  # folders that are no part of a study in an object store


@dataclass(frozen=True)
class Place:
    """A copy of a study: its location, and its folder if it lies on this machine."""

    location: str
    folder: Path | None


@dataclass(frozen=True)
class Studies:
    """The studies to copy from, in a folder of this machine; and where copies lie in a store."""

    folder: Path
    store: Mapping[str, str]  # environment in which it is found

    @property
    def yaml(self) -> Path:
        """The study's file."""
        return self.folder / "faults.yaml"

    def template(self, name: str) -> Path:
        """`finished` or `unfinished`."""
        return self.folder / name

    def copy(self, name: str, folder: Path, s3: bool) -> Place:
        """A copy to deal a fault to."""
        source = self.template(name)
        if not s3:
            shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)
            return Place(str(folder), folder)
        location = f"s3://{BUCKET}/{uuid.uuid4().hex}"
        storage = open_storage(location, create=True)
        for path, data in contents(source).items():
            if not path.startswith(NOT_STUDY):
                storage.replace(path, data)
        return Place(location, None)

    def make(self, shell: Shell) -> None:
        """Both, unless they are there."""
        self.folder.mkdir(exist_ok=True)
        self.yaml.write_text(yaml.safe_dump(STUDY))
        if not self.template("finished").exists():
            self._finish(shell, self.folder / "new")
            (self.folder / "new").rename(self.template("finished"))
        if not self.template("unfinished").exists():
            self._begin(shell, self.folder / "new")
            (self.folder / "new").rename(self.template("unfinished"))

    def _finish(self, shell: Shell, new: Path) -> None:
        """As a user would, with W&B's files, and a model that was pruned."""
        shutil.rmtree(new, ignore_errors=True)
        launch = ("launch", str(self.yaml), *LAUNCH, "--wandb", "offline", "--storage", str(new))
        for arguments in (launch, ("prune", str(new), "--models")):
            said = shell.run(*arguments, real=True)
            if said.status:
                raise RuntimeError(f"the undisturbed launch ended with {said.status}: {said.err}")

    def _begin(self, shell: Shell, new: Path) -> None:
        """Killed half way; with a trial that failed, one set aside, and one with a conflict."""
        shutil.rmtree(new, ignore_errors=True)
        options = ("launch", str(self.yaml), *LAUNCH, "--storage", str(new))
        shell.run(*options, die_at=CHECKPOINTS)
        ledger = Ledger.open(str(new))
        finished = [trial for trial in ledger.trials().values() if trial.result is not None]
        finished.sort(key=lambda trial: trial.spec["role"] == "default")  # its model stays
        failed, disputed, repeated, *_ = finished
        ledger.index([repeated])
        (new / f"trials/{failed.key}/result.json").unlink()
        shutil.rmtree(new / f"trials/{failed.key}/attempts")
        error = OSError("the data were away")
        ledger.attempt(failed.key, ledger.new_attempt(failed.key)).fail(error, "data")
        conflict = LedgerConflict("another result")
        ledger.attempt(disputed.key, ledger.new_attempt(disputed.key)).fail(conflict, "conflict")
        [rows] = ledger.histories([repeated]).values()
        ledger.set_result_aside(repeated.key)
        attempt = ledger.attempt(repeated.key, ledger.new_attempt(repeated.key))
        assert repeated.result is not None
        attempt.finish({k: v for k, v in repeated.result.items() if k != "files"}, rows)


def contents(folder: Path) -> dict[str, bytes]:
    """All regular files below a folder, by their paths in it."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and not file.is_symlink()
    }
