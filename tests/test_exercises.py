"""The judge answers in one of three ways whatever it is handed, and progress survives what happens to files."""

import json

import pytest

from lessons_lib import exercises
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


def test_progress_is_told_by_lesson(capsys):
    exercises.progress()
    assert "No exercise solved yet" in capsys.readouterr().out
    book.record("1.2")
    book.record("1.1")
    exercises.progress()
    assert "Lesson 1: ●●○○○○○○ 2 of 8, open: 1.3 1.4" in capsys.readouterr().out


def test_one_exercise_or_all_can_be_opened_again():
    for number in ("1.1", "1.2", "1.10"):
        book.record(number)
    assert book.solved() == ["1.1", "1.2", "1.10"]
    exercises.reset("1.1")
    assert book.solved() == ["1.2", "1.10"]
    book.record("1.1")
    assert book.solved() == ["1.1", "1.2", "1.10"]
    exercises.reset()
    assert book.solved() == []


def test_a_damaged_line_is_skipped_with_a_word(own_file, capsys):
    book.record("1.1")
    with own_file.open("ab") as file:
        file.write(b'{"exercise": "1.2", "ev\n[1]\n\xff\xfe\n')
    book.record("1.3")
    capsys.readouterr()
    assert book.solved() == ["1.1", "1.3"]
    assert "3 damaged lines, skipped" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_costs_no_lesson(own_file, capsys):
    own_file.parent.write_text("a file where the folder should be", encoding="utf-8")
    exercises.check("1.1", right)
    out = capsys.readouterr().out
    assert "could not be noted" in out
    assert "1.1 right." in out


def test_a_changed_input_is_noticed():
    def append(numbers):
        numbers.append(1.0)
        return 0.0

    with pytest.raises(engine.NotYet, match=r"append\(\[2.0\]\) changed its input"):
        engine.call(append, [2.0])


def test_an_exception_is_shown_with_its_call():
    with pytest.raises(engine.NotYet, match=r"right\(1, 2, 3\) raised TypeError: "):
        engine.call(right, 1, 2, 3)


def test_numbers_are_compared_strictly():
    for wrong in ("1.0", [1.0], True, float("nan"), 1.1):
        with pytest.raises(engine.NotYet):
            engine.expect_number(wrong, 1.0, "f()")
    for wrong in ([1.0], [1.0, 2.1], 1.0, [1.0, None]):
        with pytest.raises(engine.NotYet):
            engine.expect_numbers(wrong, [1.0, 2.0], "f()")
    engine.expect_number(1, 1.0, "f()")
    engine.expect_numbers((1.0, 2), [1.0, 2.0], "f()")


def test_a_long_argument_is_shortened():
    assert len(engine.show_call(right, list(range(1000)))) < 80
