"""Run the node kind ``faulty``."""

import os
import signal
import sys
import time
from typing import Any

from bmfgraph.stages.base import Stage
from bmfgraph_faulty.spec import FaultyParams


class Faulty(Stage):
    """Passes frames on until it fails."""

    def __init__(self, name: str, params: FaultyParams) -> None:
        super().__init__(name, params)
        self._fail("init")

    def open(self) -> None:
        self._fail("open")
        if self.params.fault == "slow_open":
            self._announce("opening")
            time.sleep(60)

    def process(self, *items: Any) -> Any:
        frame = items[0]
        time.sleep(self.params.seconds)
        if frame.index != self.params.frame:
            return (frame,)
        self._fail("process")
        fault = self.params.fault
        if fault == "at_frame":
            self._announce("there")
        if fault == "hang":
            self._announce("there")
            time.sleep(60)
        if fault == "signal":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "exit":
            sys.exit("no more")
        return {"nothing": None, "number": 42, "garbage": ["not a frame"]}.get(fault, (frame,))

    def finish(self) -> Any:
        self._fail("finish")
        return ()

    def close(self) -> None:
        self._fail("close")

    def _fail(self, place: str) -> None:
        if self.params.fault == place:
            raise ValueError(f"broken in {place}\nwith a second line")

    def _announce(self, text: str) -> None:
        print(text, flush=True)
