"""What is shown of a study: records of its ledger, tables, figures, pages, the dashboard.

May import: `analysis`, `ledger`, `planning`, `study`.
"""
