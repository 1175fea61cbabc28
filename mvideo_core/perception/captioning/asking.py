"""Many concurrent requests: an event loop in a separate thread, and detection of a server that is down.

A clip that fails alone becomes its own error. Failures are held back until another clip is answered: if too many fail
in a row before that, the server is at fault: the run stops, and no clip is marked as failed.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from mvideo_core.base.errors import ConfigError, MediaError, ServerUnavailable
from mvideo_core.base.stopping import raise_if_stopped
from mvideo_core.perception.captioning.base import Outcome
from mvideo_core.perception.captioning.chat_client import ChatClient, RequestFailed

T = TypeVar("T")
LEAST_IN_A_ROW = 8
"""Consecutive failures after which the server counts as down (more with more concurrency)."""
POLL_S = 0.5
"""Seconds between checks for a stop request while waiting for answers."""


class Asking:
    """Sends requests to one server, from any number of threads.

    Args:
        open_client: creates the client; called in the event loop that uses it.
        model: model to request; "" = the server's only model.
        concurrency: concurrent requests, across all callers.

    Raises:
        ServerUnavailable, ConfigError, ModelError: see `ChatClient.find_model`.
    """

    def __init__(self, open_client: Callable[[], ChatClient], model: str, concurrency: int):
        self._loop = asyncio.new_event_loop()
        self.limit = max(LEAST_IN_A_ROW, concurrency)
        self.answered = self.in_a_row = 0
        self._rejected = True
        self._lock = threading.Lock()
        threading.Thread(target=self._loop.run_forever, name="caption-requests", daemon=True).start()
        self._slots = asyncio.Semaphore(concurrency)
        try:
            self._client = self._wait(self._start(_open_guarded(open_client)))
            self.model = self._wait(self._start(self._client.find_model(model)))
        except BaseException:
            self._loop.call_soon_threadsafe(self._loop.stop)
            raise

    def ask(self, keys: Sequence[str], payload: Callable[[int], dict[str, Any]]) -> Iterator[tuple[int, Outcome]]:
        """Yield (position, outcome) for each key as it completes. Leaving the loop cancels pending requests.

        Args:
            keys: clip keys, for messages.
            payload: position -> request; called in a worker thread when it is sent. A MediaError is an outcome.

        Raises:
            ServerUnavailable, ConfigError, ModelError: no more requests can be answered.
        """
        came: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        running = self._start(self._all(keys, payload, came))
        held: list[tuple[int, Outcome]] = []
        try:
            for _ in keys:
                n, outcome = _next(came)
                if isinstance(outcome, RequestFailed):
                    held.append((n, outcome))
                    self._note_failure(outcome)
                elif isinstance(outcome, BaseException) and not isinstance(outcome, MediaError):
                    raise outcome
                else:
                    if not isinstance(outcome, MediaError):
                        self._note_answer()
                        yield from held
                        held.clear()
                    yield n, outcome
            yield from held
        finally:
            running.cancel()

    async def _all(self, keys: Sequence[str], payload: Callable[[int], Any], came: "queue.SimpleQueue[Any]") -> None:
        async def one(n: int) -> None:
            try:
                outcome: Any = await self._client.complete(await asyncio.to_thread(payload, n), keys[n])
            except Exception as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
                outcome = error
            came.put((n, outcome))

        async with asyncio.TaskGroup() as group:
            for n in range(len(keys)):
                await self._slots.acquire()
                task = group.create_task(one(n))
                task.add_done_callback(lambda _task: self._slots.release())  # also if it is canceled before it starts

    def _note_answer(self) -> None:
        with self._lock:
            self.answered, self.in_a_row, self._rejected = self.answered + 1, 0, True

    def _note_failure(self, error: RequestFailed) -> None:
        with self._lock:
            self.in_a_row += 1
            self._rejected &= error.rejected
            if self.in_a_row < self.limit:
                return
            n_failed, self.in_a_row = self.in_a_row, 0
        others = f"{self.answered} clips were answered before" if self.answered else "no clip was answered"
        kind = ConfigError if self._rejected else ServerUnavailable
        raise kind(f"{n_failed} clips in a row failed, {others}; last error: {error}") from error

    def _start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, future: "Future[T]") -> T:
        try:
            return future.result()
        except (KeyboardInterrupt, CancelledError):
            future.cancel()
            raise


async def _open_guarded(open_client: Callable[[], ChatClient]) -> ChatClient:
    return open_client()


def _next(came: "queue.SimpleQueue[tuple[int, Any]]") -> tuple[int, Any]:
    """The next answer; raises Stopped if a stop is requested first."""
    while True:
        raise_if_stopped()
        try:
            return came.get(timeout=POLL_S)
        except queue.Empty:
            continue
