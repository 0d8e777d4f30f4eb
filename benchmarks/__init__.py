"""What the docs state as measured: each module is a command, `python -m benchmarks.NAME`."""
