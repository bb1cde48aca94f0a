"""The clock of a check rings once the time is up, by both of its mechanisms, and leaves nothing behind."""

import signal
import threading
import time
from contextlib import suppress
from functools import partial

import pytest

from lessons_lib.exercises import limits
from lessons_lib.exercises.limits import TimeUp, time_limit

HAS_ALARM = hasattr(signal, "SIGALRM")
needs_alarm = pytest.mark.skipif(not HAS_ALARM, reason="this system has no SIGALRM")


@pytest.fixture(params=["alarm", "thread"])
def clock(request, monkeypatch):
    """Each mechanism where the system has it: without SIGALRM the thread takes its place."""
    if request.param == "thread":
        monkeypatch.delattr(signal, "SIGALRM", raising=False)
    elif not HAS_ALARM:
        pytest.skip("this system has no SIGALRM")
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    threads = threading.active_count()
    yield request.param
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert threading.active_count() == threads


@pytest.fixture(autouse=HAS_ALARM)
def nothing_left():
    before = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def spin(seconds: float = 20.0) -> None:
    """An endless loop that a failing test survives."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def limited(seconds: float, *steps) -> None:
    with time_limit(seconds):
        for step in steps:
            step()


def test_an_endless_loop_is_stopped_when_the_time_is_up(clock):
    start = time.monotonic()
    with pytest.raises(TimeUp) as up:
        limited(0.2, spin)
    assert 0.15 < time.monotonic() - start < 2
    assert up.value.seconds == 0.2


def test_what_ends_in_time_is_left_alone(clock):
    for _ in range(20):
        limited(0.5)
    spin(0.75)


def test_an_error_of_the_block_comes_through(clock):
    with pytest.raises(KeyError):
        limited(5, {}.popitem)


def test_except_exception_does_not_catch_the_ring(clock):
    def cautious():
        with suppress(Exception):
            spin()
        raise AssertionError

    with pytest.raises(TimeUp):
        limited(0.1, cautious)


def test_a_ring_that_was_caught_comes_again(clock):
    def deaf():
        with suppress(BaseException):
            spin()

    with pytest.raises(TimeUp):
        limited(0.1, deaf, spin)


def test_a_finally_that_loops_is_stopped_too(clock):
    def stubborn():
        try:
            spin()
        finally:
            spin()

    with pytest.raises(TimeUp):
        limited(0.1, stubborn)


def test_a_ring_never_comes_after_the_end(clock):
    """The time ends before, with and after the block; outside of it nothing may ever arrive."""
    for i in range(60):
        with suppress(TimeUp):
            limited(0.002, partial(spin, 0.0005 + i * 0.00005))
        spin(0.0005)


def test_the_stop_button_keeps_its_meaning(clock):
    with pytest.raises(KeyboardInterrupt):
        limited(5, lambda: signal.raise_signal(signal.SIGINT), spin)


def test_a_ring_before_the_block_has_begun_comes_again_inside(clock, monkeypatch):
    """On a slow machine the time may be up before the clock is set up; a clock that nobody stops must not stay behind."""
    for name in ("alarm_clock", "thread_clock"):

        def slow(start, seconds, number):
            stop = start(seconds, number)
            spin(0.05)
            return stop

        monkeypatch.setattr(limits, name, partial(slow, getattr(limits, name)))
    with pytest.raises(TimeUp):
        limited(0.01, spin)


@needs_alarm
def test_a_limit_within_a_limit_has_its_own_time_and_the_outer_one_goes_on():
    rung = []

    def inner():
        with pytest.raises(TimeUp) as up:
            limited(0.1, spin)
        rung.append(up.value.seconds)

    start = time.monotonic()
    with pytest.raises(TimeUp) as up:
        limited(0.4, inner, spin)
    assert [*rung, up.value.seconds] == [0.1, 0.4]
    assert 0.35 < time.monotonic() - start < 2


@needs_alarm
def test_an_earlier_timer_and_its_handler_are_put_back():
    rung = []
    earlier = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    try:
        start = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.6)
        with time_limit(5):
            spin(0.1)
        assert rung == []
        spin(0.8)
        assert len(rung) == 1
        assert rung[0] - start > 0.55
    finally:
        signal.signal(signal.SIGALRM, earlier)


def test_outside_the_main_thread_the_block_runs_without_a_limit():
    done = []

    def run():
        with time_limit(0.05):
            spin(0.15)
        done.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [True]


def test_endless_output_takes_no_memory():
    noise = limits.Noise()
    for _ in range(10_000):
        noise.write("x" * 100)
    assert len(noise.begun) < 1000
    noise.write("\n" * 10_000 + "y" * 10_000 + "\n")
    for i in range(10_000):
        noise.warn(f"warning {i}", UserWarning)
    assert noise.lines == 2
    assert len(noise.told()) < 500
