"""What is compared: one file for each method, torch only.

`objective.py` is the seam that every method fits; families are folders: `losses/` (robust losses,
fixed or with hyperparameters that learn themselves), `weighting/` (example weights by rule),
`meta/` (whatever else learns from the clean loss). Imports nothing of this project but the seam.
"""
