"""From the files that are public to what a study reads: a folder of `$UNTUNED_DATA` for each set.

Nothing is downloaded here and nothing is part of this repository: docs/evidence.md says where each
source is and under which licence. Each converter takes the source's folder and the one to write.
"""
