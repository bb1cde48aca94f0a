"""A run comes out the same however often it is broken off, equals a loop written by hand, and says what went wrong."""

import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lessons_lib.training import (
    Diverged,
    History,
    Training,
    find_rate,
    minibatches,
    one_cycle,
    setup,
    split_loss,
)


@pytest.fixture(autouse=True)
def threads_as_before(monkeypatch):
    monkeypatch.delenv("LESSONS_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_one_thread_unless_another_number_is_asked_for():
    setup(3)
    assert torch.get_num_threads() == 3
    setup()
    assert torch.get_num_threads() == 1


def test_lessons_threads_overrides_the_argument(monkeypatch):
    monkeypatch.setenv("LESSONS_THREADS", "2")
    setup(4)
    assert torch.get_num_threads() == 2


def test_an_empty_lessons_threads_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("LESSONS_THREADS", "")
    setup(2)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("value", ["two", "0", "-1", "1.5", " "])
def test_a_lessons_threads_that_is_no_number_of_threads_is_refused_by_name(monkeypatch, value):
    monkeypatch.setenv("LESSONS_THREADS", value)
    torch.set_num_threads(2)
    with pytest.raises(
        ValueError, match=f"LESSONS_THREADS must be a whole number of threads, 1 or more, and it is '{value}'"
    ):
        setup()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("value", [0, -2, 1.5, True, None])
def test_an_argument_that_is_no_number_of_threads_is_refused(value):
    with pytest.raises(ValueError, match=f"^threads must be a whole number .* it is {value}$"):
        setup(value)


def test_setup_prints_nothing(capfd):
    setup()
    assert tuple(capfd.readouterr()) == ("", "")


def test_the_setup_cell_waits_for_torch_but_not_for_matplotlib_or_jupyter():
    program = (
        "import sys; from lessons_lib.training import setup; setup(); "
        "print(*{'torch', 'matplotlib', 'IPython', 'ipywidgets', 'networkx.drawing'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert (run.stdout, run.stderr) == ("torch\n", "")


# Minibatches and losses.


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_an_epoch_hands_out_every_example_once_beside_its_own_target():
    X = torch.arange(30).view(10, 3)
    Y = X[:, 0] * 100
    batches = list(minibatches(5, X, Y, generator=seeded()))
    assert [len(x) for x, y in batches] == [5, 5]
    assert all(y.equal(x[:, 0] * 100) for x, y in batches)
    assert torch.cat([x for x, y in batches]).sort(0).values.equal(X)
    assert not torch.cat([x for x, y in batches]).equal(X)


def test_the_last_incomplete_batch_is_left_out_and_others_next_time():
    seen = Counter()
    generator = seeded(3)
    for _ in range(20):
        batches = list(minibatches(4, torch.arange(11), generator=generator))
        assert [x.shape for (x,) in batches] == [(4,), (4,)]
        seen.update(torch.cat([x for (x,) in batches]).tolist())
    assert set(seen) == set(range(11))
    assert seen.total() == 20 * 8


def test_the_order_is_the_generators_alone():
    torch.manual_seed(1)
    first = [x.tolist() for (x,) in minibatches(3, torch.arange(12), generator=seeded(7))]
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert first == [x.tolist() for (x,) in minibatches(3, torch.arange(12), generator=seeded(7))]
    assert before.equal(torch.get_rng_state())


@pytest.mark.parametrize(
    ("size", "lengths", "words"),
    [
        (6, [5, 5], "a batch of 6 cannot be filled: there are 5 examples"),
        (2, [5, 4], r"every example needs its target, .* \[5, 4\]"),
        (2, [], "every example needs its target"),
        (0, [5], "1 or more, and this one has 0"),
        (2.0, [5], "1 or more, and this one has 2.0"),
    ],
)
def test_batches_that_cannot_be_made_are_refused_when_asked_for(size, lengths, words):
    with pytest.raises(ValueError, match=words):
        minibatches(size, *(torch.zeros(length) for length in lengths), generator=seeded())


def test_minibatches_without_a_generator_are_refused():
    with pytest.raises(TypeError, match=r"torch\.Generator of its own"):
        minibatches(2, torch.zeros(4), generator=None)


def with_dropout_and_batchnorm(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 4))


def data(n=50, seed=1):
    X = torch.randn(n, 3, generator=seeded(seed))
    return X, (X.sum(1) > 0).long() + 2 * (X[:, 0] > 0.5).long()


@pytest.mark.parametrize("batch", [1, 7, 50, 8192])
def test_the_loss_of_a_split_is_its_mean_cross_entropy_however_it_is_cut(batch):
    model, (X, Y) = with_dropout_and_batchnorm(), data()
    model.eval()
    expected = F.cross_entropy(model(X).double(), Y).item()
    model.train()
    assert split_loss(model, X, Y, batch) == pytest.approx(expected, abs=1e-6)


def test_measuring_keeps_no_gradient_and_leaves_each_module_in_its_own_mode():
    model = with_dropout_and_batchnorm().train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    split_loss(model, *data())
    assert [module.training for module in model] == [True, False, True, True, True]
    assert model.training
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_mode_comes_back_even_where_the_model_fails():
    model = with_dropout_and_batchnorm().train()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        split_loss(model, torch.zeros(5, 2), torch.zeros(5, dtype=torch.int64))
    assert all(module.training for module in model.modules())


def test_an_empty_split_has_no_loss():
    with pytest.raises(ValueError, match="there are 0 examples"):
        split_loss(with_dropout_and_batchnorm(), torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))


# Rates.


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100, 5000])
@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.3, 0.31, 1.0])
def test_the_schedule_is_torchs_one_cycle(steps, warmup):
    if warmup * steps == 1:  # torch divides by zero there
        assert one_cycle(steps, 0.3, warmup)(0) == 0.3
        return
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.3, total_steps=steps, pct_start=warmup
    )
    rate = one_cycle(steps, 0.3, warmup)
    for step in range(steps):
        assert rate(step) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        if step < steps - 1:
            scheduler.step()


def test_the_rate_rises_once_falls_once_and_ends_near_nothing():
    rates = [one_cycle(100, 0.5)(step) for step in range(100)]
    top = rates.index(max(rates))
    assert (top, rates[top], rates[0]) == (19, 0.5, pytest.approx(0.02))
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a > b for a, b in pairwise(rates[top:]))
    assert rates[-1] == pytest.approx(0.02 / 1e4)


def test_a_peak_at_the_very_first_step_is_the_peak():
    assert [one_cycle(5, 0.5, 0.2)(step) for step in (0, 4)] == [0.5, pytest.approx(2e-6)]


@pytest.mark.parametrize(
    "arguments",
    [(0, 0.1), (10, 0), (10, -1.0), (10, math.inf), (10, 0.1, 1.1), (10, 0.1, -0.1), (10, math.nan)],
)
def test_a_schedule_that_is_none_is_refused(arguments):
    with pytest.raises(ValueError, match="1 step or more, a peak above 0 and a warmup between 0 and 1"):
        one_cycle(*arguments)


@pytest.mark.parametrize("step", [-1, 10])
def test_a_step_outside_the_schedule_is_refused(step):
    with pytest.raises(ValueError, match=f"steps 0 to 9, and was asked for step {step}"):
        one_cycle(10, 0.1)(step)


def test_the_sweep_is_geometric_leaves_model_and_random_numbers_alone_and_repeats():
    model, train = with_dropout_and_batchnorm(), data()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    numbers = torch.get_rng_state()
    sweep = find_rate(model, train, low=1e-3, high=1.0, steps=31, batch=16)
    assert sweep.rates[0] == 1e-3
    assert all(b / a == pytest.approx(1000 ** (1 / 30)) for a, b in pairwise(sweep.rates))
    assert len(sweep.rates) == len(sweep.losses) == 31
    assert sweep == find_rate(model, train, low=1e-3, high=1.0, steps=31, batch=16)
    assert sweep.losses != find_rate(model, train, low=1e-3, high=1.0, steps=31, batch=16, seed=1).losses
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert numbers.equal(torch.get_rng_state())


def test_the_recommended_rate_is_a_tenth_of_where_the_averaged_loss_is_lowest():
    sweep = find_rate(with_dropout_and_batchnorm(), data(500), low=1e-3, high=100, steps=100, batch=50)
    averages, average = [], 0.0
    for step, loss in enumerate(sweep.losses, start=1):
        average = 0.9 * average + 0.1 * loss
        averages.append(average / (1 - 0.9**step))
    lowest = averages.index(min(averages))
    assert 0 < lowest < len(averages) - 1
    assert sweep.best == sweep.rates[lowest] / 10


def test_the_sweep_stops_where_the_rate_is_hopeless_and_recommends_one_that_learns():
    train = data(500)
    sweep = find_rate(with_dropout_and_batchnorm(), train, low=1e-3, high=1e4, steps=100, batch=50)
    assert 20 < len(sweep.rates) < 100
    model = with_dropout_and_batchnorm()
    training = Training(
        model, torch.optim.SGD(model.parameters()), train, epochs=10, batch=50, rate=sweep.best, dev=train
    )
    assert training.run().dev[-1][1] < min(sweep.losses)


def test_the_sweep_ends_before_a_loss_that_is_not_finite():
    model = nn.Linear(3, 4)
    sweep = find_rate(model, data(), low=1.0, high=1e38, steps=40, batch=10)
    assert all(map(math.isfinite, sweep.losses))
    assert len(sweep.losses) < 40


def test_another_optimizer_is_made_for_the_copy():
    made = []

    def adam(parameters, rate):
        made.append((list(parameters), rate))
        return torch.optim.AdamW(made[0][0], lr=rate)

    model = with_dropout_and_batchnorm()
    sweep = find_rate(model, data(), steps=20, batch=10, optimizer=adam)
    assert sweep.losses != find_rate(model, data(), steps=20, batch=10).losses
    [(parameters, rate)] = made
    assert rate == 1e-4
    assert not {id(p) for p in parameters} & {id(p) for p in model.parameters()}


@pytest.mark.parametrize("options", [{"low": 0}, {"low": 2, "high": 1}, {"high": math.inf}, {"steps": 1}])
def test_a_sweep_that_goes_nowhere_is_refused(options):
    with pytest.raises(ValueError, match="a sweep goes up from a rate above 0 in 2 steps or more"):
        find_rate(with_dropout_and_batchnorm(), data(), batch=10, **options)


def test_a_sweep_whose_first_loss_is_nan_says_why():
    model = nn.Linear(3, 4)
    nn.init.constant_(model.weight, math.nan)
    with pytest.raises(Diverged, match="before anything was learned: weight holds nan"):
        find_rate(model, data(), batch=10)


# The run.

OPTIMIZERS = {
    "SGD with momentum": lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=1.0),
    "AdamW, fused": lambda p: torch.optim.AdamW(p, lr=1.0, fused=True),
}


def run_of(rate=0.05, optimizer="SGD with momentum", model=None, train=None, **options):
    """50 examples, batches of 8: 6 steps an epoch, 18 in all."""
    model = model or with_dropout_and_batchnorm()
    options = {"epochs": 3, "batch": 8, "dev": data(20, seed=2)} | options
    return Training(model, OPTIMIZERS[optimizer](model.parameters()), train or data(), rate=rate, **options)


def weights(training):
    """Everything that a run changes, for comparing bit by bit."""
    state = training.optimizer.state_dict()["state"]
    found = [*training.model.state_dict().values()]
    found += [value for entries in state.values() for value in entries.values() if torch.is_tensor(value)]
    return [value.clone() for value in found]


def same(first, second):
    return len(first) == len(second) and all(a.equal(b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_is_the_loop_that_one_writes_by_hand(optimizer):
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4))
    start = {name: value.clone() for name, value in model.state_dict().items()}
    batches = []
    training = run_of(
        one_cycle(18, 0.1),
        optimizer,
        model,
        loss=lambda logits, y: batches.append(y) or F.cross_entropy(logits, y),
    )
    training.dev = None
    history = training.run()
    rate = one_cycle(18, 0.1)

    by_hand = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4))
    by_hand.load_state_dict(start)
    moving, losses, inputs = OPTIMIZERS[optimizer](by_hand.parameters()), [], []
    again = run_of(model=nn.Linear(3, 4), dev=None, watch=lambda t: None)
    again.model.register_forward_pre_hook(lambda module, given: inputs.append(given[0]))
    again.run()  # only to see which examples come when
    for step, (x, y) in enumerate(zip(inputs, batches, strict=True)):
        loss = F.cross_entropy(by_hand(x), y)
        moving.zero_grad()
        loss.backward()
        for group in moving.param_groups:
            group["lr"] = rate(step)
        moving.step()
        losses.append(loss.item())
    assert history.losses == losses
    assert history.rates == [rate(step) for step in range(18)]
    assert same([*model.state_dict().values()], [*by_hand.state_dict().values()])


def test_the_dev_loss_is_measured_at_the_end_of_every_epoch_in_eval_mode():
    training, measured = run_of(), []

    def watch(training):
        if training.step % 6 == 0:
            measured.append((training.step, split_loss(training.model, *training.dev)))

    training.watch = watch
    assert training.run().dev == measured
    assert [step for step, _ in measured] == [6, 12, 18]


def test_another_loss_is_used_for_training_and_for_dev():
    X, _ = data()
    training = run_of(model=nn.Linear(3, 1), train=(X, X[:, :1]), dev=(X, X[:, :1]), loss=F.mse_loss)
    history = training.run()
    assert history.dev[-1][1] == pytest.approx(F.mse_loss(training.model(X), X[:, :1]).item(), abs=1e-6)
    assert history.losses[-1] < history.losses[0]


def test_every_epoch_has_an_order_of_its_own_and_the_seed_decides_it():
    def orders(seed):
        training, seen = run_of(0.0, model=nn.Linear(3, 4), seed=seed), []
        training.model.register_forward_pre_hook(lambda module, given: seen.append(given[0][0, 0].item()))
        training.dev = None
        training.run()
        return seen

    assert orders(0) == orders(0)
    assert len({tuple(orders(0)[:6]), tuple(orders(0)[6:12]), tuple(orders(1)[:6])}) == 3


def test_a_finished_run_starts_afresh_and_comes_out_the_same():
    training = run_of(optimizer="AdamW")
    first = training.run()
    after = weights(training)
    second = training.run()
    assert second is not first
    assert second == first
    assert len(first.losses) == training.step == training.steps == 18
    assert same(weights(training), after)


def test_the_first_run_starts_from_the_model_as_it_is_then():
    training = run_of(0.0)
    with torch.no_grad():
        training.model[4].weight.zero_()
    first = training.run()
    assert not training.model[4].weight.any()
    assert training.run() == first


def test_an_optimizer_that_has_a_past_gets_it_back():
    model = with_dropout_and_batchnorm()
    optimizer = OPTIMIZERS["AdamW"](model.parameters())
    Training(model, optimizer, data(), epochs=1, batch=8, rate=0.05).run()
    second = Training(model, optimizer, data(), epochs=2, batch=8, rate=0.05)
    first = second.run()
    after = weights(second)
    assert [second.run() == first, second.run() == first] == [True, True]
    assert same(weights(second), after)


def test_the_callers_random_numbers_and_the_modes_are_as_before():
    training, modes = run_of(), []
    training.watch = lambda t: modes.append([module.training for module in t.model.modules()])
    training.model.train()
    training.model[1].eval()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    training.run()
    assert before.equal(torch.get_rng_state())
    assert [module.training for module in training.model] == [True, False, True, True, True]
    assert all(map(all, modes))


def test_what_the_caller_draws_before_does_not_reach_dropout():
    torch.manual_seed(1)
    model = with_dropout_and_batchnorm()
    torch.manual_seed(8)
    first = run_of(model=model).run()
    torch.manual_seed(9)
    model = with_dropout_and_batchnorm()
    torch.rand(100)
    assert run_of(model=model).run() == first


def test_watch_sees_every_step_once_after_it_was_made():
    seen = []
    training = run_of(
        watch=lambda t: seen.append((t.step, len(t.history.losses), t.model[0].weight.grad is not None))
    )
    training.run()
    assert seen == [(step, step, True) for step in range(1, 19)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "epochs must be a whole number, 1 or more, and it is 0"),
        ({"epochs": 1.5}, "epochs must be a whole number"),
        ({"batch": 0}, "a batch has .* 1 or more, and this one has 0"),
        ({"batch": 51}, "a batch of 51 cannot be filled: there are 50 examples"),
        ({"rate": math.nan}, "a rate must be 0 or more, and finite; that of step 0 is nan"),
        ({"rate": -0.1}, "that of step 0 is -0.1"),
        ({"rate": lambda step: math.inf if step == 7 else 0.1}, "that of step 7 is inf"),
        ({"rate": one_cycle(17, 0.1)}, "steps 0 to 16, and was asked for step 17"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"save_every": 5}, "save_every needs a folder"),
        ({"save_every": 0, "folder": "x"}, "save_every must be a whole number"),
        ({"train": (torch.zeros(9, 3), torch.zeros(8))}, r"the lengths \[9, 8\]"),
        ({"dev": (torch.zeros(9, 3), torch.zeros(8))}, r"the lengths \[9, 8\]"),
        ({"dev": (torch.zeros(0, 3), torch.zeros(0))}, "there are 0 examples"),
    ],
)
def test_arguments_that_make_no_run_are_refused_by_name_before_it_begins(options, words):
    with pytest.raises(ValueError, match=words):
        run_of(**options)


def test_an_optimizer_of_another_model_is_refused():
    other = torch.optim.SGD(with_dropout_and_batchnorm().parameters(), lr=0.1)
    with pytest.raises(ValueError, match="moves no parameter of this model"):
        Training(with_dropout_and_batchnorm(), other, data(), epochs=1, batch=8, rate=0.1)


def test_the_history_is_averaged_in_whole_blocks_and_fits_in_a_line():
    history = History([4.0, 2.0, 3.0, 1.0, 9.0], [0.1] * 5, [(5, 2.5)])
    assert history.smooth(2) == [3.0, 2.0]
    assert history.smooth(5) == [3.8]
    assert history.smooth(6) == []
    assert repr(history) == "History of 5 steps: loss 3.80, dev 2.50"
    with pytest.raises(ValueError, match="width is 0"):
        history.smooth(0)
    assert repr(run_of()) == "Training: 0 of 18 steps done"


# The progress bar.


def test_a_run_prints_nothing_where_the_bar_is_off(capfd):
    run_of().run()
    assert tuple(capfd.readouterr()) == ("", "")


def test_the_bar_shows_loss_dev_loss_rate_and_the_time_left_a_few_times_a_second(capfd, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "0")
    training = run_of(0.05, watch=lambda t: time.sleep(0.01))
    start = time.perf_counter()
    history = training.run()
    seconds = time.perf_counter() - start
    out, err = capfd.readouterr()
    looks = err.strip().split("\r")
    assert out == ""
    assert re.search(r"18/18 \[\d\d:\d\d<00:00, ", looks[-1])
    assert f"loss {history.recent():.3f}, dev {history.dev[-1][1]:.3f}, rate 0.05" in looks[-1]
    assert 3 <= len(looks) <= 4 + 10 * seconds


# Interruptions.


def stopping_at(*steps, by=signal.raise_signal):
    def watch(training):
        if training.step in steps and training.step not in watch.stopped:
            watch.stopped.add(training.step)
            by(signal.SIGINT)

    watch.stopped = set()
    return watch


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("steps", [(1,), (6,), (4, 5, 12), (17,)])
def test_an_interrupted_run_that_goes_on_is_the_run_nobody_interrupted(steps, optimizer, capsys):
    whole = run_of(one_cycle(18, 0.1), optimizer)
    expected = whole.run()
    training = run_of(one_cycle(18, 0.1), optimizer, watch=stopping_at(*steps))
    for step in steps:
        history = training.run()
        assert (training.step, len(history.losses)) == (step, step)
        assert capsys.readouterr().out == (
            f"Stopped after step {step} of 18: loss {history.recent():.2f}. "
            "Model, optimizer and history are kept; run() goes on from here.\n"
        )
        torch.rand(7)  # what is drawn meanwhile is no part of the run
    assert training.run() == expected
    assert same(weights(training), weights(whole))
    assert capsys.readouterr().out == ""


def test_an_interrupt_in_the_last_step_finds_a_finished_run(capsys):
    training = run_of(watch=stopping_at(18))
    assert len(training.run().dev) == 3
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(os.name != "posix", reason="there os.kill ends the process instead of interrupting it")
def test_an_interrupt_from_outside_waits_for_the_step_in_hand(capsys):
    whole = run_of(epochs=100)
    expected = whole.run()
    outside = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
    training = run_of(epochs=100, watch=lambda t: t.step == 20 and outside.start())
    training.run()
    outside.join()
    assert 20 <= training.step < training.steps
    assert f"Stopped after step {training.step:,} of 600" in capsys.readouterr().out
    training.watch = None
    assert training.run() == expected
    assert same(weights(training), weights(whole))


def test_the_handler_of_interrupts_is_the_callers_again(capsys):
    heard = []
    earlier = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        training = run_of(watch=stopping_at(3))
        training.run()
        assert heard == []
        signal.raise_signal(signal.SIGINT)
        assert heard == [signal.SIGINT]
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            run_of(train=(torch.zeros(8, 2), torch.zeros(8, dtype=torch.int64))).run()
        signal.raise_signal(signal.SIGINT)
        assert len(heard) == 2
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_the_second_interrupt_stops_at_once_and_the_half_step_is_not_built_upon(capsys):
    expected = run_of(model=Halting()).run()
    model = Halting(stop_in_call=9)
    training = run_of(model=model)
    with pytest.raises(KeyboardInterrupt):
        training.run()
    assert training.step == 8
    assert capsys.readouterr().out == ""
    assert training.run() == expected


class Halting(nn.Module):
    """Sends two interrupts from inside a forward pass in training."""

    def __init__(self, stop_in_call=None):
        super().__init__()
        self.inner, self.calls, self.stop = with_dropout_and_batchnorm(), 0, stop_in_call

    def forward(self, X):
        self.calls += self.training
        if self.training and self.calls == self.stop:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return self.inner(X)


def test_where_no_signal_can_be_held_back_a_keyboard_interrupt_between_steps_stops_cleanly(capsys):
    def interrupt(training):
        if training.step == 7 and not interrupt.done:
            interrupt.done = True
            raise KeyboardInterrupt

    interrupt.done = False
    expected, training = run_of().run(), run_of(watch=interrupt)
    thread = threading.Thread(target=training.run)
    thread.start()
    thread.join()
    assert training.step == 7
    assert "Stopped after step 7 of 18" in capsys.readouterr().out
    assert training.run() == expected


def test_where_it_hits_the_middle_of_a_step_the_run_says_that_it_starts_afresh(capsys):
    class Breaking(torch.optim.SGD):
        calls = 0

        def step(self, closure=None):
            super().step(closure)
            Breaking.calls += 1
            if Breaking.calls == 5:
                raise KeyboardInterrupt

    model = with_dropout_and_batchnorm()
    training = Training(
        model, Breaking(model.parameters(), lr=1, momentum=0.9), data(), epochs=3, batch=8, rate=0.05
    )
    training.run()
    assert capsys.readouterr().out == "Stopped in the midst of step 5 of 18: run() starts afresh.\n"
    assert training.run().losses == run_of().run().losses


def test_an_error_of_watch_costs_nothing():
    def fail(training):
        if training.step == 7 and not fail.done:
            fail.done = True
            raise ZeroDivisionError

    fail.done = False
    training = run_of(watch=fail)
    with pytest.raises(ZeroDivisionError):
        training.run()
    assert training.step == 7
    assert training.run() == run_of().run()


# What went wrong.


class Failing(nn.Module):
    """A linear layer whose logits are put through `change(logits, call)`."""

    def __init__(self, change):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.calls, self.change = nn.Linear(3, 4), 0, change

    def forward(self, X):
        self.calls += 1
        return self.change(self.layer(X), self.calls)


def diverging(**options):
    training = run_of(dev=None, **options)
    with pytest.raises(Diverged) as caught:
        training.run()
    return training, str(caught.value)


def test_inputs_with_nan_or_inf_in_them_are_named_when_their_batch_comes():
    X, Y = data()
    X[7, 1] = math.inf
    training, message = diverging(model=nn.Linear(3, 4), train=(X, Y))
    assert 0 < training.step < 6
    assert re.match(
        rf"The loss is (nan|inf) in step {training.step + 1} of 18, at a rate of 0.05\. ", message
    )
    assert message.endswith("The inputs of this batch hold nan or inf: the data must be mended first.")


def test_targets_with_nan_in_them_are_named():
    X, _ = data()
    _, message = diverging(model=nn.Linear(3, 1), train=(X, X[:, :1] * math.nan), loss=F.mse_loss)
    assert message == (
        "The loss is nan in step 1 of 18, at a rate of 0.05. The targets of this batch hold nan or inf: the data must be mended first."
    )


def test_an_initialization_with_nan_is_named_by_its_parameter():
    model = with_dropout_and_batchnorm()
    with torch.no_grad():
        model[4].bias[2] = math.nan
    _, message = diverging(model=model)
    assert "step 1 of 18" in message
    assert "before anything was learned: 4.bias holds nan or inf from its initialization on" in message


def test_a_model_that_makes_nan_of_sound_data_and_weights_is_told_apart():
    training, message = diverging(model=Failing(lambda logits, call: logits * 0 / 0))
    assert "before anything was learned, and neither the data nor the parameters hold nan or inf" in message
    assert training.step == 0


def test_a_rate_that_makes_the_loss_grow_is_named_with_the_numbers():
    training, message = diverging(
        rate=1e6, model=nn.Linear(3, 1), train=(data()[0], data()[0][:, :1]), loss=F.mse_loss
    )
    losses = training.history.losses
    best = losses.index(min(losses))
    assert f"in step {len(losses) + 1} of 18, at a rate of 1e+06." in message
    assert (
        f"It had been growing, from {losses[best]:.4g} at its best (step {best + 1}) to {losses[-1]:.4g}"
        in message
    )
    assert "the rate is too high" in message


def test_a_rate_that_throws_the_weights_away_in_one_step_is_named_by_their_size():
    X, Y = data()
    _, message = diverging(rate=1e30, model=Failing(lambda logits, call: logits * logits * 1e3), train=(X, Y))
    assert "The largest number in layer." in message
    assert "the rate is too high" in message


def test_a_gradient_that_became_nan_before_the_loss_did_is_named():
    def root(logits, call):
        return logits + (logits * 0).sqrt() if call == 4 else logits

    training, message = diverging(model=Failing(root))
    assert "in step 5 of 18" in message
    assert "The gradient of layer.weight was nan or inf in the step before, although the loss was" in message
    assert len(training.history.losses) == 4


def test_an_update_that_leaves_nan_out_of_a_finite_gradient_is_told_apart():
    class Dividing(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            self.param_groups[0]["params"][1].data /= 0 * self.param_groups[0]["lr"]

    model = nn.Linear(3, 4)
    training = Training(model, Dividing(model.parameters()), data(), epochs=3, batch=8, rate=0.05)
    with pytest.raises(Diverged, match="in step 2 of 18") as caught:
        training.run()
    assert "The update of the step before left nan or inf in bias, out of a gradient that was finite" in str(
        caught.value
    )


def test_a_nan_out_of_the_blue_is_honestly_called_that():
    training, message = diverging(model=Failing(lambda logits, call: logits * (math.nan if call == 7 else 1)))
    assert "in step 7 of 18" in message
    assert f"out of the blue: the loss before was {training.history.losses[-1]:.4g}" in message


def test_the_parameters_stay_as_they_were_before_the_step_that_failed():
    seen = []
    model = Failing(lambda logits, call: logits * (math.nan if call == 7 else 1))
    training = run_of(model=model, dev=None, watch=lambda t: seen.append(weights(t)))
    with pytest.raises(Diverged):
        training.run()
    assert len(seen) == 6
    assert same(weights(training), seen[-1])


def test_after_a_failure_the_next_run_starts_afresh():
    model = Failing(lambda logits, call: logits * (math.nan if call == 7 else 1))
    training = run_of(model=model, dev=None)
    with pytest.raises(Diverged):
        training.run()
    assert training.run() == run_of(model=Failing(lambda logits, call: logits), dev=None).run()
