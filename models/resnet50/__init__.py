"""ResNet50: is a mammogram normal, or does it show something benign or malignant?"""
