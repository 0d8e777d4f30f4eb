"""What a result was computed with: versions, commit, processor, and a digest of the code itself."""

from __future__ import annotations

import ast
import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGES = ("torch", "torchvision", "numpy", "optuna", "ray", "wandb")
#: The modules whose code decides a trial's numbers.
COMPUTING = [
    "arms",
    "augmentation",
    "captured",
    "corruption",
    "data",
    "data_files",
    "dataset",
    "distributions",
    "evaluation",
    "forward_mode",
    "hypergradient",
    "meta_learning",
    "metrics",
    "models",
    "network",
    "observation",
    "phase",
    "sampling",
    "schedule",
    "snapshot",
    "sources",
    "study",
    "training",
    "watch",
]


@cache
def provenance(modules: tuple[str, ...] = ()) -> dict[str, Any]:
    """Versions, git commit, processor and code digests of this process; plain JSON values.

    modules: a user's own, which compute trials too (`own_modules`).
    """
    return {
        "versions": {"python": platform.python_version()} | {p: _version(p) for p in PACKAGES},
        "commit": _commit(),
        "processor": _processor(),
        "code": code_digest(),
        "own": {module: _module_digest(module) for module in modules},
    }


def origin(of: dict[str, Any]) -> dict[str, str]:
    """What a trial's numbers depend on beside its spec, by the provenance of its result."""
    own = {f"code of {name}": value for name, value in of.get("own", {}).items()}
    without = " ".join(of.get("without", [])) or "nothing"
    return {"code": of["code"], "torch": of["versions"]["torch"], "without": without} | own


def own_modules(spec: dict[str, Any], protocol: dict[str, Any]) -> tuple[str, ...]:
    """The modules outside of this project that a trial names: methods, model, source of data."""
    named = [protocol["model"]["name"], protocol["data"]["source"], *spec["change"].values()]
    named += [phase["method"] for phase in spec["phases"]]
    modules = {n.partition(":")[0] for n in named if isinstance(n, str) and ":" in n}
    return tuple(sorted(m for m in modules if m.partition(".")[0] not in ("methods", "pipelines")))


@cache
def code_digest() -> str:
    """SHA-256 of the syntax trees of what computes a trial: comments and docstrings do not
    count."""
    files = [*sorted((ROOT / "methods").glob("*.py"))]
    files += [ROOT / "pipelines" / f"{name}.py" for name in COMPUTING]
    found = hashlib.sha256()
    for file in files:
        found.update(_syntax(file))
    return found.hexdigest()


def _module_digest(module: str) -> str:
    """Of its own file, not of what it imports."""
    try:
        found = find_spec(module)
    except (ModuleNotFoundError, ValueError):  # ValueError: no name of a module, or __main__
        found = None
    if found is None or not found.has_location or not found.origin:
        return "not found"
    file = Path(found.origin)
    content = _syntax(file) if file.suffix == ".py" else file.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _syntax(file: Path) -> bytes:
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        _drop_docstring(node)
    return f"{file.name}\n{ast.dump(tree)}\n".encode()


def _drop_docstring(node: ast.AST) -> None:
    body = getattr(node, "body", None)
    if not isinstance(body, list):
        return
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body[0].value.value = None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The checked-out commit, with "+" behind it if files were changed; None outside a clone.

    An installed wheel may lie within a repository that is not this project's.
    """
    if not (ROOT / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
