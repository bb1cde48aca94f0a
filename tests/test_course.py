"""The map of the course tells what is there and what is not."""

from lessons_lib import course


def test_the_map_has_eight_lessons_and_says_which_are_to_come(capsys):
    course.show_map()
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 8
    for (_, lesson), line in zip(course.LESSONS.items(), lines, strict=True):
        assert lesson.question in line
        there = (course.ROOT / "notebooks" / f"{lesson.file}.ipynb").exists()
        assert ("to come" in line) != there


def test_a_lesson_says_what_it_asks_of_you_and_of_the_machine(capsys):
    course.about(1)
    seconds, megabytes = course.measured()["01_micrograd"]
    out = capsys.readouterr().out
    assert "Lesson 1 of 8. You: about 3 hours, and 0.5 for the deeper part." in out
    assert f"The machine: {seconds:.0f} s and {megabytes:.0f} MB" in out
