"""The slider widget without a browser: panels, controls, what is refused, what strict nbval compares."""

import gc
import io
import subprocess
import sys
import threading
import weakref

import nbformat
import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from nbclient import NotebookClient
from nbformat import v4
from PIL import Image

from lessons_lib.figures import new_figure
from lessons_lib.sliders import Choice, Panel, Range, Slider, Steps, Toggle

X = np.linspace(-3, 3, 50)
ACTIVATIONS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}


def compute(values):
    if values["gain"] == 4:
        raise ZeroDivisionError("nothing left")
    y = ACTIVATIONS[values["activation"]](values["gain"] * X)
    return y / y.std() if values["normed"] else y


def describe(values, y):
    return f"At gain {values['gain']:g} the largest output is {y.max():.2f}."


def make_panel():
    """A line, bars and a picture that change, each under something that does not."""
    figure, (left, middle, right) = new_figure(6, 2, ncols=3)
    (line,) = left.plot(X, X)
    left.plot(X, -X, zorder=3)
    left.set(xlim=(-3, 3), ylim=(-3, 3))
    title = left.set_title(" ")
    bars = middle.bar(["low", "high"], [0, 0])
    middle.set(ylim=(-3, 3))
    middle.text(1, 1, "over the bar", ha="center")
    image = right.imshow([[0.0]], vmin=-3, vmax=3)
    right.text(0, 0, "over the image", ha="center")
    right.grid(visible=False)

    def apply(y):
        line.set_ydata(y)
        title.set_text(f"up to {y.max():.2f}")
        for bar, height in zip(bars, (y.min(), y.max()), strict=True):
            bar.set_height(height)
        image.set_data([[y.mean(), y.std()]])

    return Panel(figure, [line, title, bars, image], apply)


def make_slider():
    gain = Range("gain", 0.5, 5.0, step=0.5, value=1.0)
    controls = [gain, Choice("activation", list(ACTIVATIONS)), Toggle("normed")]
    return Slider(controls, compute, make_panel(), describe)


def without_problem(slider):
    return {**slider.get_state(), "answer": {**slider.answer, "problem": ""}}


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_a_panel_shows_nothing_of_what_it_showed_before():
    walked, random = make_panel(), np.random.default_rng(42)
    for _ in range(20):
        y = random.normal(size=X.shape)
        picture = walked.update(y)
    assert np.array_equal(pixels(picture), pixels(make_panel().update(y)))
    assert not np.array_equal(pixels(picture), pixels(walked.update(-y)))


def test_a_panel_draws_what_savefig_draws():
    panel, file = make_panel(), io.BytesIO()
    picture = panel.update(np.tanh(X))
    panel.figure.savefig(file)
    assert np.array_equal(pixels(picture), pixels(file.getvalue()))


def test_a_panel_can_be_updated_after_its_figure_was_saved():
    panel = make_panel()
    before = panel.update(X)
    panel.figure.savefig(io.BytesIO(), dpi=30)
    assert panel.update(X) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda axes, y: axes.set_ylim(0, y),
        lambda axes, y: axes.set_xlabel(f"{y:g}"),
        lambda axes, y: axes.lines[0].set_ydata([y, y]),
        lambda axes, y: axes.axhline(y),
    ],
)
def test_apply_may_not_change_the_background(change):
    figure, axes = new_figure(3, 2)
    axes.axhline(0)
    panel = Panel(figure, axes.plot(X, X), lambda y: change(axes, y))
    with pytest.raises(RuntimeError, match="list them all"):
        panel.update(2)


def test_an_artist_that_another_one_draws_is_refused():
    figure, axes = new_figure(3, 2)
    axes.plot(X, X, label="a line")
    for inside in (axes.legend().get_texts()[0], axes.xaxis.label):
        with pytest.raises(ValueError, match="not drawn by the figure"):
            Panel(figure, [inside], lambda numbers: None)


def test_nothing_is_left_with_pyplot():
    make_slider()
    assert not Gcf.figs


def test_a_range_holds_both_ends_and_exact_steps():
    assert Range("a", 0.1, 0.5, step=0.1).options == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert Range("a", -0.3, 0.3, step=0.1).options[3] == 0
    whole = Range("a", 2, 50, step=12).options
    assert whole == [2, 14, 26, 38, 50]
    assert all(type(option) is int for option in whole)
    for start, stop, step in ((0, 1, 0.3), (0, 10, 4), (1, 0, 1), (0, 0, 1)):
        with pytest.raises(ValueError, match="do not lead from"):
            Range("a", start, stop, step)


def test_the_browser_reaches_every_option():
    controls = [
        Range("gain", -0.2, 0.3, step=0.1),
        Steps("rate", [0, 0.1, 1e5], 0.1, ["none", "some", "all"]),
    ]
    controls += [Range("layer", 3, 5), Choice("activation", ["tanh", "relu"]), Toggle("normed", True)]
    seen = []
    slider = Slider(controls, lambda values: seen.append(values) or X, make_panel(), lambda *_: "A caption.")
    assert seen.pop() == {"gain": -0.2, "rate": 0.1, "layer": 3, "activation": "tanh", "normed": True}
    for control in controls:
        for position, option in enumerate(control.options):
            slider.set_state({"positions": {**slider.positions, control.name: position}})
            assert seen.pop() == slider.values
            assert slider.values[control.name] is option
            slider.set(**{control.name: option})
            assert slider.positions[control.name] == position
    assert slider.values == {"gain": 0.3, "rate": 1e5, "layer": 5, "activation": "relu", "normed": True}


def test_moving_a_control_changes_the_picture_and_its_words():
    slider = make_slider()
    slider.set(gain=2.0, activation="relu")
    assert slider.values == {"gain": 2.0, "activation": "relu", "normed": False}
    assert slider.answer == {
        "picture": make_panel().update(compute(slider.values)),
        "caption": "At gain 2 the largest output is 6.00.",
        "problem": "",
    }


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"gain": 5.5}, "gain can be 0.5 to 5 in steps of 0.5, not 5.5."),
        ({"gain": 0.75}, "gain can be 0.5 to 5 in steps of 0.5, not 0.75."),
        ({"gain": float("nan")}, "gain can be 0.5 to 5 in steps of 0.5, not nan."),
        ({"gain": "1"}, "gain can be 0.5 to 5 in steps of 0.5, not '1'."),
        ({"gain": True}, "gain can be 0.5 to 5 in steps of 0.5, not True."),
        ({"gain": None}, "gain can be 0.5 to 5 in steps of 0.5, not None."),
        ({"activation": "tan"}, "activation can be tanh, relu, not 'tan'."),
        ({"normed": 1}, "normed can be off, on, not 1."),
        ({"gain": 2.0, "depth": 3}, "This slider has gain, activation, normed, not depth."),
    ],
)
def test_python_may_set_only_what_a_control_can_show(values, sentence):
    slider = make_slider()
    before = slider.get_state()
    with pytest.raises(ValueError) as refusal:  # noqa: PT011, the whole sentence is compared below
        slider.set(**values)
    assert str(refusal.value) == sentence
    assert slider.get_state() == before


@pytest.mark.parametrize(
    "positions",
    [
        *({"gain": place} for place in (10, -1, float("nan"), 0.0, "0", None, True)),
        *({"activation": 2}, {"normed": 2}, {"depth": 0}, [1, 0, 0], "gain", None),
    ],
)
def test_what_the_browser_may_not_send_is_refused_with_a_sentence(positions):
    slider = make_slider()
    before = without_problem(slider)
    slider.set_state({"positions": positions})
    assert slider.answer["problem"].endswith(". The picture shows the last values that worked.")
    assert without_problem(slider) == before
    slider.set_state({"positions": {"gain": 0, "activation": 1, "normed": 0}})
    assert slider.answer["problem"] == ""
    assert slider.answer["caption"] == "At gain 0.5 the largest output is 1.50."


def test_an_exception_in_compute_is_seen_by_whoever_caused_it():
    slider = make_slider()
    before = slider.get_state()
    with pytest.raises(ZeroDivisionError, match="nothing left"):
        slider.set(gain=4.0)
    assert slider.get_state() == before
    slider.set_state({"positions": {"gain": 7}})
    assert slider.answer["problem"] == (
        "ZeroDivisionError: nothing left. The picture shows the last values that worked."
    )
    assert without_problem(slider) == before


def test_each_control_needs_a_name_of_its_own_and_a_text_for_each_option():
    with pytest.raises(ValueError, match="a name of its own"):
        Slider([Toggle("a"), Toggle("a")], compute, make_panel(), describe)
    with pytest.raises(ValueError, match="3 options and 2 texts"):
        Steps("a", [1, 2, 3], texts=["one", "two"])


def test_the_plain_text_says_what_is_there_and_nothing_that_changes():
    slider = make_slider()
    slider.set(normed=True)
    text = (
        "Slider: gain 0.5 to 5 in steps of 0.5 (now 1); activation tanh, relu (now tanh); "
        "normed off, on (now on). At gain 1 the largest output is 1.21."
    )
    bundle, _ = slider._repr_mimebundle_()
    assert bundle["text/plain"] == str(slider) == text
    assert "application/vnd.jupyter.widget-view+json" in bundle


NOTEBOOK = """\
from lessons_lib.figures import new_figure
from lessons_lib.sliders import Panel, Range, Slider
figure, axes = new_figure(3, 2)
(line,) = axes.plot([0, 1], [0, 1])
panel = Panel(figure, [line], lambda slope, line=line: line.set_ydata([0, slope]))
slope = Range("slope", 0, 3, value=1)
Slider([slope], lambda values: values["slope"], panel, lambda _, slope: f"The slope is {slope}.")"""


def test_strict_nbval_compares_the_caption(tmp_path):
    """One run on a notebook with the same cell twice, where one digit of the second caption was changed."""
    notebook = v4.new_notebook(cells=[v4.new_code_cell(NOTEBOOK), v4.new_code_cell(NOTEBOOK)])
    NotebookClient(notebook, kernel_name="python3", record_timing=False).execute()
    output = notebook.cells[1].outputs[0].data
    assert output["text/plain"] == "Slider: slope 0 to 3 (now 1). The slope is 1."
    output["text/plain"] = output["text/plain"].replace("slope is 1", "slope is 2")
    notebook.metadata.pop("widgets")
    nbformat.write(notebook, tmp_path / "slider.ipynb")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "--nbval-current-env",
        "-p",
        "no:cacheprovider",
        "-rA",
    ]
    run = subprocess.run([*command, "slider.ipynb"], cwd=tmp_path, capture_output=True, text=True)
    assert "PASSED slider.ipynb::Cell 0" in run.stdout
    assert "FAILED slider.ipynb::Cell 1" in run.stdout


def test_a_closed_slider_leaves_nothing_behind():
    """Figures are large, and a cell is run again and again."""
    slider = make_slider()
    gone = weakref.ref(slider)
    slider.close()
    del slider
    gc.collect()
    assert gone() is None


def test_moves_by_reader_and_program_at_once_never_part_picture_and_caption():
    """JupyterLab's moves come in a thread of their own. Each answer has to be one of those that a lone move gives."""
    slider, seen = make_slider(), []
    known = {}
    for gain in (1.0, 2.0, 3.0):
        slider.set(gain=gain)
        known[slider.answer["caption"]] = slider.answer["picture"]
    slider.observe(lambda change: seen.append(change["new"]), "answer")

    def drag():
        for turn in range(60):
            slider.set_state({"positions": {"gain": 1 if turn % 2 else 3}})

    thread = threading.Thread(target=drag)
    thread.start()
    while thread.is_alive():
        slider.set(gain=3.0)
    thread.join()
    assert len(seen) > 60
    assert all(known[answer["caption"]] == answer["picture"] for answer in seen)


def test_after_a_value_that_fails_a_program_can_bring_the_handle_back():
    slider, sent = make_slider(), []
    slider.set_state({"positions": {"gain": 7}})  # a gain of 4, where compute fails
    assert "nothing left" in slider.answer["problem"]
    send = slider.send_state
    slider.send_state = lambda key: (sent.append(key), send(key))
    slider.set(gain=1.0)
    assert "positions" in sent
    assert slider.answer["problem"] == ""
