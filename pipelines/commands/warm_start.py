"""Reads what searches begin with: selected configurations of other studies, and files of such."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from pipelines.data.loading import load_dataset
from pipelines.data.paths import is_there
from pipelines.documents import Json
from pipelines.errors import UserError, one_line
from pipelines.ledger.ledger import Ledger
from pipelines.ledger.storage import is_url
from pipelines.planning.assignments import Search
from pipelines.report.study_state import load_study_state
from pipelines.study.study_file import Study
from pipelines.study.validation import describe, preview
from pipelines.study.warm_start import KEY, Configs, WarmStart, check_warm_start
from pipelines.study.yaml_file import parse_yaml


def with_warm_start(study: Study, storage: str, fingerprint: str) -> Study:
    """The study with the configurations that its searches begin with.

    storage: of the study. Where a launch has read the same sources before, its request says what
        was in them then, and they are not looked at again. fingerprint: of the study's data.

    Raises:
        UserError: a source cannot be used; or what is in it fits the study's arms badly.
    """
    asked = study.request.warm_start
    if not asked.unread:
        return study
    known = _known(storage)
    if known is None or known.sources != asked.sources:
        known = asked.model_copy(update={"configs": _read(study, storage, fingerprint)})
    check_warm_start(known, study.arms)
    request = study.request.model_copy(update={"warm_start": known})
    return study.model_copy(update={"request": request})


def _known(storage: str) -> WarmStart | None:
    """What the newest launch began with."""
    if not is_url(storage) and not is_there(Path(storage), "folder"):
        return None
    stored = Ledger.open(storage).request() or {}
    warm_start = stored.get("request", {}).get("warm_start")
    return warm_start and WarmStart.model_validate(warm_start)


def _read(study: Study, storage: str, fingerprint: str) -> Configs:
    configs: dict[str, list[Json]] = {}
    for source in study.request.warm_start.sources:
        if not is_url(source) and is_there(Path(source), "file"):
            read = _of_file(source)
        else:
            read = _selected_in(source, study, storage, fingerprint)
        for arm, found in read.items():
            configs.setdefault(arm, []).extend(found)
    return configs


def _of_file(source: str) -> Configs:
    """Configurations by arm, as `import` writes them."""
    try:
        raw = parse_yaml(Path(source).read_text(encoding="utf-8-sig"), f"{KEY}: {source!r}")
    except (OSError, ValueError) as error:
        raise UserError(f"{KEY}: {source!r} cannot be read: {one_line(error)}") from None
    try:
        return WarmStart.model_validate({"configs": raw}).configs
    except ValidationError as error:
        raise UserError(f"{KEY}: {source!r}: {describe(error, WarmStart)}") from None


def _selected_in(source: str, study: Study, storage: str, fingerprint: str) -> Configs:
    """By arm what the searches of a study have selected on val, repeat by repeat."""
    if not is_url(source) and not is_url(storage) and Path(source) == Path(storage).resolve():
        raise UserError(f"{KEY}: {source!r} is this study's own directory")
    try:
        _, state = load_study_state(source)
    except UserError as error:
        raise UserError(f"{KEY}: {error}") from None
    _refuse_other_test_split(source, state.study, state.document["fingerprint"], study, fingerprint)
    configs: dict[str, list[Json]] = {}
    for name, arm in state.planner.arms.items():
        for repeat in range(state.study.request.repeats * arm.tuned):
            search = Search("", name, repeat, state.planner.common.moves("", name))
            if chosen := state.planner.chosen(search):
                own = {address: chosen[address] for address in arm.space}
                configs.setdefault(name, []).append(own)
    if not configs:
        raise UserError(f"{KEY}: {source!r}: no search there has selected anything yet")
    return configs


def _refuse_other_test_split(
    source: str, there: Study, content: str, here: Study, fingerprint: str
) -> None:
    """Where both draw their test examples from one data set, they must be the same.

    Else test examples of this study may have been among those that selected there. content,
    fingerprint: of the data there and here.

    Raises:
        UserError: they may differ.
    """
    ours, theirs = here.protocol, there.protocol
    origins = [(p.data.source, p.data.path) for p in (ours, theirs)]
    if content != fingerprint and origins[0] != origins[1]:
        return
    if load_dataset(ours.data).test is not None:  # never selected by
        return
    drawn = [(p.splits.test, p.seed) for p in (ours, theirs)]
    if content != fingerprint or drawn[0] != drawn[1]:
        raise UserError(
            f"{KEY}: {preview(source)} is a study of the same data with another draw of test "
            f"examples (splits.test, seed = {drawn[1]} there, {drawn[0]} here"
            f"{', and other labels' * (content != fingerprint)}): configurations were selected by "
            "examples that are test examples here; give it the same test split"
        )
