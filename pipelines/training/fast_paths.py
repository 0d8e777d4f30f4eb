"""What makes a training step fast."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from pipelines.errors import UserError


@dataclass(frozen=True)
class FastPaths:
    """What makes a training step fast; without any of it a trial computes the same, to rounding.

    channels_last: order of memory in which convolutions run faster; cuda_graph: steps are recorded
    and replayed (on a GPU); fused: optimizers move all parameters in one kernel; gather: crops and
    flips of a batch are one gather.
    """

    channels_last: bool = True
    cuda_graph: bool = True
    fused: bool = True
    gather: bool = True

    @classmethod
    def without(cls, names: Iterable[str]) -> FastPaths:
        """All but these.

        Raises:
            UserError: one of the names is unknown.
        """
        names, known = list(names), [field.name for field in fields(cls)]
        for name in names:
            if name not in known:
                raise UserError(f"--without {name!r}: must be among {', '.join(known)}")
        return cls(**dict.fromkeys(names, False))

    def left_out(self) -> list[str]:
        """The names of those that are off."""
        return [name for name, on in vars(self).items() if not on]


ALL_FAST = FastPaths()
