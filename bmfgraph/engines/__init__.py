"""Models and what runs them: reading ONNX files, and the runtimes behind one small protocol."""
