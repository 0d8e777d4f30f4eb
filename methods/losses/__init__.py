"""Robust losses; with `learn`, their hyperparameters learn themselves from the clean loss."""
