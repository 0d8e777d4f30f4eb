"""Weights & Biases: runs, rows, the workspace, and publication of a study; Optuna storages.

May import: `report`, `analysis`, `ledger`.
"""
