"""Arguments of commands that need some words. Imports nothing that takes time."""

from __future__ import annotations

from typing import Annotated

import typer


def _storage(name: str) -> str:
    from pipelines.commands.which_study import storage_named

    return storage_named(name)


def _storages(names: list[str]) -> list[str]:
    return [_storage(name) for name in names]


def place(name: str | None) -> str | None:
    """The storage of a study, or where one may be made."""
    from pipelines.commands.which_study import storage_named

    return None if name is None else storage_named(name, new=True)


WHICH = "a study's directory or URI, its name, or its file"
Directory = Annotated[str, typer.Argument(help=WHICH, callback=_storage)]
Directories = Annotated[list[str], typer.Argument(help=WHICH, callback=_storages)]
Quick = Annotated[bool, typer.Option("--quick", help="a short rehearsal of the study")]
Arm = Annotated[str | None, typer.Option()]
Export = Annotated[str | None, typer.Option(metavar="FILE", help="its model as .onnx or .pt2")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="on loopback; 0: any that is free")]
Study = Annotated[
    str, typer.Argument(help="a ready study's name, a YAML file, or a study's directory")
]
Sbatch = Annotated[list[str] | None, typer.Argument(help="after --: options of SLURM's sbatch")]
MoreStudies = Annotated[
    list[str] | None,
    typer.Argument(help="with --on slurm: further studies and, after --, options of sbatch"),
]
