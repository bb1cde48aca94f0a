"""Every exercise is proved: its check knows the stub, the solution and at least three plausible wrong answers apart.

Stub and solution come from the notebook, the wrong answers from tests/wrong_answers/lessonN.py:

    WRONG = {"1.1": [("def slope(f, x, h): ...", "what the message must name, or None"), ...], ...}

An answer is source code, which may use what the cells above the exercise define (`solutions.context`), or a function.
"""

import runpy
from pathlib import Path

import pytest
import solutions
from nbformat import v4
from solutions import Exercise

from lessons_lib.exercises import judge

HERE = Path(__file__).parent
LESSONS = {path: solutions.exercises(path) for path in sorted((HERE.parent / "notebooks").glob("*.ipynb"))}
EXERCISES = {exercise.number: exercise for found in LESSONS.values() for exercise in found}
AT_LEAST_EXERCISES, AT_LEAST_WRONG = 6, 3


def wrong_answers(folder: Path) -> dict[str, list]:
    """WRONG of every lessonN.py in the folder, in one dictionary. Raises ValueError where two files name one exercise."""
    found = {}
    for path in sorted(folder.glob("lesson*.py")):
        here = runpy.run_path(str(path))["WRONG"]
        if twice := found.keys() & here.keys():
            raise ValueError(f"{path.name}: {min(twice)} has wrong answers in another file")
        found |= here
    return found


WRONG = wrong_answers(HERE / "wrong_answers")


def unproved(lessons: dict[Path, list[Exercise]], wrong: dict[str, list]) -> list[str]:
    """What is missing for all exercises to be proved, a sentence each."""
    missing = []
    for path, exercises in lessons.items():
        if not path.name.startswith("00_") and len(exercises) < AT_LEAST_EXERCISES:
            missing.append(f"{path.name} has {len(exercises)} exercises; {AT_LEAST_EXERCISES} are due.")
        for number in [exercise.number for exercise in exercises]:
            answers = {answer for answer, _ in wrong.get(number, [])}
            if len(answers) < AT_LEAST_WRONG:
                missing.append(
                    f"{number} has {len(answers)} different wrong answers; {AT_LEAST_WRONG} are due."
                )
    numbers = {exercise.number for exercises in lessons.values() for exercise in exercises}
    return missing + [
        f"{number} has wrong answers, but no notebook." for number in wrong if number not in numbers
    ]


def build(exercise: Exercise, answer):
    """The function that the answer, source or function, hands in."""
    if callable(answer):
        return answer
    space = {"__name__": "notebook"}
    exec(solutions.context(exercise.above, answer), space)
    exec(answer, space)
    return space[exercise.function]


def test_every_exercise_is_proved():
    assert unproved(LESSONS, WRONG) == []


@pytest.mark.parametrize("number", EXERCISES)
def test_the_stub_is_not_attempted(number):
    assert judge(number, build(EXERCISES[number], EXERCISES[number].stub)).status == "not attempted"


@pytest.mark.parametrize("number", EXERCISES)
def test_the_solution_is_right(number):
    verdict = judge(number, build(EXERCISES[number], EXERCISES[number].solution))
    assert verdict.status == "right", verdict.message


@pytest.mark.parametrize(
    ("number", "answer", "named"),
    [
        pytest.param(number, answer, named, id=f"{number}-{place}")
        for number, answers in WRONG.items()
        for place, (answer, named) in enumerate(answers, start=1)
        if number in EXERCISES
    ],
)
def test_a_wrong_answer_is_not_yet_right(number, answer, named):
    verdict = judge(number, build(EXERCISES[number], answer))
    assert verdict.status == "not yet right", verdict.message
    assert (named or "") in verdict.message
    assert "could not go on" not in verdict.message  # a mistake of the check, not of the answer


# The machinery itself.

ADD = Exercise(
    "1.1", 1, 5, "add", "def add(a): ...", 'check("1.1", add)', "def add(a):\n    return a + 1", 1, ()
)
THREE = [("def add(a):\n    return a", None), ("def add(a):\n    return 0", None), (abs, None)]
LESSON = Path("01_lesson.ipynb")
SIX = [Exercise(f"1.{place}", *list(vars(ADD).values())[1:]) for place in range(1, 7)]


@pytest.mark.parametrize(
    ("said", "lessons", "wrong"),
    [
        (
            "01_lesson.ipynb has 5 exercises; 6 are due.",
            {LESSON: SIX[:5]},
            {e.number: THREE for e in SIX[:5]},
        ),
        ("1.6 has 0 different wrong answers", {LESSON: SIX}, {e.number: THREE for e in SIX[:5]}),
        (
            "1.6 has 2 different wrong answers",
            {LESSON: SIX},
            {e.number: THREE for e in SIX} | {"1.6": THREE[:2] * 2},
        ),
        (
            "2.1 has wrong answers, but no notebook.",
            {LESSON: SIX},
            {e.number: THREE for e in SIX} | {"2.1": THREE},
        ),
    ],
)
def test_what_is_not_proved_is_named(said, lessons, wrong):
    assert [said in missing for missing in unproved(lessons, wrong)] == [True]


def test_a_start_page_needs_no_exercise_and_a_proved_lesson_nothing_more():
    assert unproved({Path("00_start_here.ipynb"): [], LESSON: SIX}, {e.number: THREE for e in SIX}) == []


def test_wrong_answers_are_read_from_all_files(tmp_path):
    (tmp_path / "lesson1.py").write_text('WRONG = {"1.1": [("a", None)]}', encoding="utf-8")
    (tmp_path / "lesson2.py").write_text('WRONG = {"2.1": [("b", "sign")]}', encoding="utf-8")
    assert wrong_answers(tmp_path) == {"1.1": [("a", None)], "2.1": [("b", "sign")]}
    (tmp_path / "lesson3.py").write_text('WRONG = {"1.1": []}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"lesson3\.py: 1\.1 has wrong answers in another file"):
        wrong_answers(tmp_path)


def test_an_exercise_out_of_form_stops_the_proofs(tmp_path):
    path = tmp_path / "01_lesson.ipynb"
    path.write_text(
        v4.writes(v4.new_notebook(cells=[v4.new_code_cell('check("1.1", add)')])), encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"01_lesson\.ipynb: Cell 1: a check that belongs to no exercise"):
        solutions.exercises(path)


ABOVE = (
    "import math\nimport json\nscale = 2.0\nwasted = 1 / 0",
    "class Box:\n    size = 1\n\n\ndef doubled(self):\n    return self.size * factor\n\n\nBox.double = doubled",
    "numbers = [3]\nnumbers.append(4)\nprint(undefined)",
    "def grow(box):\n    box.size = 5\n\n\nbox = Box()\ngrow(box)\nfactor, spare = scale, 0",
    "for i in range(3):\n    numbers[0] += i",
    "spare = undefined",
)


NEEDED = [
    ("def f():\n    return math.floor(2.5)", 2),
    # A method added after its class, which needs a number made later still.
    ("def f():\n    return Box().double()", 2.0),
    # Changed twice after it was made; changed by a function it was handed to.
    ("def f():\n    return numbers", [6, 4]),
    ("def f():\n    return box.size", 5),
    # Its own names need nothing, though a cell above has given them a meaning too.
    ("wasted = 3\n\n\ndef f():\n    return wasted", 3),
    ("def f(wasted=scale):\n    return wasted", 2.0),
]


@pytest.mark.parametrize(("answer", "value"), NEEDED)
def test_an_answer_gets_from_the_cells_above_what_it_needs_and_no_more(answer, value):
    exercise = Exercise("1.1", 1, 5, "f", "", "", "", 1, ABOVE)
    assert build(exercise, answer)() == value


def test_a_function_is_an_answer_as_it_is():
    assert build(ADD, abs) is abs
