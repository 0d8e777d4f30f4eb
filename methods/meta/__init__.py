"""Example weights, and what else is learned from the clean loss after a look-ahead."""
