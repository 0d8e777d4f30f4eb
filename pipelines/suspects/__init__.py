"""Training examples whose label is probably wrong: ranked, and shown.

May import: `report`, `data`, `models`, `analysis`, `ledger`.
"""
