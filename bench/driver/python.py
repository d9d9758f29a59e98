"""The driver of the benchmark for loky and concurrent.futures: bench/driver.go has the
other end. It reads requests, one JSON object a line, and answers each with a line.

    python.py loky            serve requests
    python.py loky -cold      start, make one call, say ok, end
"""

import itertools
import json
import os
import signal
import sys
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor

NAME = sys.argv[1]
WINDOW = 64  # calls in flight for each worker, where a row wants as many as go in
CHUNK = 100


def new_executor(workers):
    if NAME == "loky":
        from joblib.externals.loky import ProcessPoolExecutor as Loky

        return Loky(max_workers=workers, timeout=None)
    return ProcessPoolExecutor(max_workers=workers)


def version():
    if NAME == "loky":
        from joblib.externals import loky

        return loky.__version__
    return "Python " + sys.version.split()[0]


def payload(size):
    return os.urandom(size)


# What workers run. loky pickles functions of __main__ by value, the other by name.


def echo(data):
    return data


def sieve(n):
    composite = bytearray(n)
    count = 0
    for i in range(2, n):
        if composite[i]:
            continue
        count += 1
        for k in range(i + i, n, i):
            composite[k] = 1
    return count


def spin():
    while True:
        pass


def pid_after(seconds):
    time.sleep(seconds)
    return os.getpid()


def check(output, want):
    if output != want:
        raise RuntimeError("an output of %d bytes is not what it has to be" % len(output))


class Cell:
    """An executor that is ready for one row."""

    def __init__(self, job, side):
        self.job, self.side = job, side
        self.workers = job["Workers"]
        self.input = payload(job["Size"])
        self.executor = self.start(self.workers)

    def start(self, workers):
        ex = new_executor(workers)
        # Every worker is up: none of these ends before all have begun, or nearly so.
        list(ex.map(pid_after, [0.05] * workers))
        return ex

    def close(self):
        self.executor.shutdown(wait=True)

    def run(self, box, calls):
        return getattr(self, self.job["Kind"].replace("-", "_"))(box, calls)

    def steps(self, box, calls, step):
        each, began = [], time.perf_counter()
        while not each or (len(each) < calls and time.perf_counter() - began < box):
            each.append(step() * 1e9)
        return {"Each": each, "Calls": len(each)}

    def echo(self, box, calls):
        def step():
            t = time.perf_counter()
            output = self.executor.submit(echo, self.input).result()
            took = time.perf_counter() - t
            check(output, self.input)
            return took

        return self.steps(box, calls, step)

    def inputs(self, box, calls):
        end = time.perf_counter() + box
        yield self.input
        for _ in range(calls - 1):
            if time.perf_counter() >= end:
                return
            yield self.input

    def submit(self, box, calls):
        flying, n, began = deque(), 0, time.perf_counter()
        for data in self.inputs(box, calls):
            if len(flying) == WINDOW * self.workers:
                check(flying.popleft().result(), self.input)
            flying.append(self.executor.submit(echo, data))
            n += 1
        for f in flying:
            check(f.result(), self.input)
        return {"Each": [n / (time.perf_counter() - began)], "Calls": n}

    def map(self, box, calls):
        # Its map takes all inputs before it yields anything: so it gets pieces, of
        # some chunks for each worker.
        chunk = CHUNK if "100" in self.side else 1
        piece = 8 * chunk * self.workers if chunk > 1 else WINDOW * self.workers
        n, began = 0, time.perf_counter()
        inputs = self.inputs(box, calls)
        while batch := list(itertools.islice(inputs, piece)):
            for output in self.executor.map(echo, batch, chunksize=chunk):
                check(output, self.input)
                n += 1
        return {"Each": [n / (time.perf_counter() - began)], "Calls": n}

    def speed_up(self, box, calls):
        n = self.job["Task"]["N"]
        want = sieve(n)
        if not hasattr(self, "one"):
            self.one = self.start(1)
        took = {}
        began = time.perf_counter()
        self.one.submit(sieve, n).result()
        tasks = max(4, int(box / 2 / (time.perf_counter() - began)) & ~1)
        for workers, ex in ((1, self.one), (2, self.executor)):
            began = time.perf_counter()
            for count in ex.map(sieve, [n] * tasks):
                if count != want:
                    raise RuntimeError("a sieve went wrong")
            took[workers] = time.perf_counter() - began
        return {"Each": [took[1] / took[2]], "Calls": 2 * tasks}

    def crash(self, box, calls):
        def step():
            pid = self.executor.submit(os.getpid).result()
            f = self.executor.submit(spin)
            busy(pid)
            due = time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            return self.recovered(f, due)

        return self.steps(box, calls, step)

    def deadline(self, box, calls):
        """Neither can end a call: the pool is ended and another one started."""

        def step():
            limit = self.job["Limit"] / 1e9
            due = time.perf_counter() + limit
            f = self.executor.submit(spin)
            time.sleep(max(0, due - time.perf_counter()))
            if NAME == "loky":
                self.executor.shutdown(wait=True, kill_workers=True)
            else:
                for p in list(self.executor._processes.values()):
                    p.kill()
            return self.recovered(f, due)

        return self.steps(box, calls, step)

    def recovered(self, doomed, due):
        if doomed.exception(timeout=30) is None:
            raise RuntimeError("the call that never ends has ended well")
        old, self.executor = self.executor, new_executor(self.workers)
        output = self.executor.submit(echo, self.input).result()
        took = time.perf_counter() - due
        old.shutdown(wait=True)
        check(output, self.input)
        return took

    def idle(self, box, calls):
        pids = set(self.executor.map(pid_after, [0.05] * (4 * self.workers)))
        return {"Each": [], "Calls": len(pids), "PIDs": sorted(pids)}


def busy(pid, more=0.01):
    """Waits until a process computes."""
    clock = (~pid << 3) | 2  # clock_getcpuclockid(3)
    began, end = time.clock_gettime(clock), time.monotonic() + 30
    while time.clock_gettime(clock) - began < more:
        if time.monotonic() > end:
            raise RuntimeError("process %d does not compute" % pid)
        time.sleep(0.0005)


def answer(request, cell):
    op = request["Op"]
    if op == "hello":
        return cell, {"Version": {NAME: version()}}
    if op == "open":
        return Cell(request["Job"], request.get("Side", "")), {}
    if op == "run":
        return cell, cell.run(request["Box"]["Time"] / 1e9, request["Box"]["Calls"])
    if op == "close":
        if cell is not None:
            cell.close()
        return None, {}
    raise ValueError("unknown operation " + op)


def serve():
    cell = None
    # The workers of concurrent.futures are forks and would share the buffers.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            cell, reply = answer(json.loads(line), cell)
        except Exception as e:  # each goes back to whoever has asked
            reply = {"Error": "%s: %s" % (type(e).__name__, e)}
        print(json.dumps(reply), file=out, flush=True)
    if cell is not None:
        cell.close()


def cold():
    data = payload(64)
    ex = new_executor(os.cpu_count())
    check(ex.submit(echo, data).result(), data)
    print("ok", flush=True)
    ex.shutdown(wait=True)


if __name__ == "__main__":
    cold() if sys.argv[2:] == ["-cold"] else serve()
