"""Synthetic breast studies with known truth, for the demo, the tests and the first training.

`mammogram` and `ultrasound` make pixels (numpy, scipy and OpenCV only, so that a training machine
needs nothing else); `study` wraps them in DICOM objects with complete headers and writes a whole
study with its truth beside it, which `dataset` reads back. Nothing here comes from a patient. The
package is a leaf: it imports no other part of Sentinode.
"""
