"""Synthetic breast studies with known truth, for the demo, the tests and the first training.

`mammogram` and `ultrasound` make pixels (numpy, scipy and OpenCV only, so that a training machine
needs nothing else); `dicom` wraps them in complete headers and `study` writes a whole study with
its truth beside it. Nothing here comes from a patient. The package is a leaf: it imports no other
part of Sentinode.
"""
