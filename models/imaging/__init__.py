"""Image processing shared by the models: numpy and OpenCV only, the same in training and serving.

`geometry` places an image on a network's input and brings findings back, `regions` turns a
predicted mask into image pixels. `intensity` makes grey mean the same from every vendor, `sifting`
makes the pseudo-colour mammogram, `anscombe` denoises it, `speckle` calms ultrasound. `patches`
cuts training patches with their masks, `tiles` predicts on overlapping tiles and merges, `whole`
puts the whole image on 256 x 256 px. `usable` refuses what no model can be given.
"""
