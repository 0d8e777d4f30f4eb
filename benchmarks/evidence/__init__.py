"""The evidence suite: real data sets, each a study at three learning rates, and one page over all.

`sets` names them, `convert` makes them from public files, `suite` runs them, `members` reads what
ran, `choice` has the one rule that picks an arm's learning rate, `over_sets`, `claims` and `advice`
compare, `page` shows. docs/evidence.md is how to use it, and what came out.
"""
