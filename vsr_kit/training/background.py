"""A training in a thread of its own, so that a notebook stays free for other cells, widgets and their buttons.

A cell that calls `train` keeps its kernel busy until the run has ended. Which ways of stopping it work then:

    the notebook's interrupt button, Ctrl-C         everywhere: the run ends after its step, `train` returns
    a Stop button of LiveCurves or RunMonitor       where widgets' messages go to a subshell of the kernel: JupyterLab
                                                    4.4 and Notebook 7.4 or later, with ipykernel 7 or later; elsewhere
                                                    the click waits until the cell has ended
    a request in the run's folder, `vsr stop RUN`   everywhere, from another terminal or notebook
    train_in_background(...).stop()                 everywhere, and so do buttons: the kernel is not busy

Threads receive no signals, so the interrupt button does not reach a training in the background: it stops the cell that
waits in `result()`, and `stop()` stops the training.
Left out: several trainings at once, which would share torch's random numbers and be reproducible no more, and going on
after the kernel has ended: a run that shall outlive it is started by `vsr train` in a terminal.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future
from functools import wraps

from vsr_kit.training.run import Trained, train

_one_at_a_time = threading.Lock()


class BackgroundTraining:
    """A training that runs in a thread; `train_in_background` makes it.

    Attributes:
        step: the last step that was logged, 0 before.
    """

    def __init__(self) -> None:
        self.step = 0
        self._asked = threading.Event()
        self._done: Future[Trained] = Future()

    def __repr__(self) -> str:
        if self.running:
            return f"<training in the background: {self._told()}>"
        return f"<training in the background: ended after step {self.step}; result() has what it learned>"

    def __call__(self, row: dict) -> None:
        """Be among what the training's log lines go to."""
        self.step = row.get("step", self.step)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._done.done()

    def stop(self) -> None:
        """End it after the step it is in; `result()` then has that step's weights, and `stopped` says so."""
        self._asked.set()

    def stop_asked(self) -> bool:
        """Whether `stop` was called: `train` looks after every step."""
        return self._asked.is_set()

    def result(self, seconds: float | None = None) -> Trained:
        """Wait for the end, for so many seconds at most, and give what `train` returns.

        Raises:
            TimeoutError: it runs still; it goes on.
            Exception: whatever `train` raised.
        """
        try:
            return self._done.result(seconds)
        except TimeoutError:
            if self.running:
                raise TimeoutError(f"after {seconds:g} s the training still runs: {self._told()}") from None
            raise

    def _told(self) -> str:
        return f"step {self.step} is done" + (", stopping after the next" if self.stop_asked() else "")

    def _run(self, given: tuple, how: dict) -> None:
        try:
            done = train(*given, **how)
        except BaseException as error:
            print(f"the training in the background ended with an error: {error}", file=sys.stderr)
            _one_at_a_time.release()  # before anybody hears of the end, and begins another training
            self._done.set_exception(error)
        else:
            _one_at_a_time.release()
            self._done.set_result(done)


@wraps(train, assigned=("__annotations__",))
def train_in_background(*given, on_log=(), **how) -> BackgroundTraining:
    """Begin a training in a thread and return at once; arguments are those of `train`.

    It trains what `train` would: the same bits, as long as nothing else in the process draws torch's random numbers
    meanwhile. Its folder can be watched by `widgets.RunMonitor(run)`.

    Raises:
        ValueError: another training runs in the background already. What `train` refuses comes from `result()`.
    """
    training = BackgroundTraining()
    sinks = [training, *([on_log] if callable(on_log) else on_log)]
    how = {**how, "on_log": sinks}
    if not _one_at_a_time.acquire(blocking=False):
        raise ValueError("a training runs in the background already: stop() it, or wait for its result()")
    # a daemon: a kernel that is shut down does not wait for it, and its run folder survives that as it does a kill
    threading.Thread(target=training._run, args=(given, how), name="vsr training", daemon=True).start()
    return training
