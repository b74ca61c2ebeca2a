"""Define the BMF modules that run nodes.

BMF creates one module for each node of its graph and calls ``process(task)`` on a thread of its own. Modules are joined
by BMF's queues. A frame takes this way through them:

1. ``native.NativeModule._work`` (decoder): BMF's C++ decoder fills an inner task; ``_move_out`` wraps each VideoFrame
   in a ``Frame``. On a GPU it is ``nvdec.NvdecModule``: ``packet_reader`` -> ``gpu_decoder`` -> RGB image.
2. ``stage_chain.StageChainModule._work``: takes the item from its queue; ``_join`` waits for the other inputs' items.
3. ``StageChainModule._push``: calls ``Stage.process`` and passes each item it returns to the next stage of the chain.
4. ``StageChainModule._emit``: checks the last stage's item and puts it, or its VideoFrame, on each output stream.
5. ``native.NativeModule._work`` (filter) or ``encoder.EncoderModule`` (encoder with audio): ``_move_in`` passes the
   VideoFrame to BMF's C++ module, which converts it or writes it to the file.

``base.BmfModule`` has the part that all of them share: the end of a run and the report of a failure.
"""
