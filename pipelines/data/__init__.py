"""Examples and labels: sources, decoded files and their cache, label noise, splits, the task.

May import: `study`.
"""
