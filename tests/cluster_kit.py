"""A cluster inside this process, for tests: hosts are threads, all that travels is pickled.

`plan` maps the number of a `do` call (1 = first) to what goes wrong: `lost` (the process is gone
before it answers), `late` (it is deemed gone, and answers after all), `crash` (the study's own code
gets this error).
"""

import pickle
import threading
from collections import Counter

from tuneworthy.measure.executors._cluster import HostLost, Node
from tuneworthy.measure.executors._host import Host


class Call:
    def __init__(self, run):
        self.value, self.error, self.done = None, None, threading.Event()

        def work():
            try:
                self.value = pickle.dumps(run())
            except BaseException as error:
                self.error = error
            self.done.set()

        threading.Thread(target=work, daemon=True).start()


class InProcess:
    """Some nodes, each with one CPU; `work` is the folder of what arms leave on them."""

    name = "a cluster in this process"

    def __init__(self, work, nodes=2, plan=None, memory=8e9):
        self.work, self.plan = work, dict(plan or {})
        self.living = {f"n{i}": Node(f"n{i}", f"node{i}", 1.0, 0.0, memory) for i in range(nodes)}
        self.calls, self.count, self.closed = Counter(), 0, False
        self.stopped, self.started, self.late = [], [], []
        self.lock = threading.Lock()

    def nodes(self):
        return list(self.living.values())

    def start(self, node, need):
        host = Host(self.work / node.id)
        host.lock = threading.Lock()
        self.started.append((node.id, host))
        return host

    def share(self, value):
        return pickle.dumps(value)

    def call(self, host, method, *details):
        values = [pickle.loads(v) if isinstance(v, bytes) else pickle.loads(pickle.dumps(v))
                  for v in details]  # fmt: skip
        fault = None
        with self.lock:
            self.calls[method if method != "call_arm" else details[0]] += 1
            if method == "call_arm":
                self.count += 1
                fault = self.plan.pop(self.count, None)

        def run():
            if fault == "lost":
                raise HostLost("the process is gone")
            if isinstance(fault, BaseException):
                raise fault
            value = getattr(host, method)(*values)
            if fault == "late":
                self.late.append(value)
                raise HostLost("no answer in time")
            return value

        return Call(run)

    def ready(self, call, seconds):
        return call.done.wait(seconds)

    def result(self, call):
        if call.error is not None:
            raise call.error
        return pickle.loads(call.value)

    def stop(self, host):
        self.stopped.append(host)

    def close(self):
        self.closed = True
