"""Measure how many inferences a GPU does when nothing but recordings of a batch is replayed, side by side.

    python benchmarks/recordings.py ultraface.plan
    python benchmarks/recordings.py ultraface.plan --batch 8 --streams 1,7 --branches 1,4

Each stream replays a CUDA graph of ``--batch`` inferences, one after the other, or in several branches with an
execution context each. One thread launches all graphs in turn, so no thread waits for the interpreter. The engine must
have fixed shapes. The figures are inferences per second, best of two.
"""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path
from typing import Any

import torch

from bmfgraph.system.machine import find_libraries


class Recording:
    """A CUDA graph of several inferences."""

    def __init__(self, trt: Any, engine: Any, count: int, branches: int) -> None:
        self._kept = [self._context(trt, engine) for _ in range(branches)]
        self._stream = torch.cuda.Stream()
        others = [torch.cuda.Stream() for _ in range(branches - 1)]
        streams = [self._stream, *others]
        with torch.cuda.stream(self._stream):
            for context, _ in self._kept:
                context.execute_async_v3(self._stream.cuda_stream)
            torch.cuda.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            self._graph.capture_begin(capture_error_mode="thread_local")
            for stream in others:
                stream.wait_stream(self._stream)
            for number in range(count):
                context, _ = self._kept[number % branches]
                context.execute_async_v3(streams[number % branches].cuda_stream)
            for stream in others:
                self._stream.wait_stream(stream)
            self._graph.capture_end()

    @staticmethod
    def _context(trt: Any, engine: Any) -> tuple[Any, list[torch.Tensor]]:
        """Return an execution context and the tensors that it is bound to."""
        dtypes = {trt.float32: torch.float32, trt.float16: torch.float16, trt.uint8: torch.uint8}
        context, tensors = engine.create_execution_context(), []
        for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
            shape, dtype = tuple(engine.get_tensor_shape(name)), dtypes[engine.get_tensor_dtype(name)]
            tensors.append(torch.rand(shape, device="cuda").mul(255 if dtype == torch.uint8 else 1).to(dtype))
            context.set_tensor_address(name, tensors[-1].data_ptr())
        return context, tensors

    def replay(self) -> None:
        """Enqueue the inferences."""
        with torch.cuda.stream(self._stream):
            self._graph.replay()


def inferences_per_second(recordings: list[Recording], count: int) -> float:
    """Return the speed of all recordings together."""
    rounds = max(8, 60 // len(recordings))
    best = 0.0
    for _ in range(2):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(rounds):
            for recording in recordings:
                recording.replay()
        torch.cuda.synchronize()
        best = max(best, rounds * len(recordings) * count / (time.perf_counter() - begun))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="an engine that TensorRT's runtime loads, which may hold CPU code")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--streams", default="1,2,4,7")
    parser.add_argument("--branches", default="1,2,4")
    options = parser.parse_args()
    trt = importlib.import_module(find_libraries()[0].module)
    torch.empty(1, device="cuda")
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(options.plan.read_bytes())
    print("| branches | streams | inferences per second |\n|---:|---:|---:|")
    for branches in map(int, options.branches.split(",")):
        for streams in map(int, options.streams.split(",")):
            recordings = [Recording(trt, engine, options.batch, branches) for _ in range(streams)]
            print(f"| {branches} | {streams} | {inferences_per_second(recordings, options.batch):.0f} |", flush=True)


if __name__ == "__main__":
    main()
