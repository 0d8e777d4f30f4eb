"""One trial: phases, steps, draws, evaluation, steps as CUDA graphs.

May import: `study`, `data`, `models`, `hypergradient`.
"""
