"""How it runs: packages in layers; each imports those below it, never upwards or in a circle.

    study  ledger  analysis       what is compared; what has run; pure statistics
    data  models  planning        examples and labels; networks; what runs next
    hypergradient  report         the look-ahead and its gradient; tables, figures, pages
    training  suspects  tracking  prediction   one trial; wrong labels; W&B; models in use
    execution                     trials on this machine: job queue, worker, checks before a launch
    cluster                       Ray
    commands                      one file a command

`errors`, `documents`, `provenance`, `trial_documents`, `metrics`, `score_order` and `kinds` are
below all of them.
`make lint` holds the layers (import-linter's contract in pyproject.toml).
"""
