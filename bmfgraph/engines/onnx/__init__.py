"""Read ONNX models, and rewrite them for TensorRT's builders."""
