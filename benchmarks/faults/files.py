"""Files that are damaged between two launches."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.faults.commands import Shell
from benchmarks.faults.damage import Damage
from benchmarks.faults.judge import Verdict, trials_at
from benchmarks.faults.plan import Fault
from benchmarks.faults.studies import LAUNCH, Place, Studies, contents
from pipelines.documents import differences

REAL = 0.08  # share of studies at which commands are started as a user would


def damages(fault: Fault, studies: Studies) -> tuple[str, list[Damage]]:
    """What a fault damages: the study that is copied, and files of it, no two of one trial."""
    names = ["finished", "unfinished"]
    if "unfinished" in fault.kind:
        names.reverse()
    truth, other = (contents(studies.template(name)) for name in names)
    rng, chosen, spared = fault.rng, [], set[str]()
    for _ in range(fault.count):
        chosen.append(Damage(rng, truth, other, fault.s3, spared))
        spared |= {chosen[-1].key or chosen[-1].path}
    return names[0], chosen


def deal(fault: Fault, studies: Studies, shell: Shell, folder: Path) -> tuple[Verdict, str]:
    """Damage files of a copy, look at it with every command, and launch it to its end."""
    verdict, rng = Verdict(), fault.rng
    name, chosen = damages(fault, studies)
    place = studies.copy(name, folder / "study", fault.s3)
    before = trials_at(place.location)
    for damage in chosen:
        damage.do(place)
    launch = ("launch", str(studies.yaml), *LAUNCH, "--storage", place.location)
    words = ""
    real = rng.random() < REAL
    if rng.random() < 0.5:  # else the launch is the first to meet them
        words += _look(place, verdict, shell, real)
    words += _launch(launch, chosen, place, verdict, shell, real)
    _check_used(verdict, place, studies)
    words += _look(place, verdict, shell, False)
    again = ("--retry", "damaged", "--retry", "failed")
    verdict.hear(shell.run(*launch, *again), (0,))
    last = verdict.hear(shell.run("doctor", place.location), (0, 1))
    for damage in chosen:
        if not (damage.named_in(words) or damage.harmless(place)):
            verdict.unseen.append(f"{damage.kind} {damage.way}: {damage.path}")
    lines = [line for line in last.out.splitlines() if line.startswith("damaged")]
    if any("cannot be restored" not in line for line in lines):
        verdict.false.append(f"not mended: {lines}")
    untouched = before.keys() - {damage.key for damage in chosen}
    expected = trials_at(str(studies.template("finished")))
    verdict.compare(expected, trials_at(place.location), before, untouched)
    return verdict, ", ".join(f"{damage.kind} {damage.way}" for damage in chosen)


def _launch(
    launch: tuple[str, ...],
    chosen: list[Damage],
    place: Place,
    verdict: Verdict,
    shell: Shell,
    real: bool,
) -> str:
    """Launch; what lies in a file's place, as a line says, is cleared away. All that was said."""
    words = ""
    for _ in range(len(chosen) + 1):
        said = verdict.hear(shell.run(*launch, real=real), (0, 2, 3))
        words += said.words
        in_the_way = [d for d in chosen if d.in_the_way(place) and d.named_in(words)]
        for damage in in_the_way:
            _clear(place, damage.path)
        if said.status != 2:
            break
        if not in_the_way:
            verdict.false.append(f"launch: status 2 for {said.err!r}")
    return words


def _look(place: Place, verdict: Verdict, shell: Shell, real: bool) -> str:
    """What status and doctor say; the first one cannot go on without a study's own documents."""
    status = verdict.hear(shell.run("status", place.location, real=real), (0, 2))
    doctor = verdict.hear(shell.run("doctor", place.location, real=real), (0, 1))
    if doctor.status == 1 and "damaged" not in doctor.out:
        verdict.false.append("doctor: 1 without damage")
    return status.words + doctor.words


def _check_used(verdict: Verdict, place: Place, studies: Studies) -> None:
    """No result that is in use is another one than the undisturbed run's."""
    expected = trials_at(str(studies.template("finished")))
    for key, trial in trials_at(place.location).items():
        truth = expected.get(key)
        if truth is None or trial.spec != truth.spec:
            verdict.unseen.append(f"{key}: another spec is in use")
        elif trial.result is not None and differences(truth.result or {}, trial.result):
            verdict.unseen.append(f"{key}: another result is in use")


def _clear(place: Place, path: str) -> None:
    """What a user does who is told that something lies in a file's place."""
    assert place.folder is not None
    target = place.folder / path
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
