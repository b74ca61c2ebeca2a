"""The ONNX files of the project's super-resolution networks; packaged as ``bmfgraph.models``."""
