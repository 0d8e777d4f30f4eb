"""Weights & Biases: runs, rows, the workspace, and publication of a study; TensorBoard; Optuna.

May import: `report`, `analysis`, `ledger`.
"""
