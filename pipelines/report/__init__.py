"""What is shown of a study: its state by the ledger, tables, figures, pages, the dashboard.

May import: `analysis`, `ledger`, `planning`, `study`, and what lies below them.
"""
