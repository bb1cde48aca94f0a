"""The gradient microscope: its steps, what it finds over its whole range, its pictures, and what it makes of a learner's answers."""

import copy
import io
import math
import re
import time

import numpy as np
import pytest
import torch
from PIL import Image

from lessons_lib import by_hand, microscope
from lessons_lib.figures import SHOWN_DPI
from lessons_lib.microscope import describe, panel, slider, strip, yours
from lessons_lib.microscope_bench import Bench
from lessons_lib.microscope_steps import ARGUMENTS, LINES, STEPS
from lessons_lib.suspects import suspect_A, suspect_B, suspect_C
from lessons_lib.training import setup

NAMES = [step.name for step in STEPS]
SUSPECTS = {"suspect A": suspect_A, "suspect B": suspect_B, "suspect C": suspect_C}


@pytest.fixture(scope="module", autouse=True)
def as_in_a_lesson():
    setup()


def make(n, hidden, seed=0):
    generator = torch.Generator().manual_seed(seed)
    X, Y = (torch.randint(27, shape, generator=generator) for shape in ((n, 3), (n,)))
    return by_hand.initial(hidden, generator), X, Y


@pytest.fixture(scope="module")
def problem():
    return make(32, 64)


@pytest.fixture(scope="module")
def truth(problem):
    return by_hand.backward(*problem, by_hand.forward(*problem))


@pytest.fixture(scope="module")
def given(truth):
    """Every kind of thing that can lie under the microscope."""
    odd = {
        "dlogp": None,
        "dprobs": ...,
        "dshare": "stopped by ValueError: no",
        "dcounts": [1.0],
        "dlogits": truth["dlogits"].T,
        "dh": truth["dh"] * math.nan,
        "dW2": torch.zeros_like(truth["dW2"]),
        "db2": truth["db2"].float(),
        "dact": truth["dact"] * (1 + 1e-6),
        "dgain": truth["dgain"].clone().requires_grad_(),
        "dbias": truth["dbias"] * 1e300,
    }
    return {"yours": odd} | SUSPECTS


@pytest.fixture(scope="module")
def bench(problem, given):
    return Bench(*problem, given)


def at(bench, step, whose):
    return bench.compute({"step": step, "whose": whose})


# The steps.


def test_the_forward_lines_are_the_forward_pass_of_the_library(problem, bench):
    atoms = by_hand.forward(*problem)
    assert list(bench.atoms) == list(atoms) == [line.partition(" = ")[0] for line in LINES]
    for name, atom in atoms.items():
        assert torch.allclose(bench.atoms[name], atom, rtol=1e-12, atol=1e-12), name


def test_twenty_steps_each_with_the_lines_that_use_it():
    lines = {step.name: step.lines for step in STEPS}
    assert len(lines) == 20
    assert all(1 <= len(some) <= 2 for some in lines.values())
    twice = [name for name, some in lines.items() if len(some) == 2]
    assert twice == ["dcounts", "dlogits", "doff", "dpre"]
    assert [step.name for step in STEPS if step.rule.startswith("used twice")] == twice
    assert lines["dh"] == ["logits = h @ W2 + b2"]
    assert lines["doff"] == ["off2 = off**2", "norm = off * inv"]
    assert lines["dC"] == ["emb = C[X]"]


def test_every_step_has_an_exercise_and_its_arguments(bench):
    known = {*bench.values, *NAMES, "rows"}
    assert list(dict.fromkeys(step.function for step in STEPS)) == list(ARGUMENTS)
    assert list(dict.fromkeys(step.exercise for step in STEPS)) == [f"6.{k}" for k in range(1, 15)]
    assert all(set(names.split()) <= known for names in ARGUMENTS.values())


# What it finds.


def test_autograds_gradients_are_the_long_way_by_hand(problem, truth, bench):
    for step in STEPS:
        unit = truth["dpre"].norm() if step.name == "db1" else truth[step.name].norm()
        assert (bench.truth[step.name] - truth[step.name]).norm() < 1e-9 * unit, step.name


@pytest.mark.parametrize(("n", "hidden", "seed"), [(32, 64, 0), (5, 7, 1), (27, 27, 2), (40, 200, 3)])
def test_finite_differences_side_with_autograd_at_every_step(n, hidden, seed):
    bench = Bench(*make(n, hidden, seed), SUSPECTS)
    for whose in SUSPECTS:
        for name in NAMES:
            seen = at(bench, name, whose)
            assert seen.sides, (name, whose)
            assert abs(seen.values[2] - seen.values[1]) <= 1e-4 * bench._units[name]


def test_a_finite_difference_does_not_side_with_a_wrong_autograd(problem):
    bench = Bench(*problem, {"B": suspect_B})
    bench.truth["dact"] = bench.truth["dact"] * 1.01
    seen = at(bench, "dact", "B")
    assert not seen.sides
    assert "does not side with autograd" in describe({}, seen)
    assert seen.values[2] == pytest.approx(seen.values[0], rel=1e-4)  # but with B, who is right


def test_the_suspects_are_convicted_at_the_line_where_they_went_wrong(bench):
    first = {whose: [name for name in NAMES if at(bench, name, whose).first] for whose in SUSPECTS}
    assert first == {"suspect A": ["dact"], "suspect B": [], "suspect C": ["dpre"]}
    agree = {whose: [at(bench, name, whose).verdict == "agrees" for name in NAMES] for whose in SUSPECTS}
    assert sum(agree["suspect A"]) == 9  # the eight before, and db1 again
    assert all(agree["suspect B"])
    assert sum(agree["suspect C"]) == 15
    assert "differs, first here, by" in describe({}, at(bench, "dact", "suspect A"))
    assert "differs by" in describe({}, at(bench, "dC", "suspect A"))
    assert "autograd 0, and a finite difference sides with autograd: 0." in describe(
        {}, at(bench, "db1", "suspect C")
    )


def test_the_trail_is_what_was_seen_so_far(bench):
    for place, name in enumerate(NAMES):
        trail = at(bench, name, "suspect C").trail
        assert [step for step, _ in trail] == list(range(place + 1))
        assert all((error > 1e-9) == (step >= 15) for step, error in trail)


def test_the_error_is_the_largest_difference_beside_the_largest_entry(problem, truth):
    changed = truth["dW2"].clone()
    changed[3, 5] += 0.01 * truth["dW2"].abs().max()
    seen = at(Bench(*problem, {"one": {"dW2": changed}}), "dW2", "one")
    assert seen.error == pytest.approx(0.01)
    assert np.abs(seen.truth).max() == pytest.approx(1)
    assert seen.difference[3, 5] == pytest.approx(0.01)
    assert seen.values[0] - seen.values[1] == pytest.approx(0.01 * truth["dW2"].abs().max().item())
    assert "by 1% of the largest entry" in describe({}, seen)


def test_zeros_and_n_for_n_minus_1_do_not_pass(problem, truth):
    some = {name: torch.zeros_like(truth[name]) for name in NAMES if name != "db1"}
    bench = Bench(*problem, {"zeros": some, "n": {"doff2": truth["doff2"] * 31 / 32}})
    assert all(at(bench, name, "zeros").error == pytest.approx(1) for name in some)
    assert at(bench, "doff2", "n").error == pytest.approx(1 / 32)


@pytest.mark.parametrize(
    ("name", "problem_"),
    [
        ("dlogp", "not written yet (exercise 6.1)"),
        ("dprobs", "not written yet (exercise 6.2)"),
        ("dshare", "stopped by ValueError: no"),
        ("dcounts", "a list, not a tensor"),
        ("dlogits", "of shape (27, 32), which should be (32, 27)"),
        ("dh", "not finite"),
        ("dC", "not written yet (exercise 6.14)"),
    ],
)
def test_what_cannot_be_compared_is_told_and_not_drawn(name, problem_, bench):
    seen = at(bench, name, "yours")
    assert seen.verdict == "none"
    assert seen.found is None
    assert describe({}, seen).endswith(f": yours, {problem_}.")


def test_float32_is_seen_for_what_it_is_and_a_gradient_that_asks_for_one_is_compared(bench):
    assert at(bench, "db2", "yours").verdict == "differs"
    assert at(bench, "dgain", "yours").verdict == "agrees"
    assert at(bench, "dact", "yours").error == pytest.approx(1e-6, rel=1e-3)
    assert "by 0.0001% of the largest entry" in describe({}, at(bench, "dact", "yours"))
    assert "by 1e+300 times the largest entry" in describe({}, at(bench, "dbias", "yours"))


def test_every_position_gives_a_sentence_and_a_picture_without_nan(bench, given):
    view = panel()
    for whose in given:
        for name in NAMES:
            values = {"step": name, "whose": whose}
            seen = bench.compute(values)
            assert np.isfinite(seen.truth).all()
            assert seen.truth.ndim == 2
            words = describe(values, seen)
            assert words.endswith(".")
            assert ". " not in words
            assert "nan" not in words
            assert len(view.update(seen)) > 5000


def test_compute_is_pure_and_what_is_handed_in_stays_as_it_is(problem, given):
    before = copy.deepcopy((problem, {w: g for w, g in given.items() if isinstance(g, dict)}))
    bench, values = Bench(*problem, given), {"step": "dpre", "whose": "suspect C"}
    first = bench.compute(values)
    bench.compute({"step": "dC", "whose": "yours"})
    again = bench.compute(values)
    assert values == {"step": "dpre", "whose": "suspect C"}
    assert np.array_equal(first.difference, again.difference)
    assert first.values == again.values
    for one, other in zip(problem[0].values(), before[0][0].values(), strict=True):
        assert torch.equal(one, other)
        assert not one.requires_grad
    assert torch.equal(problem[1], before[0][1])
    assert torch.equal(given["yours"]["dact"], before[1]["yours"]["dact"])


@pytest.mark.parametrize("wrong", [{"step": "dloss"}, {"step": 3}, {"whose": "mine"}], ids=str)
def test_values_that_it_does_not_have_are_refused_with_a_sentence(wrong, bench):
    with pytest.raises(ValueError, match=r"^The(re)? .*\.$"):
        bench.compute({"step": "dC", "whose": "yours"} | wrong)


def test_float32_parameters_and_nothing_to_look_at_are_refused(problem):
    parameters, X, Y = problem
    with pytest.raises(ValueError, match="float64"):
        Bench({name: p.float() for name, p in parameters.items()}, X, Y, SUSPECTS)
    with pytest.raises(ValueError, match="at least one"):
        Bench(parameters, X, Y, {})


def test_it_works_where_gradients_are_switched_off(problem):
    with torch.no_grad():
        assert at(Bench(*problem, SUSPECTS), "dC", "suspect B").verdict == "agrees"


# A learner's functions.


def solutions():
    """Right answers to some of the exercises, and wrong ones to others."""

    def d_logp(logp, Y):
        logp.zero_()  # into the tensor it was handed
        logp[range(len(Y)), Y] = -1 / len(Y)
        return logp

    def d_share(dprobs, counts):
        raise ValueError("the sizes\ndo not fit.")

    def d_linear(dlogits, h, W2):
        return dlogits @ W2.T, h.T @ dlogits, dlogits.mean(0)

    def d_gain_bias_norm(dact, gain, norm):
        return dact.sum(0), dact * gain

    def d_C(demb, X, rows):
        return torch.zeros(rows, 10).double().index_add_(0, X.flatten(), demb.flatten(0, 1))

    def d_act(dh, h): ...

    return locals()


def test_a_learners_functions_are_each_tried_on_the_true_tensors(problem):
    bench = Bench(*problem, {"yours": yours(solutions(), *problem)})
    verdicts = {name: at(bench, name, "yours").verdict for name in NAMES}
    assert [name for name, verdict in verdicts.items() if verdict == "agrees"] == ["dlogp", "dh", "dW2", "dC"]
    assert [name for name, verdict in verdicts.items() if verdict == "differs"] == ["db2"]
    assert at(bench, "dshare", "yours").problem == "stopped by ValueError: the sizes do not fit"
    for name in ("dact", "dvar", "demb"):
        assert at(bench, name, "yours").problem == "not written yet"
    for name in ("dgain", "dbias", "dnorm"):
        assert "dgain, dbias, dnorm" in at(bench, name, "yours").problem


def test_from_no_functions_at_all_there_is_nothing(problem):
    assert yours({}, *problem) == dict.fromkeys(NAMES)


# The pictures.


def test_a_panel_shows_nothing_of_what_it_showed_before(bench):
    settings = [
        ("dact", "suspect A"),
        ("dC", "suspect C"),
        ("dlogp", "yours"),
        ("db1", "suspect C"),
        ("dshare", "suspect B"),
        ("dbias", "yours"),
        ("dpre", "suspect C"),
    ]
    used = panel()
    for name, whose in settings:
        seen = at(bench, name, whose)
        assert used.update(seen) == panel().update(seen)
    assert used.update(at(bench, "dact", "suspect A")) != used.update(at(bench, "dact", "suspect B"))


def test_the_panel_is_shown_at_the_width_of_a_notebook():
    width, height = panel().size
    assert width == 720
    assert height < 450


def test_all_words_fit_into_the_picture(bench, given):
    view = panel()
    for whose in given:
        for name in NAMES:
            view.update(at(bench, name, whose))
            renderer = view._canvas.get_renderer()
            boxes = [ax.title.get_window_extent(renderer) for ax in view.figure.axes]
            boxes += [ax._left_title.get_window_extent(renderer) for ax in view.figure.axes]
            boxes.append(view.figure._suptitle.get_window_extent(renderer))
            assert max(box.x1 for box in boxes) <= view.figure.bbox.x1, (name, whose)
            lefts = [ax._left_title.get_window_extent(renderer) for ax in view.figure.axes[:3]]
            assert lefts[0].x1 < lefts[1].x0
            assert lefts[1].x1 < lefts[2].x0


def test_a_move_takes_less_than_a_twentieth_of_a_second(bench):
    view, moves = panel(), []
    for name in NAMES:
        began = time.process_time()  # of this process: others may be at work
        view.update(at(bench, name, "suspect A"))
        moves.append(time.process_time() - began)
    assert sorted(moves)[5] < 0.05


def test_the_slider_starts_at_the_first_step_and_moves(problem, given):
    widget = slider(*problem, given)
    assert widget.values == {"step": "dlogp", "whose": "yours"}
    assert "yours, not written yet (exercise 6.1)" in widget.answer["caption"]
    widget.set(step="dpre", whose="suspect C")
    assert "suspect C differs, first here, by" in widget.answer["caption"]
    assert widget.answer["problem"] == ""
    assert repr(widget).startswith(
        "Slider: step 1: dlogp to 20: dC (now 16: dpre); whose yours, suspect A, suspect B, suspect C"
    )


def test_the_strip_convicts_and_acquits(problem):
    figure, caption = strip(*problem, SUSPECTS)
    assert "suspect A differs first at dact, back through h = act.tanh(), by " in caption
    assert "; suspect B agrees throughout; suspect C differs first at dpre" in caption
    assert ". " not in caption
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=SHOWN_DPI)
    assert Image.open(file).width == 720


def test_the_strip_names_the_step_that_tells_and_where_the_others_are(problem):
    figure, _ = strip(*problem, SUSPECTS)
    trails = figure.axes[::4]
    titles = [axes.get_title(loc="left") for axes in trails]
    assert titles[0].startswith("suspect A: first off at dact, by ")
    assert titles[1] == "suspect B: agrees"
    assert titles[2].startswith("suspect C: first off at dpre, by ")
    named = [label.get_text() for label in trails[0].get_xticklabels()]
    assert {"dlogp", "dact", "dpre", "db1", "dC"} <= set(named)
    assert [NAMES[int(place) - 1] for place in trails[0].get_xticks()] == named


def test_numbers_that_differ_late_are_told_with_the_digits_that_tell(problem, truth):
    bench = Bench(*problem, {"nearly": truth | {"dvar": truth["dvar"] * 1.00004}})
    values = {"step": "dvar", "whose": "nearly"}
    words = describe(values, bench.compute(values))
    theirs, autograds = re.search(r"it has (\S+), autograd (\S+), and", words).groups()
    assert theirs != autograds


def test_the_strip_does_not_acquit_what_is_not_complete(problem, truth):
    _, caption = strip(
        *problem, {"half": {"dlogp": truth["dlogp"], "dC": truth["dC"] * 2}, "less": {"dh": truth["dh"]}}
    )
    assert "half differs first at dC, back through emb = C[X], by 100% of" in caption
    assert caption.endswith("; less agrees as far as it goes.")


def test_the_strip_leaves_no_room_for_what_is_not_written(problem):
    figure, caption = strip(*problem, {"yours": {}, "suspect B": suspect_B})
    assert len(figure.axes) == 4
    assert caption.endswith(": yours has nothing to compare yet; suspect B agrees throughout.")
    with pytest.raises(ValueError, match="nothing to compare yet"):
        strip(*problem, {"yours": {}})


def test_microscope_offers_what_the_lesson_uses():
    assert {"slider", "strip", "yours"} <= set(microscope.__all__)
