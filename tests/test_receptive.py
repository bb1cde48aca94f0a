"""The receptive-field slider: autograd finds what the formula says, over the whole range of its controls."""

import itertools

import pytest
import torch
from PIL import Image

from lessons_lib import receptive
from lessons_lib.receptive import DILATIONS, KERNELS, TEXT, compute, describe, reached

EVERY = [
    {"output": place, "dilations": dilations, "kernel": kernel}
    for place, dilations, kernel in itertools.product(range(len(TEXT)), DILATIONS, KERNELS)
]


@pytest.mark.parametrize("dilations", DILATIONS.values(), ids=DILATIONS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_places_with_a_gradient_are_all_sums_of_steps_back(dilations, kernel):
    steps = [range(0, dilation * kernel, dilation) for dilation in dilations]
    for place in (0, 7, len(TEXT) - 1):
        sums = {place - sum(way) for way in itertools.product(*steps)}
        numbers = reached(dilations, kernel, place)
        assert numbers.nodes[0] == sorted(sums)
        assert numbers.width == 1 + sum((kernel - 1) * dilation for dilation in dilations)
        assert numbers.letters == sorted(p for p in sums if p >= 0)


def test_a_move_draws_nothing_from_the_readers_random_numbers():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    reached((1, 2, 4), 2, 7)
    assert torch.rand(1).equal(expected)


def test_the_lessons_tree_reaches_eight_letters_by_seven_nodes():
    numbers = reached((1, 2, 4), 2, 9)
    assert numbers.nodes == [list(range(2, 10)), [3, 5, 7, 9], [5, 9], [9]]
    assert numbers.wires[2] == [(9, 9), (5, 9)]
    assert [len(layer) for layer in numbers.wires] == [8, 4, 2]


def test_equal_dilations_of_two_leave_out_every_second_letter():
    numbers = reached((2, 2, 2), 2, 10)
    assert numbers.nodes[0] == [4, 6, 8, 10]
    assert numbers.width == 7


def test_nothing_after_the_output_is_ever_reached():
    for values in EVERY:
        numbers = compute(values)
        assert all(max(places) == values["output"] for places in numbers.nodes)
        assert numbers.nodes[-1] == [values["output"]]
        for layer, (below, above) in zip(numbers.wires, itertools.pairwise(numbers.nodes), strict=True):
            assert {start for start, _ in layer} == set(below)
            assert {end for _, end in layer} == set(above)
            assert all(start <= end for start, end in layer)


@pytest.mark.parametrize("place", [-1, len(TEXT)])
def test_a_place_that_is_not_there_is_an_error_that_names_it(place):
    with pytest.raises(ValueError, match=str(place)):
        reached((1, 2, 4), 2, place)


def test_the_sentence_says_which_letters_and_how_much_silence():
    values = {"output": 4, "dilations": "2-2-2", "kernel": 2}
    sentence = describe(values, compute(values))
    assert "after neza" in sentence
    assert "3 places of the name (._e_a) and 1 of the silence" in sentence
    values["output"] = 0
    assert "after nothing" in describe(values, compute(values))
    values = {"output": 14, "dilations": "1-2-4", "kernel": 2}
    assert "8 places of the name (alcoyotl), by 7 nodes" in describe(values, compute(values))


@pytest.mark.parametrize("values", EVERY[:: len(EVERY) // 6], ids=lambda v: "-".join(map(str, v.values())))
def test_a_used_panel_draws_what_a_fresh_one_draws(values):
    used = receptive.panel()
    for other in (EVERY[0], EVERY[-1], EVERY[77]):
        used.update(compute(other))
    assert used.update(compute(values)) == receptive.panel().update(compute(values))


def test_the_slider_moves_and_says_so(tmp_path):
    slider = receptive.slider()
    before = slider.answer
    slider.set(dilations="1-2-4-8", kernel=3, output=14)
    assert slider.answer["picture"] != before["picture"]
    assert "15 places of the name" in slider.answer["caption"]
    (tmp_path / "p.png").write_bytes(slider.answer["picture"])
    assert Image.open(tmp_path / "p.png").width > 700


def test_the_strip_counts_what_its_pictures_show():
    figure, caption = receptive.strip()
    assert len(figure.axes) == 4
    assert "8 with 1-2-4, 4 with 1-1-1, 4 with 2-2-2, 16 with 1-2-4-8" in caption
    assert "a width of 7" in figure.axes[2].get_title(loc="left")
