"""Pictures for people, and what presentation states share with them.

png           files: one image with its findings, all images of a study on a sheet
overlay       outlines, labels, legend and notice on an image
summary_page  what happened to a study, as pages of text
palette, placement, typesetting   colours, places and sizes of what is drawn
"""
