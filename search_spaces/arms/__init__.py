"""The table of contents of every study: what can be compared, one file of arms for each family.

An arm is one or more phases (method, pool, how it meta-learns), its published defaults, and the
space that is tuned. Ranges are those of the papers and their follow-ups; where a paper gives a
grid, its ends. An entry has the fields of `pipelines.study.arms.Arm`.
"""

from search_spaces.arms import (
    clean_labels,
    correction,
    losses,
    meta,
    perturbation,
    selection,
    semi_supervised,
    shallow,
    step,
    weighting,
)

FAMILIES = (
    losses,
    clean_labels,
    shallow,
    weighting,
    selection,
    perturbation,
    correction,
    semi_supervised,
    meta,
    step,
)
ARMS = {name: entry for family in FAMILIES for name, entry in family.ARMS.items()}
if len(ARMS) < sum(len(family.ARMS) for family in FAMILIES):
    raise ValueError("two families of arms use one name")
