"""Pure statistics on records: what is best, intervals, budgets, results.json.

May import: the files at the root of `pipelines`, numpy, scipy, optuna; no torch, no Ray, no files.
"""
