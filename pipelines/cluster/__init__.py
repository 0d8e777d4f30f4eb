"""Trials on Ray: connection, tasks, the Tune experiment, the client, the doctor.

May import: `execution`, `ledger`, `planning`.
"""
