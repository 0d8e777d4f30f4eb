"""Examples that are left out: those whose loss is large."""
