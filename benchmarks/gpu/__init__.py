"""Everything that needs a GPU; `python -m benchmarks.gpu --help`."""
