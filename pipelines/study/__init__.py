"""The study file and what it may say: protocol, request, arms, phases, search spaces.

May import: `methods`, `search_spaces`, and the files at the root of `pipelines`.
"""
