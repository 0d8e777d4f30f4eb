"""YAML as study files use it: plain values, read safely, with one-line errors."""

from __future__ import annotations

from typing import Any

import yaml

from pipelines.errors import UserError

LARGEST = 100_000  # values in a file, each alias counted as what it stands for
DEEPEST = 40  # groups within groups


class _Loader(yaml.SafeLoader):
    """Of two equal keys, YAML would keep the second without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise yaml.constructor.ConstructorError(
                None, None, f"{twice[0]!r} is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, origin: str) -> dict[str, Any]:
    """The keys and values of a YAML document.

    Raises:
        UserError: it is none, or larger than any study; `origin` names it.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        # Before anything is made of it: aliases of aliases stand for billions of values.
        _refuse_bombs(node)
        raw = None if node is None else loader.construct_document(node)
    except RecursionError:
        raise UserError(f"{origin}: groups within groups, more than {DEEPEST} deep") from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise UserError(f"{origin} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{origin}: expected keys and values, found {type(raw).__name__}")
    return raw


def _refuse_bombs(root: yaml.Node | None) -> None:
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, above: tuple[int, ...]) -> int:
        if id(node) in above:
            raise ValueError("an alias that stands for a group it lies in")
        if len(above) > DEEPEST:
            raise ValueError(f"groups within groups, more than {DEEPEST} deep")
        if id(node) not in sizes:
            parts = node.value if isinstance(node, yaml.CollectionNode) else ()
            inner = (*above, id(node))
            flat = (n for part in parts for n in (part if isinstance(part, tuple) else (part,)))
            sizes[id(node)] = 1 + sum(size(n, inner) for n in flat)
        if sizes[id(node)] > LARGEST:
            raise ValueError(f"more than {LARGEST:,} values")
        return sizes[id(node)]

    if root is not None:
        size(root, ())
