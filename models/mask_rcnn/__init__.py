"""Mask R-CNN, shared by the mammography and the ultrasound model.

After He et al., "Mask R-CNN", with a feature pyramid (Lin et al., "Feature Pyramid Networks for
Object Detection"). `network` composes `backbone`, `anchors`, `rpn`, `roi`, `nms` and `heads`;
`targets`, `losses` and `augment` train it, `export` writes it as ONNX. Those import torch.
`configuration`, `tensors`, `detections` and `model` are numpy only and are what serving imports.
"""
