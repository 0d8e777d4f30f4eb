"""Pure statistics on records: intervals, budgets, pairs, results.json, the headline.

May import: the files at the root of `pipelines`, numpy, scipy, optuna; no torch, no Ray, no files.
"""
