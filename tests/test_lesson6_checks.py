"""The checks of lesson 6: each known mistake gets its own words, a right answer passes however it is written, and little else does."""

import pytest
import torch
import torch.nn.functional as F

from lessons_lib.by_hand import EPS
from lessons_lib.exercises import judge, lesson6, lesson6_work
from lessons_lib.exercises.lesson6_ruler import LESSONS_OWN, pulled_back, relative_error


def log_of_chosen(logp, Y):
    return -torch.eye(logp.shape[1], dtype=logp.dtype)[Y] / logp.shape[0]


def through_the_total(dprobs, dshare, counts, share):
    total = counts.sum(1, keepdim=True)
    return torch.addcmul(dprobs / total, -dshare, total**-2)


def past_the_maximum(dcounts, counts, logits):
    dlogits = torch.einsum("nk,nk->nk", dcounts, counts)
    pulled = dlogits.sum(1)
    dlogits[torch.arange(len(logits)), logits.argmax(1)] -= pulled
    return dlogits


def through_the_view(dpre, emb, W1):
    n, letters, d = emb.shape
    W = W1.view(letters, d, -1)
    dW1 = torch.einsum("nld,nh->ldh", emb, dpre).reshape(letters * d, -1)
    return [dW1, dpre.T @ torch.ones(n, dtype=dpre.dtype), torch.einsum("nh,ldh->nld", dpre, W)]


def by_loops(demb, X, rows):
    dC = torch.zeros(rows, demb.shape[-1], dtype=demb.dtype)
    for i, contexts in enumerate(X):
        for j, letter in enumerate(contexts):
            dC[letter] += demb[i, j]
    return dC


def the_long_way(dact, gain, norm, inv):
    """6.16 as 6.8 to 6.12 have it, with off from norm / inv."""
    n, off, dnorm = len(dact), norm / inv, dact * gain
    dvar = -0.5 * inv**3 * (dnorm * off).sum(0, keepdim=True)
    doff = dnorm * inv + 2 * off * dvar / (n - 1)
    return doff - doff.mean(0, keepdim=True)


def layer_norm_by_columns(dout, gain, norm, inv):
    g, H = (dout * gain).T, norm.shape[1]
    return ((H * g - g.sum(0) - norm.T * (g * norm.T).sum(0)) / H).T * inv


def nudged_in_place(f, x, place, h=1e-6):
    kept = x[place].clone()
    x[place] = kept + h
    right = f(x)
    x[place] = kept - h
    left = f(x)
    x[place] = kept
    return ((right - left) / (2 * h)).item()


OTHERWISE = {
    "6.1": log_of_chosen,
    "6.2": lambda dlogp, probs: probs**-1 * dlogp,
    "6.3": lambda dprobs, counts: torch.einsum("nk,nk->n", dprobs, counts).unsqueeze(1),
    "6.4": through_the_total,
    "6.5": past_the_maximum,
    "6.6": lambda dlogits, h, W2: (
        torch.einsum("nk,hk->nh", dlogits, W2),
        torch.einsum("nh,nk->hk", h, dlogits),
        torch.einsum("nk->k", dlogits),
    ),
    "6.7": lambda dh, h: dh - dh * h * h,
    "6.8": lambda dact, gain, norm: (
        torch.einsum("nh,nh->h", dact, norm),
        dact.T.sum(1),
        torch.einsum("nh,h->nh", dact, gain),
    ),
    "6.9": lambda dnorm, off, var: -((dnorm * off).sum(0)[None]) / (2 * (var + EPS) ** 1.5),
    "6.10": lambda dvar, off2: torch.ones_like(off2) * dvar / (off2.shape[0] - 1),
    "6.11": lambda dnorm, inv, doff2, off: inv * dnorm + (off + off) * doff2,
    "6.12": lambda doff: (torch.eye(len(doff), dtype=doff.dtype) - 1 / len(doff)) @ doff,
    "6.13": through_the_view,
    "6.14": by_loops,
    "6.15": lambda logits, Y: (logits.log_softmax(1).exp() - F.one_hot(Y, 27)) / Y.numel(),
    "6.16": the_long_way,
    "6.17": nudged_in_place,
    "6.19": layer_norm_by_columns,
}
SEVERAL = {number: tuple(known) for number, known in lesson6.MISTAKES.items() if isinstance(known, dict)}
KNOWN = [
    pytest.param(number, part, mistake, sentence, id=f"{number}-{part or ''}{place}")
    for number, known in lesson6.MISTAKES.items()
    for part, mistakes in (known.items() if isinstance(known, dict) else [(None, known)])
    for place, (mistake, sentence) in enumerate(mistakes, start=1)
]


def part_wrong(number, part, mistake):
    """The right answer to `number` with one part, or all, replaced by the mistake."""

    def answer(*inputs):
        if part is None:
            return mistake(*inputs)
        parts = dict(zip(SEVERAL[number], OTHERWISE[number](*inputs), strict=True))
        return tuple((parts | {part: mistake(*inputs)}).values())

    return answer


@pytest.mark.parametrize(("number", "part", "mistake", "sentence"), KNOWN)
def test_a_known_mistake_gets_its_own_sentence(number, part, mistake, sentence):
    verdict = judge(number, part_wrong(number, part, mistake))
    assert verdict.status == "not yet right"
    assert verdict.message.endswith(sentence)


@pytest.mark.parametrize("number", OTHERWISE)
def test_a_right_answer_passes_however_it_is_written(number):
    verdict = judge(number, OTHERWISE[number])
    assert verdict.status == "right", verdict.message


def test_repeats_may_be_added_by_index_put():
    def dC(demb, X, rows):
        return torch.zeros(rows, demb.shape[2], dtype=demb.dtype).index_put_((X,), demb, accumulate=True)

    assert judge("6.14", dC).status == "right"


def test_all_eighteen_gradients_have_another_way_here_and_known_mistakes():
    assert set(OTHERWISE) == set(lesson6.CHECKS) - {"6.18"}
    assert set(lesson6.MISTAKES) == set(OTHERWISE) - {"6.17"}
    assert list(lesson6.CHECKS) == list(dict.fromkeys(lesson6.CHECKS))
    assert set(lesson6.CHECKS) == {f"6.{place}" for place in range(1, 20)}


def in_float32(number):
    def answer(*inputs):
        result = OTHERWISE[number](*inputs)
        return result.float() if isinstance(result, torch.Tensor) else tuple(part.float() for part in result)

    return answer


@pytest.mark.parametrize("number", [number for number in OTHERWISE if number != "6.17"])
def test_a_right_answer_in_float32_gets_a_friendly_word(number):
    verdict = judge(number, in_float32(number))
    assert verdict.status == "not yet right"
    assert "returned a tensor of float32. The numbers are right as far as it can hold them" in verdict.message


@pytest.mark.parametrize("number", ["6.2", "6.7", "6.16"])
def test_a_known_mistake_is_known_in_float32_too(number):
    mistake, sentence = lesson6.MISTAKES[number][0]
    verdict = judge(number, lambda *inputs: mistake(*inputs).float())
    assert verdict.message.endswith(sentence)


def test_an_answer_may_carry_a_history():
    assert judge("6.7", lambda dh, h: dh * (1 - h.requires_grad_() ** 2)).status == "right"


@pytest.mark.parametrize("number", ["6.1", "6.6", "6.16"])
def test_the_checks_work_where_the_notebook_has_switched_gradients_off(number):
    with torch.no_grad():
        assert judge(number, OTHERWISE[number]).status == "right"


def test_an_input_that_was_changed_is_told():
    verdict = judge("6.2", lambda dlogp, probs: dlogp.div_(probs))
    assert verdict.status == "not yet right"
    assert "changed its input" in verdict.message


def test_shapes_that_do_not_fit_are_told_without_all_the_numbers():
    verdict = judge("6.6", lambda dlogits, h, W2: (dlogits @ W2.reshape(-1, len(h)), 0, 0))
    assert "h of shape (2, 3)" in verdict.message or "h of shape (3, 3)" in verdict.message
    verdict = judge("6.13", lambda dpre, emb, W1: (emb @ dpre, 0, 0))
    assert "Write the shapes beside the names" in verdict.message
    assert "emb of shape" in verdict.message
    assert "tensor(" not in verdict.message


def test_one_thing_in_place_of_three_is_told():
    assert (
        "a tuple of 3 was expected: (dgain, dbias, dnorm)" in judge("6.8", lambda *_: torch.ones(3)).message
    )
    assert "returned 2 things; 3 were expected: (dh, dW2, db2)" in judge("6.6", lambda *_: (1, 2)).message
    assert "a float; a tensor of shape (3, 3) was expected" in judge("6.6", lambda *_: (1.0, 2, 3)).message


@pytest.mark.parametrize("number", OTHERWISE)
def test_no_problem_has_the_sizes_of_the_lessons_own_tensors(number):
    sizes = set()

    def answer(*inputs):
        sizes.update(size for x in inputs if isinstance(x, torch.Tensor) for size in x.shape)
        return OTHERWISE[number](*inputs)

    assert judge(number, answer).status == "right"
    assert sizes
    assert not sizes & LESSONS_OWN


def test_a_small_gradient_has_to_be_right_too():
    small = torch.full((5,), 2e-9, dtype=torch.float64)
    assert torch.allclose(torch.zeros_like(small), small)  # and this is why it is not asked
    assert relative_error(torch.zeros_like(small), small) == 1
    assert relative_error(small.clone(), small) == 0
    assert relative_error(small[:4], small) == float("inf")
    assert relative_error(small * float("nan"), small) == float("inf")


def test_a_gradient_that_is_zero_is_measured_by_what_was_summed():
    summed = torch.full((5,), 10.0, dtype=torch.float64)
    rounding, none = torch.full_like(summed, 1e-16), torch.zeros_like(summed)
    assert relative_error(none, rounding, summed) < 1e-15
    assert relative_error(torch.full_like(summed, 1e-3), rounding, summed) == pytest.approx(1e-4)


def test_the_truth_is_autograds():
    x, back = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0])
    assert pulled_back(lambda x: x**2, back, x).tolist() == [6, 20]
    assert [g.tolist() for g in pulled_back(lambda x, y: x * y, back, x, 10 * x)] == [[30, 100], [3, 10]]


# 6.17


def test_a_vote_with_half_the_move_is_told_so_and_a_tensor_of_one_number_is_a_number():
    def halves(f, x, place, h=1e-6):
        return nudged_in_place(f, x, place, h / 2)

    assert "h / 2 to each side" in judge("6.17", halves).message

    def in_a_tensor(f, x, place, h=1e-6):
        return torch.tensor(nudged_in_place(f, x, place, h), dtype=torch.float64)

    assert judge("6.17", in_a_tensor).status == "right"


# 6.18


def test_a_table_of_counts_that_passes_is_told_that_it_has_no_gradient():
    assert "no gradient to speak of" in lesson6_work.praise(2.327)
    assert "no gradient to speak of" not in lesson6_work.praise(2.356)
    assert "Knowing nothing" in lesson6_work.way_on(12.7, 12.7)
    assert "rate that is too high" in lesson6_work.way_on(12.7, 12.7)


def counting(X, Y):
    """The network that counting is: log-probabilities by the last letter."""
    counts = torch.ones(27, 27).index_put_((X[:, 2], Y), torch.ones(len(Y)), accumulate=True)
    logp = (counts / counts.sum(1, keepdim=True)).log()
    return lambda contexts: logp[contexts[:, 2]]


def test_training_is_judged_by_the_loss_alone_once_no_gradient_is_in_sight(monkeypatch):
    assert "2.575 on dev" in judge("6.18", counting).message
    monkeypatch.setattr(lesson6_work, "BELOW", 2.58)
    assert judge("6.18", counting).status == "right"


def test_parameters_that_require_a_gradient_are_refused_even_where_no_graph_is_kept(monkeypatch):
    monkeypatch.setattr(lesson6_work, "BELOW", 2.58)
    one = torch.ones(27, requires_grad=True)

    def in_training(X, Y):
        with torch.no_grad():
            _ = one * 2
        return counting(X, Y)

    def in_use(X, Y):
        network = counting(X, Y)

        @torch.no_grad()
        def asked(contexts):
            return network(contexts) * one

        return asked

    for answer in (in_training, in_use):
        verdict = judge("6.18", answer)
        assert verdict.status == "not yet right"
        assert "requires a gradient" in verdict.message


def test_a_network_that_has_seen_the_answers_is_told(monkeypatch):
    monkeypatch.setattr(lesson6_work, "BELOW", 4.0)
    X, Y = lesson6_work.data(3)[1]

    def trained(*_):
        counts = torch.ones(27, 27, 27, 27).index_put_(
            (X[:, 0], X[:, 1], X[:, 2], Y), torch.tensor(9.0), accumulate=True
        )
        return lambda contexts: counts[tuple(contexts.T)].log()

    assert "Has it been shown the dev names?" in judge("6.18", trained).message
