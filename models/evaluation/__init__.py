"""How good a model is: metrics, matching, intervals, report. Numpy only, apart from the report."""
