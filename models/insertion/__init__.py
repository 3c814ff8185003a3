"""Synthetic lesions in real normal mammograms, for lesions of which no drawn masks are at hand.

In: pixels in [0, 1] of a breast without findings, and its mask. Out: `Inserted`: the same pixels
with one lesion more, and its exact mask. `masses` and `calcifications` make the lesions; they share
`inserted`. Only numpy and OpenCV: these functions run in processes that make training samples.
What must hold: whoever trains on them says so, since a synthetic lesion proves nothing about a
real one. Evaluation never uses them in place of real lesions.
"""
