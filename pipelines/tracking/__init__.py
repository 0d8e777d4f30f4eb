"""Weights & Biases: runs, rows, the workspace, and publication of a study.

May import: `report`, `analysis`, `ledger`.
"""
