"""Read and rewrite ONNX models."""
