"""A user's own function, named module:function."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path
from typing import Any

from pipelines import own_modules
from pipelines.data.dataset import Dataset, make_dataset, preview
from pipelines.data.source import Source
from pipelines.errors import UserError, one_line
from pipelines.study.protocol import Data


def own_function(name: str) -> Source:
    """The source that calls the function of that name; called anew by every process."""
    return Source(name, read=_read, cached=False)


def _read(data: Data, folder: Path) -> Dataset:
    content = _call(data.source)
    allowed = list(inspect.signature(make_dataset).parameters)[1:]
    if isinstance(content, Dataset):
        own = {name: getattr(content, name) for name in allowed if name != "y"}
        content = own | {"y": content.observed}
    if not isinstance(content, dict) or not {"x", "y"} <= set(content) <= set(allowed):
        given = preview(content) if isinstance(content, dict) else type(content).__name__
        raise UserError(
            f"data.source = {data.source!r}: must return a dict with x, y "
            f"and optional {', '.join(allowed[2:])}; found {given}"
        )
    return make_dataset(data.source, **content)


def _call(name: str) -> Any:
    """What the function returns; whatever goes wrong in a user's module is one line."""
    function = own_modules.load(name, "data.source =")
    if not callable(function):
        raise UserError(f"data.source = {name!r}: is no function")
    try:
        return function()
    except (Exception, SystemExit) as error:
        *_, frame = traceback.extract_tb(error.__traceback__)
        raise UserError(
            f"data.source = {name!r}: raised {type(error).__name__} ({one_line(error)}) at "
            f"{frame.filename}, line {frame.lineno}"
        ) from error
