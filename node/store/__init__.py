"""The database (the truth about every study) and the files it speaks of."""
