"""A batch on many workers as a simulation: queues, slow machines, failures, clips that crash, storage, the journal.

``simulate`` runs clips through a fleet by the rules of the verb ``batch`` and returns what a table needs. Times are
seconds of the simulation. ``benchmarks/scale.py`` prints the tables.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import simpy
from numpy.typing import NDArray

Steps = Generator[simpy.Event, object, None]


@dataclass(frozen=True)
class Clip:
    """A clip of the list."""

    video: float
    """Seconds of video."""
    arrival: float = 0.0
    crashes: bool = False
    """Whether it ends its process in each attempt."""


@dataclass(frozen=True)
class Fleet:
    """The machines and the rules of a batch."""

    workers: int
    speed: float
    """Seconds of video that a worker does in a second."""
    machine: int = 8
    """Workers on a machine, which fail together."""
    shards: int = 1
    """Parts of the list, with as many machines each; one: a queue for all."""
    slow: int = 0
    """Number of machines that run at a third of the speed."""
    mtbf: float = math.inf
    """Seconds between two failures of a machine, on average."""
    repair: float = 1800.0
    start: float = 4.0
    """Seconds until a new worker takes a clip."""
    attempts: int = 4
    """Deaths after which a clip is left out."""
    one_process: bool = False
    """Whether the clips of a machine run in one process, so that the first crash of a clip ends all of them."""
    overhead: float = 0.0
    """Seconds of a worker for each clip, besides its frames."""
    segments: int = 1
    """Parts of a clip of more than ``LONG``."""
    bits: float = 0.0
    """Bits that cross the network for a second of video."""
    bandwidth: float = math.inf
    """Bits that the storage moves in a second."""
    journal: float = 0.0
    """Seconds of the journal for a clip, one clip after the other."""


LONG = 3600.0
"""Seconds of video above which a clip is cut, if segments are on."""
SLOWNESS = 3.0


@dataclass(frozen=True)
class Outcome:
    """The result of a batch."""

    makespan: float
    """Seconds until the last clip was done."""
    utilisation: float
    """Share of the workers' time in which they ran clips."""
    waits: NDArray[np.float64]
    """Seconds in the queue of each clip that began."""
    redone: float
    """Share of the workers' busy time that was lost with a process."""
    done: int
    left_out: int
    healthy_left_out: int
    """Clips left out that do not crash themselves."""

    def wait(self, percent: float) -> float:
        """Return a percentile of the times in the queue, in seconds."""
        return float(np.percentile(self.waits, percent))


@dataclass(eq=False)
class _Task:
    """A clip or a segment of one."""

    place: tuple[int, int]
    """Places of the clip in the list, and of the segment in the clip."""
    video: float
    crashes: bool
    deaths: int = 0


class _Queue:
    """The clips of a shard that wait, and the workers that wait for one."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._tasks: list[tuple[tuple[int, int], _Task]] = []
        self._idle: deque[simpy.Event] = deque()
        self.journal_free = 0.0

    def put(self, task: _Task) -> None:
        if self._idle:
            self._idle.popleft().succeed(task)
        else:
            heapq.heappush(self._tasks, (task.place, task))

    def take(self) -> simpy.Event:
        event = self._env.event()
        if self._tasks:
            event.succeed(heapq.heappop(self._tasks)[1])
        else:
            self._idle.append(event)
        return event


class _Storage:
    """Bandwidth that all running clips share: above its limit, each goes slower by the same factor.

    ``_clock`` is the work that each running clip has done, in seconds at full speed; a clip ends at a fixed time of it.
    """

    def __init__(self, env: simpy.Environment, bandwidth: float) -> None:
        self._env, self._bandwidth = env, bandwidth
        self._running: dict[simpy.Event, float] = {}
        self._ends: list[tuple[float, int, simpy.Event]] = []
        self._clock = self._since = self._demand = 0.0
        self._version = self._count = 0

    def _factor(self) -> float:
        return min(1.0, self._bandwidth / self._demand) if self._demand > 0 else 1.0

    def _advance(self) -> None:
        self._clock += (self._env.now - self._since) * self._factor()
        self._since = self._env.now

    def start(self, seconds: float, demand: float) -> simpy.Event:
        """Return an event that comes after so many seconds at full speed."""
        if math.isinf(self._bandwidth):
            return self._env.timeout(seconds)
        self._advance()
        event = self._env.event()
        self._count += 1
        heapq.heappush(self._ends, (self._clock + seconds, self._count, event))
        self._running[event] = demand
        self._demand += demand
        self._plan()
        return event

    def cancel(self, event: simpy.Event) -> None:
        """Drop the work of a process that has died."""
        if event in self._running:
            self._advance()
            self._demand -= self._running.pop(event)
            self._plan()

    def _plan(self) -> None:
        """Wait for the next end; an earlier plan no longer counts."""
        while self._ends and self._ends[0][2] not in self._running:
            heapq.heappop(self._ends)
        self._version += 1
        if self._ends:
            version = self._version
            delay = max(0.0, (self._ends[0][0] - self._clock) / self._factor())
            self._env.timeout(delay).callbacks.append(lambda _: self._end(version))

    def _end(self, version: int) -> None:
        if version != self._version:
            return
        self._advance()
        _, _, event = heapq.heappop(self._ends)
        self._demand -= self._running.pop(event)
        event.succeed()
        self._plan()


@dataclass(eq=False)
class _Machine:
    queue: _Queue
    speed: float
    up: float = 0.0
    """Time from which its workers take clips."""
    running: set[simpy.Process] = field(default_factory=set)

    def fail(self, until: float) -> None:
        self.up = max(self.up, until)
        for process in list(self.running):
            process.interrupt()


class _Simulation:
    def __init__(self, fleet: Fleet, clips: Sequence[Clip], seed: int) -> None:
        self.fleet, self.clips = fleet, clips
        self.env = simpy.Environment()
        self.random = np.random.default_rng(seed)
        self.storage = _Storage(self.env, fleet.bandwidth)
        self.queues = [_Queue(self.env) for _ in range(fleet.shards)]
        count = fleet.workers // fleet.machine
        speeds = [fleet.speed / (SLOWNESS if number < fleet.slow else 1.0) for number in range(count)]
        self.machines = [_Machine(self.queues[n % fleet.shards], speed) for n, speed in enumerate(speeds)]
        self.parts = [fleet.segments if clip.video > LONG else 1 for clip in clips]
        self.waits: dict[int, float] = {}
        self.left_out: set[int] = set()
        self.open = len(clips)
        self.finished = self.env.event()
        self.busy = self.lost = 0.0

    def run(self) -> Outcome:
        env, fleet = self.env, self.fleet
        env.process(self._arrivals())
        for machine in self.machines:
            for _ in range(fleet.machine):
                env.process(self._worker(machine))
            if math.isfinite(fleet.mtbf):
                env.process(self._failures(machine))
        env.run(until=self.finished)
        return Outcome(
            makespan=env.now,
            utilisation=self.busy / (fleet.workers * env.now),
            waits=np.array(list(self.waits.values())),
            redone=self.lost / self.busy,
            done=len(self.clips) - len(self.left_out),
            left_out=len(self.left_out),
            healthy_left_out=sum(not self.clips[number].crashes for number in self.left_out),
        )

    def _arrivals(self) -> Steps:
        shards = self.random.integers(self.fleet.shards, size=len(self.clips))
        for number, clip in enumerate(self.clips):
            if clip.arrival > self.env.now:
                yield self.env.timeout(clip.arrival - self.env.now)
            parts = self.parts[number]
            for part in range(parts):
                task = _Task((number, part), clip.video / parts, clip.crashes and part == 0)
                self.queues[shards[number]].put(task)

    def _failures(self, machine: _Machine) -> Steps:
        while True:
            yield self.env.timeout(self.random.exponential(self.fleet.mtbf))
            machine.fail(self.env.now + self.fleet.repair + self.fleet.start)
            yield self.env.timeout(self.fleet.repair)

    def _worker(self, machine: _Machine) -> Steps:
        env = self.env
        task: _Task | None = None
        while True:
            if task is None:
                got = yield machine.queue.take()
                assert isinstance(got, _Task)
                task = got
            while machine.up > env.now:
                yield env.timeout(machine.up - env.now)
            number = task.place[0]
            self.waits.setdefault(number, env.now - self.clips[number].arrival)
            seconds = (task.video / machine.speed + self.fleet.overhead) * (
                self.random.random() if task.crashes else 1.0
            )
            began, dead = env.now, task.crashes
            work = self.storage.start(seconds, machine.speed * self.fleet.bits)
            process = env.active_process
            assert process is not None
            machine.running.add(process)
            by_itself = True
            try:
                yield work
            except simpy.Interrupt:
                self.storage.cancel(work)
                dead, by_itself = True, False
            machine.running.discard(process)
            self.busy += env.now - began
            if not dead:
                yield from self._note(machine.queue)
                self._end(number)
                task = None
                continue
            self.lost += env.now - began
            task.deaths += 1
            # A clip in whose presence the process has died gets a process of its own in the next attempt.
            fails_alone = by_itself and task.deaths > 1
            if by_itself and self.fleet.one_process and not fails_alone:
                machine.fail(env.now + self.fleet.start)
            if task.deaths >= self.fleet.attempts or (self.fleet.one_process and fails_alone):
                self.left_out.add(number)
                self._end(number)
                task = None
            elif self.fleet.one_process:
                machine.queue.put(task)
                task = None
            if by_itself and not self.fleet.one_process:
                yield env.timeout(self.fleet.start)

    def _note(self, queue: _Queue) -> Steps:
        """Wait for the journal, which notes one clip after the other."""
        if self.fleet.journal:
            queue.journal_free = max(queue.journal_free, self.env.now) + self.fleet.journal
            yield self.env.timeout(queue.journal_free - self.env.now)

    def _end(self, number: int) -> None:
        self.parts[number] -= 1
        if not self.parts[number]:
            self.open -= 1
            if not self.open:
                self.finished.succeed()


def simulate(fleet: Fleet, clips: Sequence[Clip], seed: int = 1) -> Outcome:
    """Run clips through a fleet until each is done or left out.

    Args:
        fleet: The machines and the rules. ``workers`` is a multiple of ``machine``.
        clips: In the order of their arrival, and of the list.
        seed: For failures, crashes and the places of clips in shards.
    """
    return _Simulation(fleet, clips, seed).run()


def lengths(hours: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Return lengths in seconds of clips that have so many hours together: log-normal, and films of ten hours.

    The median is five minutes, the standard deviation of the logarithm 1.5; two of a thousand are films.
    """
    found: list[float] = []
    left = hours * 3600
    while left > 0:
        video = 36_000.0 if random.random() < 0.002 else min(36_000.0, float(random.lognormal(math.log(300), 1.5)))
        found.append(min(max(1.0, video), max(1.0, left)))
        left -= found[-1]
    return np.array(found)


def over_a_day(videos: Iterable[float], random: np.random.Generator) -> list[Clip]:
    """Return clips that arrive in a day, twice as many at noon as on average, and none at midnight."""
    videos = list(videos)
    day = 86_400.0
    times: list[float] = []
    while len(times) < len(videos):
        time = random.random() * day
        if 2 * random.random() < 1 - math.cos(2 * math.pi * time / day):
            times.append(time)
    return [Clip(video, time) for video, time in zip(videos, sorted(times), strict=True)]
