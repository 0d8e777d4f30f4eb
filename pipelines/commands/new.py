"""The command `new`: a first study file for a person's own data.

Its choices follow from what the data is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.commands.printing import print_line
from pipelines.commands.sizing import Size, size_for
from pipelines.data.loading import read_source
from pipelines.data.sources import SOURCES, source_named
from pipelines.data.survey import Survey, summary, survey
from pipelines.errors import UserError
from pipelines.execution.preflight import check
from pipelines.study.labels_files import LabelsFile
from pipelines.study.protocol import Data
from pipelines.study.study_file import NAME, load_study, studies
from pipelines.study.validation import identity

WHY = {
    "ce": "plain training",
    "gce": "robust losses, tuned",
    "ce_balanced": "for classes of unequal size",
    "logistic_regression": "no networks, tuned, on the same labels",
    "logistic_regression_balanced": "no networks, tuned, on the same labels",
    "gce_plus_meta": "tuned, and trained on the clean examples too",
    "clean_only_long": "what the clean examples are worth by themselves, in as many steps",
    "l2rw": "self-tuning",
    "l2rw_safe": "self-tuning, with steps that are never longer than plain training's",
}
IMBALANCED = 2.0  # largest class over smallest: from here on accuracy hides the small ones


def make_study(
    name: str, data: Path, files: Sequence[Path | None], options: dict[str, Any], console: Console
) -> None:
    """Write a study file for a person's own data, and show what was seen of it.

    name, data, options: see `new_study`. files: a labels file, one of verified labels.
    """
    file, seen = new_study(name, data, *files, **options, say=lambda t: print_line(t, console))
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, text in summary(seen):
        table.add_row(f"[dim]{key}[/dim]", escape(text))
    console.print(table)
    if columns := seen.data.columns:
        console.print("\nWhat is done with each column (change a line in the file):")
        rules = Table(box=None, pad_edge=False, show_header=False)
        for column, rule in columns.items():
            rules.add_row(
                *map(escape, (column, str(rule).replace("'", ""), seen.look.reasons[column]))
            )
        console.print(rules)
    quick = "" if options["minutes"] else " --quick"
    print_line(f"Wrote {file}. Read it, then: untuned launch {file}{quick}", console)


def new_study(
    name: str,
    path: Path,
    labels: Path | None = None,
    trusted: Path | None = None,
    *,
    minutes: float | None = None,
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> tuple[Path, Survey]:
    """Write a study file for the data at a path: a folder of images, an .npz file, a table.

    name: of the study, or of the file to write. labels, trusted, options: as of `survey`. minutes:
    that a launch may take on this machine; say: is told what takes a while.
    Returns the file, and what was seen.

    Raises:
        UserError: the file exists, or the data cannot be used as it is.
    """
    file = Path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    if not re.fullmatch(NAME, file.stem) or file.stem in studies():
        raise UserError(
            f"study {file.stem!r}: a name has at most 64 letters, digits, '_', '-' and '.', and "
            f"is none of the ready studies: {', '.join(studies())}"
        )
    if file.exists():
        raise UserError(f"{file}: exists already; choose another name, or remove it")
    seen = survey(path, labels, trusted, **options)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(study_text(file, seen))
    except OSError as error:
        raise UserError(f"{file}: cannot be written: {error.strerror}") from None
    try:
        check(load_study(str(file)))
        if minutes is not None:
            say("Measuring a few steps of each arm ...")
            size = size_for(load_study(str(file)), minutes)
            file.write_text(study_text(file, seen, size), encoding="utf-8")
            say(size.told)
    except BaseException:  # nothing half-made is left
        file.unlink()
        raise
    return file, seen


def study_text(file: Path, seen: Survey, size: Size | None = None) -> str:
    """The study file, with a comment at every choice; size: where a person has so much time."""
    environment = Environment(
        loader=PackageLoader("pipelines.commands"), undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"quoted": _quoted, "commented": _commented}
    return environment.get_template("study.yaml").render(
        seen=seen,
        data=seen.data,
        summary=summary(seen),
        path=_relative(seen.data.path, file),
        options=_options(seen.data),
        labels=seen.data.labels and _labels_file(seen.data.labels, file),
        trusted=seen.data.trusted and _labels_file(seen.data.trusted, file),
        flat=not read_source(seen.data, source_named(seen.data.source)).classes,
        why=WHY,
        **choices(seen) | (size._asdict() if size else {"told": ""}),
    )


def _options(data: Data) -> list[tuple[str, Any, str]]:
    """Name, value and meaning of the options of the data's source that have a value."""
    options = (*SOURCES[data.source].options, "encoder")
    values = [(name, getattr(data, name)) for name in options]
    fields = type(data).model_fields
    return [(name, v, fields[name].description or "") for name, v in values if v]


def _labels_file(labels: LabelsFile, file: Path) -> str:
    """A labels file as YAML on one line."""
    values = identity(labels) | {"file": _relative(labels.file, file)}
    return ", ".join(f"{name}: {_quoted(value)}" for name, value in values.items())


def _quoted(value: Any) -> str:
    """A value as JSON, which is YAML, too; letters of all languages stay what they are."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _relative(path: Path | None, file: Path) -> str:
    """A path as the study file has it: relative to the file where it lies below its folder."""
    assert path is not None
    full, home = path.resolve(), file.resolve().parent
    return (full.relative_to(home) if full.is_relative_to(home) else full).as_posix()


def _commented(text: str) -> str:
    """What is told, on the one line of a comment, without what no YAML may hold."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def choices(seen: Survey) -> dict[str, Any]:
    """The protocol that suits the data."""
    n, classes, shape = sum(seen.counts), len(seen.counts), seen.dataset.x.shape[1:]
    # A twentieth, or ten of each class; at most a tenth, and 1,000; one of each class at least.
    small = max(classes, min(max(10 * classes, n // 20), n // 10, 1000))
    test = None if seen.dataset.test is not None else max(classes, min(10_000, n // 5))
    if seen.trusted is not None:  # then they are drawn from these alone: a quarter each, and half
        small = max(classes, min(seen.trusted // 4, 1000))
        test = None if test is None else max(classes, min(10_000, seen.trusted - 2 * small))
    left = n - 2 * small - (test or 0)
    batch = min(100, max(10, left // 10))
    model = _model(shape, left)
    metric = "balanced_accuracy" if seen.imbalance > IMBALANCED else "accuracy"
    return {
        "test": test,
        "small": small,
        "model": model,
        "augment": "crop_flip" if len(shape) == 3 and min(shape[1:]) >= 32 else "none",
        "batch_size": batch,
        "epochs": int(np.clip(1000 * batch // left, 60, 200)),
        "lr": 0.05 if model in ("mlp", "cnn") else 0.1,
        "metric": metric,
        "arms": _arms(metric != "accuracy", vectors=len(shape) == 1),
        "trials": 10,
        "repeats": 3,
        "seeds": 2,
    }


def _arms(unequal: bool, vectors: bool) -> list[str]:
    """What is compared. unequal: classes differ in size; vectors: of a table or embeddings."""
    balanced = "_balanced" if unequal else ""
    no_networks = [f"logistic_regression{balanced}", f"boosted_trees{balanced}"]
    return [
        *("ce", "gce", "sce"),
        *(["focal", "ce_balanced", "logit_adjusted"] if unequal else []),
        *(no_networks if vectors else []),
        *("gce_plus_meta", "clean_only_long", "clean_only_all_long", "finetune_long", "glc"),
        *("l2rw", "l2rw_safe", "mw_net", "gce_learned"),
    ]


def _model(shape: tuple[int, ...], examples: int) -> str:
    if len(shape) == 1 or min(shape[1:]) < 16:
        return "mlp"
    if max(shape[1:]) > 64:
        return "resnet18"
    return "resnet32" if examples >= 10_000 else "cnn"
