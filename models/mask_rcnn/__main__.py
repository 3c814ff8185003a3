"""`python -m models.mask_rcnn`: train. A module of this name is not imported by pool processes."""

from models.mask_rcnn.train import main

if __name__ == "__main__":
    main()
