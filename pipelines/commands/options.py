"""Options of `launch`, `plan` and `new`: tables, which the command line is made from.

Imports nothing that takes time.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from typer import Option

from pipelines.errors import UserError
from pipelines.execution.packing import Gpus, parse_gpus
from pipelines.tracking.mode import Mode
from pipelines.training.fast_paths import FastPaths

T = TypeVar("T")
#: Seconds that a launch without a terminal waits for another driver to be gone: the lease of one
#: that was killed expires within 60, and one that was asked to stop does so in less.
PATIENCE = 120


class Retried(StrEnum):
    """Trials that may be run again: by state, or since a file beside the result is damaged."""

    FAILED = "failed"
    DIVERGED = "diverged"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Options:
    """How a launch runs; none of it changes a number by more than rounding."""

    storage: Annotated[str | None, Option(help="directory or URI; default runs/STUDY")] = None
    executor: Annotated[Literal["ray", "inline"], Option(help="inline: without Ray")] = "ray"
    wandb: Annotated[Mode | None, Option(help="default: online if there is a key")] = None
    log: Annotated[
        Literal["tensorboard"] | None, Option(help="event files of every trial, beside W&B")
    ] = None
    device: Annotated[Literal["auto", "cpu", "cuda"], Option()] = "auto"
    concurrent: Annotated[int | None, Option(min=1, help="trials at once")] = None
    cpus_per_trial: Annotated[float | None, Option(min=0.01)] = None
    gpus_per_trial: Annotated[
        str | None,
        Option(
            help="0, a fraction, whole ones (then each batch is split), or auto: measure, share"
        ),
    ] = None
    address: Annotated[
        str | None, Option(help="of a Ray cluster: auto, HOST:PORT or ray://HOST:PORT")
    ] = None
    checkpoint_seconds: Annotated[
        float, Option(min=0, help="most work that a kill can cost a trial")
    ] = 60.0
    retry: Annotated[list[Retried] | None, Option(help="run these again")] = None
    allow_mixed: Annotated[
        bool, Option("--allow-mixed", help="add to results of other code or another torch")
    ] = False
    takeover: Annotated[
        bool, Option("--takeover", help="replace a driver that hangs, once its lease expired")
    ] = False
    wait_for_lease: Annotated[
        int | None,
        Option(min=0, help="seconds for another driver to be gone; default: 120, on a terminal 0"),
    ] = None
    keep_going: Annotated[
        bool, Option("--keep-going", help="though the first trials of every arm fail alike")
    ] = False
    without: Annotated[
        str, Option(help="fast paths to leave out: channels_last,cuda_graph,fused,gather")
    ] = ""

    def __post_init__(self) -> None:
        for name in ("storage", "address"):
            if getattr(self, name) == "":
                raise UserError(f"--{name} '': must not be empty; leave the option out")
        _ = self.fast, self.gpus  # what cannot be read is told now

    @property
    def fast(self) -> FastPaths:
        """The fast paths that are left."""
        return FastPaths.without(split_names(self.without))

    def patience(self, *, terminal: bool) -> int:
        """Seconds to wait for another driver; nobody looks on where there is no terminal."""
        return (0 if terminal else PATIENCE) if self.wait_for_lease is None else self.wait_for_lease

    @property
    def through_client(self) -> bool:
        """Whether the cluster is reached by a Ray client alone."""
        return (self.address or "").startswith("ray://")

    @property
    def gpus(self) -> Gpus | None:
        """GPUs per trial; None: as the device has it."""
        return None if self.gpus_per_trial is None else parse_gpus(self.gpus_per_trial)

    def gpus_on(self, device: str) -> Gpus:
        """GPUs of a trial on a device; "auto": to be measured.

        Unless asked, one trial at a time has all of a GPU; where there is none, nothing is shared.
        """
        if self.gpus is None or (self.gpus == "auto" and device == "cpu"):
            return float(device == "cuda")
        return self.gpus


@dataclass(frozen=True)
class RequestOptions:
    """Entries of a study's request, in the place of its own."""

    arms: Annotated[str | None, Option(help="only these, comma-separated")] = None
    trials: Annotated[int | None, Option(help="per tuned arm and repeat")] = None
    repeats: Annotated[int | None, Option(help="of the whole search")] = None
    seeds: Annotated[int | None, Option(help="fresh run seeds per repeat")] = None
    stopping: Annotated[
        str | None, Option(help="of searches' trials, early: none, halving or median")
    ] = None
    accelerator: Annotated[str | None, Option(help="type of GPU: H100, A100-40G; any")] = None
    labels: Annotated[str | None, Option(help="of Ray's nodes: market-type=spot")] = None

    @property
    def given(self) -> dict[str, Any]:
        """Those that a person has given."""
        values = vars(self) | {"arms": None if self.arms is None else split_names(self.arms)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class NewOptions:
    """What `new` is told of a person's data beside where it is."""

    labels: Annotated[str | None, Option(help="CSV file: path, label")] = None
    trusted: Annotated[str | None, Option(help="CSV file of verified labels")] = None
    path_column: Annotated[str | None, Option(help="of --labels, or a guess")] = None
    label_column: Annotated[str | None, Option(help="of --labels, or a guess")] = None
    target: Annotated[str, Option(help="label column of a table")] = "label"
    encoding: Annotated[
        str | None, Option(help="of a table in a text file, if it is not UTF-8: latin-1")
    ] = None
    skip_broken: Annotated[
        bool, Option("--skip-broken", help="leave out images that cannot be read")
    ] = False
    minutes: Annotated[
        float | None, Option(min=1, help="that a launch may take on this machine")
    ] = None


def split_names(text: str) -> list[str]:
    """Names between commas, with or without spaces."""
    return [name for part in text.split(",") if (name := part.strip())]


def with_options(command: Callable[..., T]) -> Callable[..., T]:
    """A command of which each field of its arguments that are tables is an option for typer."""
    signature = inspect.signature(command, eval_str=True)
    arguments = signature.parameters.values()
    tables: dict[str, type] = {
        p.name: type(p.default) for p in arguments if is_dataclass(p.default)
    }
    parameters = [p for p in arguments if p.name not in tables]
    parameters += [parameter for table in tables.values() for parameter in _parameters(table)]
    expanded = signature.replace(parameters=parameters)

    @functools.wraps(command)
    def with_each(*args: Any, **given: Any) -> T:
        bound = expanded.bind(*args, **given)
        bound.apply_defaults()
        for name, table in tables.items():
            values = {f.name: bound.arguments.pop(f.name) for f in fields(table)}
            bound.arguments[name] = table(**values)
        return command(**bound.arguments)

    with_each.__signature__ = expanded  # pyright: ignore[reportAttributeAccessIssue]
    with_each.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_each


def _parameters(table: type) -> list[inspect.Parameter]:
    hints = get_type_hints(table, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(f.name, kind, default=f.default, annotation=hints[f.name])
        for f in fields(table)
    ]
