"""Everything that needs a GPU, in one command that goes on where it was stopped.

    python -m benchmarks.gpu OUT [--images FOLDER] [--seconds S] [PART...]

Each part runs in a process of its own, for as long as it may, most valuable first; what OUT has is
not found again. `records.jsonl` has every record as it is found, `findings.md` the tables, written
anew every minute. FOLDER is JPEG CIFAR-10 in the ImageFolder layout, `cifar10n-labels.csv` beside
it. Needs no Ray and no network: torch, torchvision, numpy, optuna, obstore, pyarrow, pydantic,
pyyaml, rich, typer and, for the tests, pytest with pytest-xdist.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.gpu.findings import page
from benchmarks.gpu.parts import PARTS, ROOT
from benchmarks.gpu.place import Place
from benchmarks.record_file import Records

LEAST = 5  # seconds in which a part could find anything
PAGE_EVERY = 60.0
Images = Annotated[Path | None, typer.Option(help="JPEG CIFAR-10 in the ImageFolder layout")]
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def main(
    out: Path,
    parts: Annotated[list[str] | None, typer.Argument(help="default: all")] = None,
    images: Images = None,
    seconds: Annotated[float, typer.Option(help="for all of it")] = float("inf"),
    device: Annotated[str, typer.Option()] = "cuda",
    tiny: Annotated[bool, typer.Option("--tiny", help="a dry run: of what runs, not of time")] = (
        False
    ),
    here: Annotated[bool, typer.Option("--here", help="in this process: one part, anew")] = False,
) -> None:
    """Find what is missing in OUT."""
    wanted = parts or [name for name in PARTS if images or tiny or not name.startswith("study")]
    for name in wanted:
        if name not in PARTS:
            raise typer.BadParameter(f"part {name!r}: must be among {', '.join(PARTS)}")
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    place = Place(out, torch.device(device), images.resolve() if images else None, tiny)
    records, end = Records(out), time.monotonic() + seconds
    if here:
        _find(wanted[0], place, records)
        return
    for name in wanted:
        left = end - time.monotonic()
        done = {record["part"] for record in records.read() if record.get("end") == "done"}
        if name not in done and left > LEAST:
            _run(name, place, records, min(left, PARTS[name].seconds))
    typer.echo(_write_page(place, records))


def _find(name: str, place: Place, records: Records) -> None:
    records.drop(name)
    try:
        for record in PARTS[name].find(place):
            records.add({"part": name} | record)
    except Exception as error:
        traceback.print_exc()
        records.add({"part": name, "end": f"failed: {type(error).__name__}: {error}"[:500]})
        raise SystemExit(1) from None
    records.add({"part": name, "end": "done"})


def _run(name: str, place: Place, records: Records, seconds: float) -> None:
    """A part in a process of its own: what it breaks of CUDA ends with it."""
    command = [sys.executable, "-m", "benchmarks.gpu", str(place.out), name, "--here"]
    command += ["--device", str(place.device), *(["--tiny"] if place.tiny else [])]
    command += ["--images", str(place.images)] if place.images else []
    start = time.monotonic()
    with (place.out / "log.txt").open("a") as log:
        log.write(f"\n==== {name}\n")
        log.flush()
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            try:
                left = start + seconds - time.monotonic()
                process.wait(max(0.1, min(PAGE_EVERY, left)))
            except subprocess.TimeoutExpired:
                _write_page(place, records)
                if time.monotonic() - start >= seconds:
                    _end(process)
                    records.add({"part": name, "end": f"stopped after {seconds:.0f} s"})
    took = time.monotonic() - start
    typer.echo(f"{name}: {took:.0f} s, exit {process.returncode}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()


def _write_page(place: Place, records: Records) -> str:
    name = torch.cuda.get_device_name() if place.device.type == "cuda" else platform.processor()
    head = f"# {name}, torch {torch.__version__}, Python {platform.python_version()}\n\n"
    text = head + page(records.read())
    (place.out / "findings.md").write_text(text)
    return text


if __name__ == "__main__":
    app()
