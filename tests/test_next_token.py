"""The slider on temperature and top-k: what it computes is what `choose` and `generate` do, and what it draws is what it computes."""

import itertools
import re
import time

import numpy as np
import pytest
import torch

from lessons_lib import next_token
from lessons_lib.data import Vocabulary
from lessons_lib.next_token import controls, describe, panel, shown, slider, strip
from lessons_lib.next_token_sampler import COUNT, Numbers, Sampler
from lessons_lib.sampling import choose
from lessons_lib.transformer import GPT, generate

TEXT = "The gulls have left the outer mole!\nThey know a thing.\n"
PROMPT = "The gull\n"
SEED = 5
EVERY = [
    {"temperature": temperature, "top-k": top_k}
    for temperature, top_k in itertools.product(controls()[0].options, controls()[1].options)
]
PLAIN = {"temperature": 1.0, "top-k": "all"}


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary([TEXT], end=None)


@pytest.fixture(scope="module")
def model(vocabulary):
    torch.manual_seed(3)
    model = GPT(vocabulary.size, block=24, width=16, heads=2, layers=2).double()
    torch.nn.init.normal_(model.tokens.weight, std=0.3)  # so that it has opinions
    return model


@pytest.fixture(scope="module")
def sampler(model, vocabulary):
    return Sampler(model, vocabulary, PROMPT, SEED)


def logits_of(model, vocabulary):
    with torch.no_grad():
        return model(torch.tensor([vocabulary.encode(PROMPT)]))[0, -1]


def top_k(values):
    return None if values["top-k"] == "all" else values["top-k"]


def darts(seed=SEED):
    return torch.Generator().manual_seed(seed)


# What it computes.


def test_it_can_be_moved_through_all_settings():
    assert controls()[0].options == pytest.approx(np.arange(11) / 5)
    assert controls()[1].options == [1, 2, 3, 5, 10, 20, "all"]
    assert [control.options[control.start] for control in controls()] == [1.0, "all"]


@pytest.mark.parametrize("values", EVERY[::3], ids=lambda values: "-".join(map(str, values.values())))
def test_character_and_text_are_those_of_the_library_with_the_same_darts(sampler, model, vocabulary, values):
    n = sampler.compute(values)
    settings = {"temperature": values["temperature"], "top_k": top_k(values)}
    assert n.drawn == choose(logits_of(model, vocabulary), darts(), **settings)
    said = generate(model, vocabulary.encode(PROMPT), COUNT, darts(), **settings)
    assert n.text == vocabulary.decode(said)
    assert len(n.text) == COUNT == 64


@pytest.mark.parametrize("seed", range(8))
def test_the_dart_strikes_the_stretch_of_the_character_that_comes(model, vocabulary, seed):
    sampler = Sampler(model, vocabulary, PROMPT, seed, count=1)
    for values in EVERY:
        n = sampler.compute(values)
        if values["temperature"] == 0:
            assert n.dart is None
            assert n.drawn == n.plain.argmax()
        else:
            ends = n.cut.cumsum()
            assert ends[n.drawn] - n.cut[n.drawn] <= n.dart < ends[n.drawn]
            assert n.dart == torch.rand((), generator=darts(seed), dtype=torch.float64).item()


def test_the_probabilities_are_a_softmax_over_the_temperature_and_cut_at_the_kth(sampler, model, vocabulary):
    logits = logits_of(model, vocabulary)
    for values in EVERY:
        n, k = sampler.compute(values), min(top_k(values) or vocabulary.size, vocabulary.size)
        assert n.plain == pytest.approx(logits.softmax(0).numpy())
        if values["temperature"] > 0:
            uncut = (logits / values["temperature"]).softmax(0)
            assert n.uncut == pytest.approx(uncut.numpy())
            best = uncut.topk(k)
            assert n.cut[best.indices] == pytest.approx((best.values / best.values.sum()).numpy())
            assert (n.cut > 0).sum() == k
        assert n.cut.sum() == pytest.approx(1)
        assert n.uncut.sum() == pytest.approx(1)


def test_openness_counts_equals():
    some = np.array([0.25, 0.25, 0.25, 0.25, 0.0])
    assert Numbers("", [], "", some, some, some, 0.1, 0, "", "").openness == pytest.approx(4)
    sure = np.array([0.0, 1.0])
    assert Numbers("", [], "", sure, sure, sure, 0.1, 1, "", "").openness == pytest.approx(1)


def test_heat_opens_the_choice_and_a_cut_closes_it(sampler):
    for top_k in (2, 5, "all"):
        heats = [
            sampler.compute({"temperature": t, "top-k": top_k}).openness for t in controls()[0].options[1:]
        ]
        assert heats == sorted(heats)
        assert heats[0] < heats[-1]
    cuts = [sampler.compute({"temperature": 1.0, "top-k": k}).openness for k in (1, 2, 3, 5, "all")]
    assert cuts == sorted(cuts)
    assert cuts[0] == pytest.approx(1)


@pytest.mark.parametrize(("text", "place"), [("abc", None), ("abd", 2), ("xbc", 0), ("axx", 1)])
def test_it_finds_where_two_texts_part(text, place):
    none = np.array([1.0])
    assert Numbers("", [], "", none, none, none, 0.1, 0, text, "abc").differs == place


def test_what_was_learned_later_does_not_change_a_slider_that_stands(vocabulary):
    torch.manual_seed(4)
    model = GPT(vocabulary.size, block=16, width=8, heads=2, layers=1).double()
    sampler, same = (Sampler(model, vocabulary, "The", 1, count=8) for _ in range(2))
    values = {"temperature": 1.4, "top-k": 10}
    before = sampler.compute(values)
    torch.nn.init.normal_(model.tokens.weight)
    assert same.compute(values).text == before.text
    assert Sampler(model, vocabulary, "The", 1, count=8).compute(values).text != before.text


def test_a_prompt_longer_than_the_block_is_read_from_behind(model, vocabulary):
    long, values = TEXT * 2, {"temperature": 0.8, "top-k": 5}
    n = Sampler(model, vocabulary, long, SEED, count=1).compute(values)
    assert n.plain == pytest.approx(
        Sampler(model, vocabulary, long[-24:], SEED, count=1).compute(values).plain
    )


@pytest.mark.parametrize(("prompt", "words"), [("", "prompt"), ("a%b", "'%'")])
def test_a_prompt_that_cannot_be_read_is_an_error(model, vocabulary, prompt, words):
    with pytest.raises(ValueError, match=words):
        Sampler(model, vocabulary, prompt, SEED)


# What it says.


def test_the_sentence_tells_the_numbers_and_the_text(sampler, vocabulary):
    values = {"temperature": 1.6, "top-k": 5}
    n, plain = sampler.compute(values), sampler.compute(PLAIN)
    words = describe(values, n)
    assert words.startswith("After “The gull / ” at temperature 1.6, top 5, 5 of ")
    assert f"5 of {vocabulary.size} characters can come" in words
    assert f"as among {n.openness:.1f} equals" in words
    assert f"has {n.cut.max():.2f}, at temperature 1 {plain.cut.max():.2f}; the dart at {n.dart:.2f}" in words
    assert f"the text parts from that of temperature 1, all, at character {n.differs + 1}: “" in words
    assert describe(values, n._replace(text="Now,\nnow.\n\nNow")).endswith(": “Now, / now. // Now”.")


def test_the_sentence_knows_the_plain_setting_and_the_one_without_darts(sampler):
    plain = describe(PLAIN, sampler.compute(PLAIN))
    assert "the text is that of temperature 1, all: “" in plain
    assert ", at temperature 1 " not in plain
    frozen = {"temperature": 0.0, "top-k": "all"}
    assert "; no dart is thrown, and " in describe(frozen, sampler.compute(frozen))


def test_no_character_is_named_by_white_space(sampler):
    n = sampler.compute(PLAIN)
    for character, name in (("\n", "the line end"), (" ", "the space"), ("T", "“T”")):
        number = n.characters.index(character)
        assert f"strikes {name}, which has" in describe(PLAIN, n._replace(drawn=number))


def test_white_space_can_be_seen_and_counts_as_before():
    assert shown("a b\n\nc") == "a·b⏎⏎c"


# What it draws.


@pytest.mark.parametrize("values", EVERY[::9], ids=lambda values: "-".join(map(str, values.values())))
def test_a_used_panel_draws_what_a_fresh_one_draws(sampler, values):
    n, first = sampler.compute(values), sampler.compute(PLAIN)
    used = panel(first)
    for other in (EVERY[0], EVERY[-1], EVERY[30], PLAIN):
        used.update(sampler.compute(other))
    assert used.update(n) == panel(first).update(n)
    assert panel(n).update(n) == panel(first).update(n)  # the background is the same for all settings


def test_all_words_fit_into_the_picture(sampler):
    for values in EVERY[::5]:
        n = sampler.compute(values)
        wide = n._replace(prompt="W" * 200, text="W" * COUNT, plain_text="M" * COUNT)
        view = panel(wide)
        view.update(wide)
        renderer = view._canvas.get_renderer()
        inside = view.figure.bbox
        for ax in view.figure.axes:
            for artist in (*ax.texts, ax._left_title, ax.xaxis.label):
                box = artist.get_window_extent(renderer)
                assert inside.x0 <= box.x0, artist
                assert box.x1 <= inside.x1, artist
                assert inside.y0 <= box.y0, artist


def test_the_text_turns_orange_where_it_parts_and_stays_in_its_columns(sampler):
    view, n = panel(sampler.compute(PLAIN)), sampler.compute({"temperature": 1.6, "top-k": "all"})
    place = 7
    n = n._replace(text=n.plain_text[:place] + "TTT" + n.plain_text[place + 3 :])
    assert n.differs == place
    view.update(n)
    *_, same, other = view.figure.axes[2].texts
    assert same.get_text() == shown(n.plain_text[:place])
    assert other.get_text() == " " * place + shown(n.text[place:])
    renderer = view._canvas.get_renderer()
    ends = [artist.get_window_extent(renderer) for artist in (same, other)]
    letter = ends[0].width / place
    assert ends[1].width == pytest.approx(letter * len(n.text), rel=0.02)
    assert ends[0].x0 == pytest.approx(ends[1].x0, abs=letter)


def test_what_is_cut_away_is_pale_and_what_is_drawn_is_orange(sampler):
    n = sampler.compute({"temperature": 1.0, "top-k": 3})
    view = panel(n)
    view.update(n)
    (bars,) = [collection for collection in view.figure.axes[0].collections if collection.get_animated()][:1]
    heights = [path.vertices[:, 1].max() for path in bars.get_paths()]
    colours = [tuple(colour) for colour in bars.get_facecolor()]
    order = np.argsort(-n.plain, kind="stable")[:20]
    assert heights[:3] == pytest.approx(n.cut[order[:3]])
    assert heights[3:] == pytest.approx(n.uncut[order[3:]])
    assert len(set(colours[3:])) == 1
    assert colours[3] not in colours[:3]
    assert len(set(colours)) == 3
    assert colours.count(colours[list(order).index(n.drawn)]) == 1


def test_a_picture_takes_less_than_a_tenth_of_a_second(sampler):
    view, moves = panel(sampler.compute(PLAIN)), []
    for values in EVERY[::7]:
        n = sampler.compute(values)
        began = time.process_time()  # of this process: others may be at work
        view.update(n)
        moves.append(time.process_time() - began)
    assert sorted(moves)[len(moves) // 2] < 0.1


def test_the_slider_starts_plain_and_moves(model, vocabulary):
    widget = slider(model, vocabulary, PROMPT, SEED)
    assert repr(widget).startswith(
        "Slider: temperature 0 to 2 in steps of 0.2 (now 1); top-k 1 to all (now all). After “The gull / ” at temperature 1, all,"
    )
    before = widget.answer
    widget.set(**{"temperature": 0.4, "top-k": 2})
    assert widget.answer["picture"] != before["picture"]
    assert "at temperature 0.4, top 2, 2 of" in widget.answer["caption"]
    assert widget.answer["problem"] == ""


def test_the_strip_counts_what_its_pictures_show(model, vocabulary, sampler):
    figure, caption = strip(model, vocabulary, PROMPT, SEED, [(0.0, "all"), (1.0, "all"), (1.2, 3)])
    n = sampler.compute({"temperature": 1.2, "top-k": 3})
    begins = re.sub("\n+", lambda ends: f" {'/' * len(ends[0])} ", n.text[:24])
    assert f"; {sampler.compute(PLAIN).openness:.1f} at temperature 1, all (“" in caption
    assert caption.endswith(f"; {n.openness:.1f} at temperature 1.2, top 3 (“{begins}…”).")
    assert len(figure.axes) == 6
    said = figure.axes[5].texts[0].get_text()
    assert said.replace("\n", "") == shown(n.text)


def test_a_text_with_prices_is_shown_as_it_stands():
    """Two dollar signs would be mathematics to matplotlib, or an error."""
    prices = Vocabulary(["$1 a$b_^{"], end=None)
    torch.manual_seed(3)
    dear = GPT(prices.size, block=24, width=16, heads=2, layers=2).double()
    for seed in range(4):
        moved = slider(dear, prices, "$1 a$", seed=seed)
        moved.set(temperature=1.6)
        assert moved.answer["problem"] == ""
        figure, _ = strip(dear, prices, "$1 a$", seed=seed)
        figure.canvas.draw()


def test_next_token_offers_what_the_lesson_uses():
    assert {"slider", "strip"} <= set(next_token.__all__)
