"""The attention slider: its numbers are those of the network, its sentence tells them, its pictures show them."""

import itertools
import time

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from lessons_lib import heads
from lessons_lib.heads import Reader, controls, describe, habit, panel, slider, strip
from lessons_lib.transformer import GPT, attention_weights

LINE = "folk may choose,\n"
LAYERS, HEADS = 2, 3
EVERY = [
    {"head": (layer, head), "place": place}
    for layer in range(1, LAYERS + 1)
    for head in range(1, HEADS + 1)
    for place in range(len(LINE))
]


@pytest.fixture(scope="module")
def tokens():
    return torch.tensor([ord(character) % 30 for character in LINE])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(7)
    model = GPT(30, block=32, width=12, heads=HEADS, layers=LAYERS).double()
    for block in model.blocks:  # heads that look somewhere, and not everywhere alike
        torch.nn.init.normal_(block.attention.query_key_value.weight, std=1.0)
    return model


@pytest.fixture(scope="module")
def reader(model, tokens):
    return Reader(model, tokens, list(LINE))


# What it computes.


def test_the_numbers_are_the_networks_own(reader, model, tokens):
    weights = attention_weights(model, tokens).numpy()
    for values in EVERY:
        n, (layer, head) = reader.compute(values), values["head"]
        assert np.array_equal(n.weights, weights[layer - 1, head - 1])
        assert np.array_equal(n.row, weights[layer - 1, head - 1, values["place"]])
        assert n.row.sum() == pytest.approx(1)
        assert not n.row[values["place"] + 1 :].any()
    assert len({reader.compute(values).weights.tobytes() for values in EVERY}) == LAYERS * HEADS


def test_the_controls_reach_every_head_and_every_place(reader):
    head, place = controls(reader)
    assert head.options == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert head.texts[4] == "layer 2, head 2"
    assert place.options == list(range(len(LINE)))
    assert place.texts[3:5] == ["4: k", "5: ·"]
    assert place.texts[-1] == "17: ⏎"


@pytest.mark.parametrize(("size", "step"), [(2, 0), (3, 1), (9, 0), (9, 1), (9, 4), (12, 3), (12, 6)])
def test_a_head_that_looks_one_way_has_that_habit(size, step):
    weights = np.full((size, size), 0.1)
    for place in range(size // 2, size):
        weights[place, place - step] = 0.8
    names = {0: "the place itself", 1: "the place before"}
    assert habit(weights) == (names.get(step, f"the place {step} back"), pytest.approx(0.8))


def test_a_head_that_always_looks_at_the_first_place_has_that_habit():
    weights = np.full((9, 9), 0.1)
    weights[:, 0] = 0.6
    assert habit(weights) == ("the first place", pytest.approx(0.6))


def test_a_single_place_looks_at_itself():
    assert habit(np.ones((1, 1))) == ("the place itself", 1)


def test_a_habit_is_not_made_by_the_first_places_that_have_no_choice():
    weights = np.tril(np.ones((10, 10)))
    weights /= weights.sum(1, keepdims=True)
    for place in range(5, 10):
        weights[place] *= 0.5
        weights[place, place - 2] += 0.5
    favourite, mean = habit(weights)
    assert favourite == "the place 2 back"
    assert mean == pytest.approx(np.mean([0.5 + 0.5 / (place + 1) for place in range(5, 10)]))


def test_as_many_texts_as_tokens_are_needed(model, tokens):
    with pytest.raises(ValueError, match="17 tokens and 16 texts"):
        Reader(model, tokens, list(LINE)[:-1])


# What it says.


def made(row, place, texts="ab \nb"):
    weights = np.eye(len(texts))
    weights[place] = row
    return heads.Numbers(list(texts), weights, place, 3, 2)


def test_the_sentence_tells_where_it_looks_and_how_far():
    words = describe({}, made([0.12, 0.03, 0.25, 0.6, 0.0], 3))
    assert words.startswith("Layer 3, head 2, at the line end (place 4 of 5): 0.60 on itself, ")
    assert "0.25 on a space 1 place back, 0.12 on “a” 3 places back, 0.7 places back on average; " in words
    assert words.endswith("this head favours the place itself, with 0.87 on average.")


def test_the_sentence_keeps_silent_about_what_rounds_to_nothing():
    words = describe({}, made([0.0, 0.998, 0.002, 0.0, 0.0], 2))
    assert "1.00 on “b” 1 place back, 1.0 places back on average" in words
    assert "0.00 on" not in words


@pytest.mark.parametrize(
    ("step", "words"), [(0, "the place itself"), (1, "the place before"), (2, "the place 2 back")]
)
def test_a_habit_has_a_name(step, words):
    weights = np.eye(6, k=-step)
    n = heads.Numbers(list("abcdef"), weights, 5, 1, 1)
    assert f"favours {words}, with 1.00 on average" in describe({}, n)


# What it draws.


@pytest.mark.parametrize("values", EVERY[::13], ids=lambda values: "-".join(map(str, values.values())))
def test_a_used_panel_draws_what_a_fresh_one_draws(reader, values):
    used = panel(reader.texts)
    for other in (EVERY[0], EVERY[-1], EVERY[40]):
        used.update(reader.compute(other))
    assert used.update(reader.compute(values)) == panel(reader.texts).update(reader.compute(values))


def test_the_line_is_shaded_as_the_map_is(reader):
    view, n = panel(reader.texts), reader.compute({"head": (2, 1), "place": 12})
    view.update(n)
    line, below, _ = view.figure.axes
    (boxes,), (image,) = line.collections, below.images
    assert np.allclose(boxes.get_facecolor(), image.to_rgba(image.get_array()[12]))
    darkness = 4 - boxes.get_facecolor().sum(1)
    assert (np.diff(darkness[np.argsort(n.row)]) >= 0).all()
    assert darkness.max() > darkness.min() == 0
    assert [text.get_text() for text in line.texts] == list("folk·may·choose,⏎")


def contrast(one, other):
    """As WCAG 2 defines it: from 1 to 21."""

    def light(colour):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgba(colour)[:3]]
        return np.dot([0.2126, 0.7152, 0.0722], parts)

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_letter_can_be_read_on_its_shade():
    shade = heads.COLOURS(heads.SHADES(np.linspace(0, 1, 201)))
    inks = ["white" if weight >= heads.DARK else "black" for weight in np.linspace(0, 1, 201)]
    assert min(map(contrast, shade, inks)) >= 4.5


def test_all_words_fit_into_the_picture(reader):
    for texts in (reader.texts, ["W"] * 64, ["wide"] * 17, ["a"]):
        view, places = panel(texts), len(texts)
        view.update(heads.Numbers(texts, np.eye(places), places - 1, 12, 12))
        renderer = view._canvas.get_renderer()
        letters = [text.get_window_extent(renderer) for text in view.figure.axes[0].texts]
        assert all(one.x1 <= two.x0 for one, two in itertools.pairwise(letters))
        for ax in view.figure.axes:
            for artist in (*ax.texts, ax._left_title, ax.xaxis.label, *ax.get_yticklabels()):
                box = artist.get_window_extent(renderer)
                assert view.figure.bbox.x0 <= box.x0, artist
                assert box.x1 <= view.figure.bbox.x1, artist


def test_a_move_takes_less_than_a_tenth_of_a_second(reader):
    view, moves = panel(reader.texts), []
    for values in EVERY[::9]:
        began = time.process_time()  # of this process: others may be at work
        view.update(reader.compute(values))
        moves.append(time.process_time() - began)
    assert sorted(moves)[len(moves) // 2] < 0.1


def test_the_slider_starts_at_the_last_place_and_moves(model, tokens):
    widget = slider(model, tokens, list(LINE))
    assert repr(widget).startswith(
        "Slider: head layer 1, head 1 to layer 2, head 3 (now layer 1, head 1); place 1: f to 17: ⏎ (now 17: ⏎). "
        "Layer 1, head 1, at the line end (place 17 of 17): "
    )
    before = widget.answer
    widget.set(head=(2, 3), place=4)
    assert widget.answer["picture"] != before["picture"]
    assert widget.answer["caption"].startswith("Layer 2, head 3, at a space (place 5 of 17): ")
    assert widget.answer["problem"] == ""


def test_the_strip_shows_every_head_and_tells_of_the_strictest(model, tokens, reader):
    figure, caption = strip(model, tokens, list(LINE))
    assert len(figure.axes) == LAYERS * HEADS
    habits = {(i + 1, j + 1): habit(reader.weights[i, j]) for i in range(LAYERS) for j in range(HEADS)}
    (layer, head), (_, mean) = max(habits.items(), key=lambda item: item[1][1])
    assert f"the strictest is head {head} of layer {layer}, with {mean:.2f} on " in caption
    before = sum(place == "the place before" for place, _ in habits.values())
    assert caption.endswith(f" and {before} of the 6 favour the place before.")
    for ax, (_, mean) in zip(figure.axes, habits.values(), strict=True):
        assert f"{mean:.2f} on " in ax.get_title(loc="left")
    assert np.array_equal(figure.axes[4].images[0].get_array(), reader.weights[1, 1])


def test_a_text_with_prices_is_shown_as_it_stands(model, tokens):
    line = "$1 a$b_^{$$ of $."
    for text in (line, ["$a_$", *line[1:]]):
        moved = slider(model, tokens, text)
        for place in range(len(line)):
            moved.set(place=place)
        figure, _ = strip(model, tokens, text)
        figure.canvas.draw()


def test_heads_offers_what_the_lesson_uses():
    assert {"slider", "strip"} <= set(heads.__all__)
