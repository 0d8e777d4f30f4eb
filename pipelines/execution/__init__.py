"""Trials on this machine: job queue, worker, inline executor, checks, progress, GPU packing.

May import: `training`, `planning`, `tracking` and what they use.
"""
