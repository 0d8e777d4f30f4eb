"""What has run, kept in files: storage, lease, layout, index, and the ledger over them.

May import: the files at the root of `pipelines` only. Nothing here knows what a study compares.
"""
