"""What a result was computed with: versions, commit, processor, and a digest of the code itself."""

from __future__ import annotations

import ast
import hashlib
import platform
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec, resolve_name
from pathlib import Path
from sysconfig import get_path
from typing import Any

ROOT = Path(__file__).parent.parent
#: In a copy of this program that a launch has sent: modules of a person's own, see own_modules.py.
SENT = ROOT / "own_modules"
PACKAGES = ("torch", "torchvision", "numpy", "optuna", "ray", "wandb")
#: The packages and modules of pipelines whose code decides a trial's numbers.
COMPUTING = (
    *("study", "data", "models", "hypergradient", "training"),
    *("metrics", "stored_predictions", "score_order", "collapse"),
)
#: Vector instructions by their flags, widest first.
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2"}
#: Digests of earlier code that computed the same numbers to the last bit, and from which commit
#: each is. Whoever changes a number empties it; tests/test_same_numbers.py fails until then.
SAME_NUMBERS = {
    "59350a8c77ef2df63f9cafdd05109a6c3d0757093d311a35a534d35d71435051": "18895cb",
    "4c413b294f7ce3cf30d231b148cb2758fa4029cd96f4ba950810385e93037a5c": "ae71cb6",
    "c0fba445e86a4d0e88987165855f42108648b779519807c1e1b80d1a51787c66": "871b7e9",
    "f44cce3d3485d7c7a8c8021ad203a442f642e2164edf340fed9778eff100c4b8": "044ee77",
    "6b7f05309a13b964045b83eae37398edd2360bbadb500605fb6af604b8f79cbf": "db15391",
}


@cache
def provenance(modules: tuple[str, ...] = ()) -> dict[str, Any]:
    """Versions, git commit, processor and code digests of this process; plain JSON values.

    modules: those that a trial names (`TrainingSpec.modules`).
    """
    return {
        "versions": {"python": platform.python_version()} | {p: _version(p) for p in PACKAGES},
        "commit": _commit(),
        "processor": _processor(),
        "code": code_digest(),
        "own": {module: module_digest(module) for module in modules},
    }


def origin(of: dict[str, Any]) -> dict[str, str]:
    """What a trial's numbers depend on beside its spec, by the provenance of its result."""
    own = {f"code of {name}": value for name, value in of.get("own", {}).items()}
    without = " ".join(of.get("without", [])) or "nothing"
    return {
        "code": _code_now(of["code"]),
        "torch": of["versions"]["torch"],
        "without": without,
    } | own


def differing(there: dict[str, str], here: dict[str, str]) -> list[str]:
    """Names of that in which two origins differ, so that their numbers may not compare.

    Code of SAME_NUMBERS is as good as this one. It had one digest for all methods together, so
    what an origin does not tell apart does not differ.
    """
    return [
        name
        for name, value in here.items()
        if _code_now(there.get(name, value)) != _code_now(value)
    ]


def forget_modules() -> None:
    """Modules may from now on be found elsewhere."""
    provenance.cache_clear()
    folder_of.cache_clear()


def _code_now(digest: str) -> str:
    return code_digest() if digest in SAME_NUMBERS else digest


@cache
def code_digest() -> str:
    """SHA-256 of the syntax trees of what computes every trial.

    Comments and docstrings do not count, nor do the methods, which have digests of their own.
    """
    files = [ROOT / "methods" / "objective.py"]
    for name in COMPUTING:
        part = ROOT / "pipelines" / name
        files += sorted(part.rglob("*.py")) if part.is_dir() else [part.with_suffix(".py")]
    hasher = hashlib.sha256()
    for file in files:
        hasher.update(_syntax(file))
    return hasher.hexdigest()


def module_digest(module: str) -> str:
    """SHA-256 of a module and of what it imports from beside itself, but for comments.

    Beside it: in its own package, in the folder of a user's module, or among the methods.
    """
    hasher = hashlib.sha256()
    files = module_files(module)
    for file in files:
        hasher.update(_syntax(file) if file.suffix == ".py" else file.read_bytes())
    return hasher.hexdigest() if files else "not found"


def module_files(module: str) -> list[Path]:
    """The files of a module and of what it imports from beside itself, in a fixed order."""
    files: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file_of(name)
        if name in files or file is None or file == ROOT / "methods" / "objective.py":
            continue
        files[name] = file
        if file.suffix == ".py":
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            waiting += [n for n in _imports(file, package) if _beside(n, module)]
    return [files[name] for name in sorted(files)]


def _file_of(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError, AttributeError):  # ValueError: no module's name, or __main__
        return None
    return Path(spec.origin) if spec and spec.has_location and spec.origin else None


def _imports(file: Path, package: str) -> Iterator[str]:
    """Names of the modules that a file of a package imports.

    Of `from a import b` both a and a.b, since b may be one.
    """
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _beside(name: str, module: str) -> bool:
    """Whether a change of `name` may change what `module` computes, and no digest tells of it."""
    top, other = module.partition(".")[0], name.partition(".")[0]
    if other in (top, "methods"):
        return True
    folder = folder_of(top)
    own = other not in ("pipelines", "untuned")
    return own and folder is not None and folder == folder_of(other)


@cache
def folder_of(top: str) -> Path | None:
    """Where a top-level module or package lies, if it is a user's own and not installed."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or not (spec.has_location or spec.submodule_search_locations):
        return None  # not found, or built in
    location = Path(next(iter(spec.submodule_search_locations or [spec.origin or "/"])))
    installed = "site-packages" in location.parts or location.is_relative_to(get_path("stdlib"))
    return None if installed else location.parent


def _syntax(file: Path) -> bytes:
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        _drop_docstring(node)
    ours = file.is_relative_to(ROOT) and not file.is_relative_to(SENT)
    name = file.relative_to(ROOT) if ours else file.name
    return f"{name}\n{ast.dump(tree)}\n".encode()


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
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def _processor() -> str:
    try:
        return processor_name(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        return platform.processor() or platform.machine()


def processor_name(cpuinfo: str) -> str:
    """A processor by what /proc/cpuinfo says: its name, and what decides on its last digits.

    Libraries choose kernels by family, model and vector instructions, of which a name need not
    tell: hypervisors call many kinds "AMD EPYC".
    """
    fields = [line.partition(":")[::2] for line in cpuinfo.partition("\n\n")[0].splitlines()]
    first = {name.strip(): value.strip() for name, value in fields}
    if "model name" not in first:
        return platform.machine()
    flags = first.get("flags", "").split()
    kinds = [f"{name} {first[name]}" for name in ("cpu family", "model") if name in first]
    widest = next((text for flag, text in VECTORS.items() if flag in flags), None)
    return ", ".join([first["model name"], *kinds, *filter(None, [widest])])
