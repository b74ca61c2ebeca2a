"""The recipe of the super-resolution networks ``vsr_*.onnx``: data, training, export, evaluation.

Needs numpy, torch, onnx, pillow, av and, for the evaluation, onnxruntime, torchmetrics and openvino.  Nothing
here is used when the networks are only run.  ``models/README.md`` is the model card and says how each step is
called.
"""
