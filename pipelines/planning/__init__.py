"""What a study runs next: roles, specs, suggestions, and a planner that knows the ledger.

May import: `study`, `ledger`, `analysis` (the rule of selection).
"""
