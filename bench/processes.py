"""Processes that begin together."""

import asyncio
import multiprocessing
import os
import resource
import time
import traceback
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from kernel.structs import Value

# What a process does, once it has said that it is ready; what it returns is collected.
Work: TypeAlias = Callable[[Callable[[], None]], Coroutine[Any, Any, object]]


class Done(Value, frozen=True, kw_only=True):
    """`peak_mb` is the memory of the largest; `found` is what each returned."""

    seconds: float
    peak_mb: int
    found: tuple[Any, ...]


async def together(works: Sequence[Work]) -> Done:
    """From when all are ready until the last is done."""
    # A process that is forked off a running event loop has half of it: a thread has none.
    return await asyncio.to_thread(_fork, works)


def _fork(works: Sequence[Work]) -> Done:
    fork = multiprocessing.get_context("fork")
    barrier, answers = fork.Barrier(len(works) + 1), fork.Queue()
    processes = [fork.Process(target=_process, args=(work, barrier, answers)) for work in works]
    for process in processes:
        process.start()
    barrier.wait(timeout=120)
    started = time.monotonic()
    found = [answers.get(timeout=3600) for _ in works]
    seconds = time.monotonic() - started
    for process in processes:
        process.join()
    assert all(each is not None for each in found), "a process of the measurement failed"
    return Done(
        seconds=seconds,
        peak_mb=max(peak for peak, _ in found),
        found=tuple(answer for _, answer in found),
    )


def _process(work: Work, barrier: Any, answers: Any) -> None:
    answer = None
    try:
        result = asyncio.run(work(lambda: barrier.wait(timeout=120)))
        answer = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, result)
    except Exception:  # noqa: BLE001 - it is printed, and the others are told
        traceback.print_exc()
        barrier.abort()
    answers.put(answer)
    answers.close()
    answers.join_thread()
    os._exit(0)
