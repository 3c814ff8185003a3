"""Image processing shared by the models: numpy and OpenCV only, the same in training and serving.

`geometry` places an image on a network's input and brings findings back, `regions` turns a
predicted mask into image pixels, `sifting` makes the pseudo-colour mammogram, `speckle` calms
ultrasound.
"""
