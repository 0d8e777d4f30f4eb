"""Models that are no networks, fitted by scikit-learn: what a table is usually given to first."""
