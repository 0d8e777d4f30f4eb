"""A trained model for a person's own use: inputs as people have them, classes by name.

May import: `data`, `models`, and what is below them.
"""
