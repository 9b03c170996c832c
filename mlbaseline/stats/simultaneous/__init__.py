"""Several contrasts, slices or candidates at once: intervals and p-values that hold together."""
