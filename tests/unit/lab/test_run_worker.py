"""The worker as the server sees it: what is pressed early reaches the run."""

from lab_kit import SLUG, config
from lab_runner import SLOW_RATE, fake

from tuneworthy.lab.run_process import RunOrder
from tuneworthy.lab.run_worker import RunWorker


def order(tmp_path, name):
    return RunOrder(name, SLUG, config(rate=SLOW_RATE), 0, "own", tmp_path / name, None)


def ends(worker, given):
    events = [message[1] for message in worker.run(given) if message[0] == "event"]
    return events[-1]["state"] if events else "stopped"


def test_a_stop_before_the_process_has_its_order_stops_that_run_alone(tmp_path):
    worker = RunWorker(fake)
    try:
        worker.control("stop", "one")
        assert ends(worker, order(tmp_path, "one")) == "stopped"
        assert ends(worker, order(tmp_path, "two")) == "done"
    finally:
        worker.kill()
