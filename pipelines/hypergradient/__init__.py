"""The look-ahead and the gradient of the clean loss through it: engines, and the meta step.

May import: `study`, `models`.
"""
