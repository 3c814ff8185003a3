"""The web process: pages for people, JSON for programs, probes, metrics and the viewer.

It reads the store and acts only through the moves of `node.job`. It talks to one other party: the
DICOMweb of the archive whose images the viewer shows. No page asks anything of another host.
"""
