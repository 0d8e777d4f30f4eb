"""A user's own function, named module:function."""

from __future__ import annotations

import inspect
import pkgutil
from pathlib import Path

from pipelines.data.dataset import Dataset, make_dataset, preview
from pipelines.data.source import Source
from pipelines.errors import UserError
from pipelines.study.protocol import Data


def own_function(name: str) -> Source:
    """The source that calls the function of that name; called anew by every process."""
    return Source(name, read=_read, cached=False)


def _read(data: Data, folder: Path) -> Dataset:
    try:
        function = pkgutil.resolve_name(data.source)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"data.source = {data.source!r}: cannot be imported: {error}") from None
    content = function()
    if isinstance(content, Dataset):
        fields = dict(vars(content))
        del fields["fingerprint"]
        content = {"y": fields.pop("observed"), **fields}
    allowed = list(inspect.signature(make_dataset).parameters)[1:]
    if not isinstance(content, dict) or not {"x", "y"} <= set(content) <= set(allowed):
        given = preview(content) if isinstance(content, dict) else type(content).__name__
        raise UserError(
            f"data.source = {data.source!r}: must return a dict with x, y "
            f"and optional {', '.join(allowed[2:])}; found {given}"
        )
    return make_dataset(data.source, **content)
