"""Public data sets in their original form, as cases with truth, and their splits. Never torch."""
