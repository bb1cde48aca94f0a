"""The notebook lives and the verdict stays readable, whatever a learner's function does while it is tried."""

import json
import signal
import sys
import time
import warnings
from contextlib import nullcontext

import pytest
from nbclient import NotebookClient
from nbformat import v4

from lessons_lib import exercises
from lessons_lib.exercises import engine


@pytest.fixture
def trying(monkeypatch):
    """Judge an answer by a check of the test's own."""

    def tried(examine, answer):
        monkeypatch.setattr(engine, "find", lambda number: examine)
        return exercises.judge("1.1", answer)

    return tried


def doubles(answer):
    for x in (0, 1, 2, 3):
        engine.expect_number(engine.call(answer, x), 2 * x, engine.show_call(answer, x))
    return "That is twice."


def doubles_within(seconds):
    return engine.within(seconds)(lambda answer: doubles(answer))


def test_the_message_shows_the_smallest_input_that_fails(trying):
    assert trying(doubles, lambda x: x * x).message == (
        "not yet right. <lambda>(1) returned 1; 2 was expected."
    )


def test_an_exception_is_told_with_the_learners_own_line(trying):
    def halves(x):
        return json.loads("no JSON" * x)

    assert trying(doubles, halves).message == (
        "not yet right. halves(0) raised JSONDecodeError: Expecting value: line 1 column 1 (char 0), "
        'in the line `return json.loads("no JSON" * x)`.'
    )


def test_only_the_first_line_of_a_long_error_is_told(trying):
    def fails(x):
        raise RuntimeError("a" * 1000 + "\nb")

    message = trying(doubles, fails).message
    assert "RuntimeError: aaa" in message
    assert len(message) < 400
    assert "\n" not in message


@pytest.mark.parametrize("way", [exit, sys.exit, lambda: sys.exit("bye"), lambda: sys.exit(3)])
def test_a_function_that_exits_does_not_end_the_kernel(trying, way):
    def leaves(x):
        way()

    verdict = trying(doubles, leaves)
    assert verdict == (
        "not yet right",
        "not yet right. leaves(0) called exit(), which ends a program. Use `return`.",
    )


def test_every_kind_of_exception_is_survived(trying):
    class Odd(BaseException):
        def __str__(self):
            raise ValueError("no words")

    for error in (GeneratorExit, RecursionError, MemoryError, StopIteration, Odd):

        def fails(x, error=error):
            raise error

        assert trying(doubles, fails).status == "not yet right"


def test_an_endless_loop_ends_with_the_time_limit_of_its_exercise(trying):
    def circles(x):
        while x:
            pass
        return 0

    start = time.monotonic()
    verdict = trying(doubles_within(0.3), circles)
    assert 0.2 < time.monotonic() - start < 2
    assert verdict == (
        "not yet right",
        "not yet right. circles(1) was stopped when the 0.3 seconds of this check were over. "
        "Is there a loop that never ends?",
    )


def test_ten_seconds_are_the_usual_limit(trying, monkeypatch):
    limits = []
    monkeypatch.setattr(engine, "time_limit", lambda seconds: limits.append(seconds) or nullcontext())
    trying(doubles, lambda x: x)
    trying(doubles_within(60), lambda x: x)
    assert limits == [10, 60]


def test_slow_calls_are_not_mistaken_for_an_endless_loop(trying):
    def slow(x):
        time.sleep(0.2)
        return 2 * x

    message = trying(doubles_within(0.7), slow).message
    assert (
        "was stopped when the 0.7 seconds of this check were over. The calls before it came to an end"
        in message
    )


def test_a_generator_without_end_is_stopped_outside_the_call_too(trying):
    def numbers(x):
        while True:
            yield x

    def sums(answer):
        return sum(engine.call(answer, 1))

    message = trying(engine.within(0.2)(sums), numbers).message
    assert message == "not yet right. The 0.2 seconds of this check were over before it had come to an end."


def test_the_stop_button_stops_the_check_with_a_sentence(trying):
    def waits(x):
        signal.raise_signal(signal.SIGINT)
        time.sleep(5)

    assert trying(doubles, waits).message == ("not yet right. You stopped waits(0), which was still running.")

    def stops(answer):
        raise KeyboardInterrupt

    assert "You stopped the check before it" in trying(stops, waits).message


def test_a_result_that_breaks_the_comparison_breaks_only_the_verdict(trying):
    class Trap(float):
        def __eq__(self, other):
            raise TypeError("not to be compared")

    verdict = trying(doubles, Trap)
    assert verdict.status == "not yet right"
    assert (
        "The check could not go on with what your function gave it: TypeError: not to be compared."
        in verdict.message
    )


def test_a_few_printed_lines_stand_below_the_verdict(trying, capsys):
    def talks(x):
        print("x is", x)
        print("done", file=sys.stderr, end="")
        return x

    assert trying(doubles, talks).message == (
        "not yet right. talks(1) returned 1; 2 was expected.\n"
        "(Your function printed:\n  x is 0\n  donex is 1\n  done)"
    )
    assert capsys.readouterr() == ("", "")


def test_a_single_line_stands_on_the_same_line(trying):
    def talks(x):
        if x == 0:
            print("hello\n")
        return 2 * x

    assert trying(doubles, talks) == ("right", "right. That is twice.\n(Your function printed: hello)")


def test_much_output_does_not_drown_the_verdict(trying):
    def talks(x):
        for i in range(1000):
            print("x" * 1000, i)
        return 2 * x

    message = trying(doubles, talks).message
    assert message.startswith("right. That is twice.\n(Your function printed 4000 lines; the last 3:\n  xxx")
    assert len(message) < 500


def test_warnings_are_named_in_one_line_each_time(trying):
    def warns(x):
        warnings.warn(f"beware of {x}\nreally", stacklevel=1)
        return 2 * x

    for _ in range(2):
        assert trying(doubles, warns).message == (
            "right. That is twice.\n(Your function warned: UserWarning: beware of 0, and 3 more)"
        )


def test_the_streams_are_put_back_whatever_happens(trying):
    def closes(x):
        sys.stdout.close()
        sys.stdout = sys.stderr = None
        raise KeyError

    before = sys.stdout, sys.stderr, warnings.showwarning
    assert trying(doubles, closes).status == "not yet right"
    assert (sys.stdout, sys.stderr, warnings.showwarning) == before


def test_a_check_inside_the_answer_is_not_begun():
    def circles(f, x, h):
        exercises.check("1.1", circles)

    message = exercises.judge("1.1", circles).message
    assert "raised RuntimeError: check was called inside a function that is being checked" in message


IN_A_KERNEL = """from lessons_lib.exercises import check, engine
engine.SECONDS = 0.5

def surprise(p):
    exit()

check("0.1", surprise)
---
def surprise(p):
    while True:
        print("round and round")

check("0.1", surprise)
---
import signal

def surprise(p):
    signal.raise_signal(signal.SIGINT)

check("0.1", surprise)
---
import math

def surprise(p):
    return -math.log(p)

check("0.1", surprise)"""


def test_a_kernel_outlives_exit_endless_loops_and_the_stop_button():
    cells = [v4.new_code_cell(source) for source in IN_A_KERNEL.split("\n---\n")]
    notebook = v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    told = ["".join(output.get("text", "?") for output in cell.outputs) for cell in notebook.cells]
    assert told[0].startswith("0.1 not yet right. surprise(0.5) called exit()")
    assert told[1].startswith("0.1 not yet right. surprise(0.5) was stopped when the 0.5 seconds")
    assert told[1].endswith("lines; the last 3:\n  round and round\n  round and round\n  round and round)\n")
    assert told[2].startswith("0.1 not yet right. You stopped surprise(0.5)")
    assert told[3].startswith("0.1 right. ")
