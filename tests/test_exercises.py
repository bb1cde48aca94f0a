"""The judge answers in one of three ways whatever it is handed, and hands over inputs that it can watch."""

import json
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from lessons_lib import exercises
from lessons_lib.autograd import Value
from lessons_lib.exercises import engine
from lessons_lib.exercises import logbook as book


@pytest.fixture(autouse=True)
def own_file(tmp_path, monkeypatch):
    monkeypatch.setattr(book, "progress_file", lambda: tmp_path / "user" / "progress.jsonl")
    return tmp_path / "user" / "progress.jsonl"


def right(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


def stub(f, x, h): ...


def stub_with_words(f, x, h):
    """Return the slope."""


def passing(f, x, h):
    pass


def fallen(f, x, h):
    right(f, x, h)


@pytest.mark.parametrize("answer", [..., stub, stub_with_words, passing])
def test_a_stub_is_not_attempted(answer):
    status, message = exercises.judge("1.1", answer)
    assert status == "not attempted"
    assert "Write the body of" in message


def test_a_forgotten_return_is_not_a_stub():
    status, message = exercises.judge("1.1", fallen)
    assert status == "not yet right"
    assert "Is a `return` missing?" in message


@pytest.mark.parametrize("answer", [3.0, "slope", None])
def test_a_result_in_place_of_the_function_is_explained(answer):
    status, message = exercises.judge("1.1", answer)
    assert status == "not yet right"
    assert "pass the function itself" in message


def test_an_unknown_exercise_is_an_error_of_ours():
    for number in ("1.99", "99.1", "x"):
        with pytest.raises(ValueError, match="there is no exercise"):
            exercises.judge(number, right)


def test_check_prints_the_number_and_the_verdict_and_returns_nothing(capsys):
    assert exercises.check("1.1", right) is None
    assert exercises.check("1.1", stub) is None
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("1.1 right. ")
    assert second == "1.1 not attempted yet. Write the body of stub."


def test_only_a_right_answer_is_noted(own_file):
    exercises.check("1.1", stub)
    exercises.check("1.1", lambda f, x, h: 0.0)
    assert not own_file.exists()
    exercises.check("1.1", right)
    exercises.check("1.1", right)
    assert [json.loads(line)["exercise"] for line in own_file.read_text(encoding="utf-8").splitlines()] == [
        "1.1"
    ]


def test_an_exception_is_shown_with_its_call():
    with pytest.raises(engine.NotYet, match=r"right\(1, 2, 3\) raised TypeError: "):
        engine.call(right, 1, 2, 3)


def test_the_number_stands_in_quotes():
    with pytest.raises(ValueError, match=r'stands in quotes: check\("1.1", your_function\)'):
        exercises.judge(1.1, right)


def test_a_lesson_whose_imports_fail_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "lessons_lib.exercises.lesson1", None)
    with pytest.raises(ValueError, match="there is no exercise"):
        exercises.judge("1.1", right)
    monkeypatch.delitem(sys.modules, "lessons_lib.exercises.lesson1")
    monkeypatch.setitem(sys.modules, "lessons_lib.autograd", None)
    with pytest.raises(ModuleNotFoundError, match="lessons_lib"):
        exercises.judge("1.1", right)


def changes(how):
    def change(thing):
        how(thing)
        return 0.0

    return change


def half_zero(tensor):
    tensor[0] = 0


@pytest.mark.parametrize(
    ("thing", "how"),
    [
        ([1, 2], list.clear),
        ([1, 2], lambda x: x.append(3)),
        ([[1], [2]], lambda x: x[1].append(3)),
        ({"a": 1}, lambda x: x.update(b=1)),
        ({"a": [1]}, lambda x: x["a"].append(1)),
        (({"a": 1},), lambda x: x[0].clear()),
        ({1, 2}, lambda x: x.add(3)),
        (defaultdict(int), lambda x: x["seen"]),
        (Counter("aab"), lambda x: x.update("b")),
        (torch.ones(3), half_zero),
        (torch.ones(3), lambda x: x.add_(1)),
        (torch.ones(3), lambda x: x.resize_(2)),
        ([torch.ones(3)], lambda x: half_zero(x[0])),
        ({"w": torch.ones(3, 2)}, lambda x: half_zero(x["w"].t())),
        (np.ones(3), half_zero),
        (torch.tensor([1.0, float("nan")]), half_zero),
        ([Value(1.0), Value(2.0)], list.reverse),
    ],
)
def test_a_changed_input_is_noticed_and_the_next_learner_gets_the_old_one(thing, how):
    before = repr(thing)
    with pytest.raises(engine.NotYet, match=r"^change\(.*\) changed its input\. Work on a copy"):
        engine.call(changes(how), thing)
    assert repr(thing) == before


@pytest.mark.parametrize(
    "thing",
    [[float("nan")], torch.tensor([float("nan"), 1.0]), np.array([np.nan]), {"a": torch.zeros(0)}, {1}, "a", None],
)  # fmt: skip
def test_an_input_that_was_only_read_is_not_called_changed(thing):
    assert engine.call(lambda x: 1.0, thing) == 1.0


def test_what_has_a_life_of_its_own_is_handed_over_as_it_is():
    weight = torch.ones(2, requires_grad=True)
    generator = torch.Generator().manual_seed(1)

    def uses(w, values, g):
        (w * 2).sum().backward()
        w.data[0] = 7
        values[0].grad = 5.0
        return torch.rand(1, generator=g)

    value = Value(1.0)
    engine.call(uses, weight, [value], generator)
    assert weight.grad.tolist() == [2, 2]
    assert weight.tolist() == [7, 1]
    assert value.grad == 5.0
    assert generator.get_state().tolist() != torch.Generator().manual_seed(1).get_state().tolist()
