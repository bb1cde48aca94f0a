"""What lesson 4 builds in the open equals what the library holds, and its sliders draw what they should."""

import math
import os
from pathlib import Path

import pytest
import solutions
import torch
from torch import nn

from lessons_lib import data, ngrams, training
from lessons_lib.batches import order_of_epoch
from lessons_lib.exercises.engine import judge
from lessons_lib.ladder import LETTERS
from lessons_lib.longer_ngrams import kneser_ney

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "04_mlp.ipynb"
NAMES = ["ada", "bakti", "zoe", "marielle", "a", "aaa"]


@pytest.fixture
def lesson():
    """The lesson's functions and classes, as its cells define them, over a small data set; nothing else has run."""
    space = solutions.definitions(NOTEBOOK)
    names = data.split(data.load_names()).train[:1500]
    space["X"], space["Y"] = data.examples(names, 3, LETTERS)
    torch.manual_seed(0)
    space["fresh"] = space["MLP"](3)
    return space


def network(memory=3, size=10, hidden=200, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Embedding(27, size),
        nn.Flatten(),
        nn.Linear(memory * size, hidden),
        nn.Tanh(),
        nn.Linear(hidden, 27),
    )


@pytest.mark.parametrize("memory", [1, 3, 8])
def test_examples_are_examples(lesson, memory):
    ours, theirs = lesson["examples"](NAMES, memory), data.examples(NAMES, memory, LETTERS)
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])


@pytest.mark.parametrize("size", [1, 7, 512])
def test_minibatches_are_minibatches(lesson, size):
    X, Y = lesson["X"], lesson["Y"]
    ours = list(lesson["minibatches"](size, X, Y, generator=order_of_epoch(3, 1)))
    theirs = list(training.minibatches(size, X, Y, generator=order_of_epoch(3, 1)))
    assert len(ours) == len(theirs) == len(Y) // size
    assert all(
        torch.equal(a, b) for pair in zip(ours, theirs, strict=True) for a, b in zip(*pair, strict=True)
    )


@pytest.mark.parametrize(("steps", "peak"), [(20, 0.01), (398, 3.0), (1000, 0.3)])
def test_the_cycle_is_the_cycle(lesson, steps, peak):
    ours, theirs = lesson["one_cycle"](steps, peak), training.one_cycle(steps, peak)
    for step in range(steps):
        assert math.isclose(ours(step), theirs(step), rel_tol=1e-9)


@pytest.mark.parametrize(
    ("rule", "theirs"),
    [
        ("plain", lambda p: torch.optim.SGD(p, lr=0.1)),
        ("momentum", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.01, fused=True)),
    ],
)
def test_the_rules_are_torchs(lesson, rule, theirs):
    draw = torch.Generator().manual_seed(2)
    start = torch.randn(5, 4, generator=draw, dtype=torch.float64)
    ours, other, state = start.clone(), start.clone().requires_grad_(), {}
    optimizer = theirs([other])
    for _ in range(20):
        g = torch.randn(5, 4, generator=draw, dtype=torch.float64)
        ours, other.grad = lesson[rule](ours, g, state, 0.1), g
        optimizer.step()
        assert torch.allclose(ours, other.detach(), rtol=1e-9)
    assert not torch.allclose(ours, start, rtol=0.1)


def test_the_sweep_is_find_rate(lesson):
    X, Y = lesson["X"], lesson["Y"]
    sweep = training.find_rate(lesson["fresh"], (X, Y), steps=15)
    rates, losses = lesson["sweep"](lesson["fresh"], X, Y, steps=15)
    seen = len(sweep.rates)
    assert seen >= 10
    assert rates[:seen] == pytest.approx(sweep.rates, rel=1e-9)
    assert losses[:seen] == pytest.approx(sweep.losses, rel=1e-5)


def test_the_loop_is_training(lesson):
    X, Y, epochs = lesson["X"], lesson["Y"], 2
    rate = training.one_cycle(epochs * (len(Y) // 512), 0.01)
    ours = lesson["MLP"](3)
    theirs = lesson["MLP"](3)
    theirs.load_state_dict(ours.state_dict())
    losses = lesson["train"](ours, lesson["make_adamw"](ours.parameters()), rate, epochs=epochs)
    run = training.Training(
        theirs, lesson["make_adamw"](theirs.parameters()), (X, Y), epochs=epochs, batch=512, rate=rate
    )
    assert torch.allclose(torch.tensor(losses), torch.tensor(run.run().losses), rtol=1e-5)
    assert len(losses) == run.steps
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_class_is_the_network_by_hand_and_the_one_of_layers(lesson):
    X = lesson["X"][:100]
    assert torch.equal(lesson["fresh"](X), network()(X))
    C, W1, b1, W2, b2 = by_hand = lesson["new_network"](3)
    model = lesson["MLP"](3)
    keys = ("embedding.weight", "hidden.weight", "hidden.bias", "output.weight", "output.bias")
    model.load_state_dict(dict(zip(keys, (C, W1.T, b1, W2.T, b2), strict=True)))
    assert torch.allclose(model(X), lesson["logits_of"](by_hand, X).float(), atol=1e-4)


@pytest.mark.parametrize("memory", [1, 3])
def test_the_floor_is_the_floor(lesson, memory):
    X, Y = lesson["examples"](NAMES, memory)
    assert lesson["floor"](X, Y) == pytest.approx(ngrams.floor(NAMES, memory, LETTERS), rel=1e-9)


def test_the_loss_is_the_loss(lesson):
    ours = lesson["loss_of"](lesson["fresh"], lesson["X"], lesson["Y"])
    assert ours == pytest.approx(training.split_loss(lesson["fresh"], lesson["X"], lesson["Y"]), rel=1e-5)


def test_the_gradient_of_all_examples_points_where_it_does_itself(lesson):
    X, Y = lesson["X"], lesson["Y"]
    lesson["model"] = lesson["fresh"]
    lesson["full"] = lesson["gradient"](lesson["model"], X, Y)
    assert lesson["estimates"](len(Y), count=1).item() == pytest.approx(1, abs=1e-4)
    few, many = (lesson["estimates"](size, count=10).mean() for size in (8, 512))
    assert 0 < few < many < 1


def test_the_better_leaning_is_the_librarys(lesson):
    table = lesson["lean_better"](ngrams.count(NAMES, 3, LETTERS))
    assert ngrams.loss(table, ["bea", "zak"], LETTERS) == pytest.approx(
        kneser_ney(NAMES, 2, LETTERS).loss(["bea", "zak"]), rel=1e-12
    )
    assert torch.allclose(table.sum(-1), torch.ones(27, 27, dtype=torch.float64))


def test_half_and_half_is_the_cost_of_the_mean_probability(lesson):
    one, other = -torch.tensor([0.5, 0.1]).log(), -torch.tensor([0.25, 0.1]).log()
    assert torch.allclose(lesson["half_and_half"](one, other), -torch.tensor([0.375, 0.1]).log())


# The sliders: compute is pure over the whole range, and a used panel draws what a fresh one draws.


def rates(lesson):
    lesson["runs"] = {rate: [3 + rate / 10] * 130 + [2 + rate] * 20 for rate in (0.003, 0.1, 1, 10)}
    lesson["tried"], lesson["cost"] = [1e-4, 1e-2, 10], [3.3, 3.0, 9.0]
    return "rate", list(lesson["runs"]), lesson["at_rate"], lesson["rate_panel"]


def epochs(lesson):
    draw = torch.Generator().manual_seed(1)
    moments = [0, 0.1, 0.25, 0.5, 1, 2, 4, 8]
    lesson["photographs"] = {moment: torch.randn(27, 2, generator=draw) for moment in moments}
    lesson["vowels"] = torch.tensor(LETTERS.encode("aeiou"))
    lesson["consonants"] = torch.tensor(LETTERS.encode("bcdfghjklmnpqrstvwxz"))
    return "epochs", moments, lesson["places_after"], lesson["places_panel"]


def temperatures(lesson):
    names = data.split(data.load_names()).train
    lesson["speaker"] = ngrams.as_model(ngrams.witten_bell(ngrams.count(names, 3, LETTERS)), LETTERS)
    range_of_it = [0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0]
    return "temperature", range_of_it, lesson["at_temperature"], lesson["temperature_panel"]


@pytest.mark.parametrize("slider", [rates, epochs, temperatures])
def test_a_slider_gives_the_same_numbers_for_the_same_value(lesson, slider):
    name, values, compute, _ = slider(lesson)
    first = [repr(compute({name: value})) for value in values]
    again = [repr(compute({name: value})) for value in reversed(values)]
    assert first == again[::-1]
    assert len(set(first)) == len(values)


@pytest.mark.parametrize("slider", [rates, epochs, temperatures])
def test_a_used_panel_draws_what_a_fresh_one_draws(lesson, slider):
    name, values, compute, panel = slider(lesson)
    points = [compute({name: value}) for value in values]
    _, used = panel()
    for point in points + points[::-1]:
        picture = used.update(point)
    _, fresh = panel()
    assert picture == fresh.update(points[0])
    assert picture != used.update(points[-1])


def test_the_end_of_a_short_run_is_the_mean_of_its_last_steps(lesson):
    rates(lesson)
    assert lesson["at_rate"]({"rate": 1})["end"] == pytest.approx(3)


def test_places_come_centred_and_the_ratio_tells_a_gathering(lesson):
    _, moments, compute, _ = epochs(lesson)
    gathered = lesson["photographs"][0].clone()
    gathered[lesson["vowels"]] = torch.tensor([5.0, 5.0]) + gathered[lesson["vowels"]] / 100
    lesson["photographs"][0] = gathered
    numbers = [compute({"epochs": moment}) for moment in moments]
    assert all(torch.allclose(n["places"].mean(0), torch.zeros(2), atol=1e-5) for n in numbers)
    assert numbers[0]["ratio"] < 0.1 < min(n["ratio"] for n in numbers[1:])


def test_heat_flattens_what_the_model_expects(lesson):
    _, values, compute, _ = temperatures(lesson)
    rows = [compute({"temperature": t})["next"] for t in values]
    assert all(row.sum().item() == pytest.approx(1) for row in rows)
    highest = [row.max().item() for row in rows]
    assert highest == sorted(highest, reverse=True)
    assert torch.allclose(rows[values.index(1.0)], lesson["speaker"](["mari"])[0].exp())
    assert all(len(name) <= 17 for t in values for name in compute({"temperature": t})["names"])


def test_the_sliders_of_the_lesson_have_the_values_tested_here(lesson):
    """Their ranges as the notebook writes them, so that a new value is tested too."""
    source = "\n".join(cell.source for cell in solutions.read(NOTEBOOK).cells if cell.cell_type == "code")
    assert f'Steps("temperature", {temperatures(lesson)[1]}' in source
    assert f"moments = {epochs(lesson)[1]} " in source
    assert 'Steps("epochs", moments' in source
    assert source.count("Slider(\n") == 3


def test_the_study_is_asked_by_its_columns(lesson):
    rows = [
        {
            "model": "network",
            "letters": "3",
            "seed": str(seed),
            "dev_loss": str(2.5 + seed),
            "train_loss": "2",
        }
        for seed in range(3)
    ]
    lesson["study"] = [
        *rows,
        {"model": "counting", "letters": "3", "seed": "", "dev_loss": "2.4", "train_loss": "2"},
    ]
    assert lesson["found"]("dev_loss", letters=3).tolist() == [2.5, 3.5, 4.5]
    assert lesson["found"]("dev_loss", letters=3, seed=1).tolist() == [3.5]
    assert lesson["found"]("dev_loss", "counting", letters=3).tolist() == pytest.approx([2.4])
    assert lesson["found"]("dev_loss", letters=4).tolist() == []


def test_smoothing_drops_what_fills_no_block(lesson):
    assert lesson["smooth"]([1.0, 3.0, 5.0, 7.0, 100.0], 2) == [2, 6]
    assert lesson["smooth"]([1.0, 2.0], 1) == [1, 2]


def test_a_check_that_trains_shows_no_progress_bar(monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)

    def hasty(X, Y):
        model = network()
        optimizer = torch.optim.AdamW(model.parameters())
        training.Training(model, optimizer, (X[:5000], Y[:5000]), epochs=1, batch=512, rate=0.01).run()
        return model

    verdict = judge("4.7", hasty)
    assert verdict.status == "not yet right"
    assert "hardly been trained" in verdict.message
    assert "it/s" not in verdict.message
    assert "step/s" not in verdict.message
    assert "\n" not in verdict.message
    assert "TQDM_DISABLE" not in os.environ
