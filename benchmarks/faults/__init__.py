"""A schedule of faults dealt to small studies, each judged against an undisturbed run.

    python -m benchmarks.faults OUT [--faults 300] [--seed 0] [--only KIND ...]

`plan` says which faults; `files`, `processes`, `disks` and `stores` deal them; `commands` runs the
command line; `judge` says what was lost, doubled or not seen. It needs Linux, and for disks that
are full or read-only the right to mount.
"""
