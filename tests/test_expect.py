"""What came back against what was wanted: exact about shape and dtype, fair about rounding, clear about where."""

import numpy as np
import pytest
import torch
from torch import tensor

from lessons_lib.exercises import expect
from lessons_lib.exercises.expect import NotYet, brief, expect_number, expect_numbers, expect_tensor

INF, NAN = float("inf"), float("nan")
HALVES = tensor([[0.5, 0.5], [1.0, 0.0]])


def said(compare, *arguments, **options) -> str:
    with pytest.raises(NotYet) as seen:
        compare(*arguments, "f()", **options)
    return str(seen.value)


@pytest.mark.parametrize("wrong", ["1.0", [1.0], True, None, 1j, NAN, INF, -INF, 1.1, 10**400, -(10**400)])
def test_a_number_is_a_real_one_and_near(wrong):
    said(expect_number, wrong, 1.0)


def test_a_finite_number_is_not_near_infinity():
    said(expect_number, 1.0, INF)
    expect_number(INF, INF, "f()")
    expect_number(1, 1.0, "f()")


@pytest.mark.parametrize("single", [tensor(2.0), tensor([2.0]), np.float32(2), np.array(2.0)])
def test_a_number_inside_a_tensor_or_array_is_to_be_taken_out(single):
    assert "it should be one number (a float). Take the number out with .item()." in said(
        expect_number, single, 2.0
    )
    assert ".item()" not in said(expect_number, tensor([2.0, 2.0]), 2.0)


def test_two_numbers_that_differ_are_shown_apart():
    assert said(expect_number, 1.00001, 1.0) == "f() returned 1.00001; 1 was expected."
    assert said(expect_number, 1.0 + 1e-8, 1.0, tolerance=1e-9) == "f() returned 1.00000001; 1 was expected."
    assert (
        said(expect_number, 1.0 + 2e-16, 1.0, tolerance=0)
        == "f() returned 1.0000000000000002; 1.0 was expected."
    )


def test_a_known_mistake_is_named():
    assert said(expect_number, -2.0, 2.0, mistakes={-2.0: "The sign."}).endswith("2 was expected. The sign.")
    assert said(
        expect_numbers, [2.0, 1.0], [1.0, 2.0], mistakes=[([2.0], "No."), ([2.0, 1.0], "Turned round.")]
    ) == ("f() returned [2, 1]; [1, 2] was expected. Turned round.")


@pytest.mark.parametrize(
    "wrong", [[1.0], [1.0, 2.1], 1.0, [1.0, None], [1.0, True], [1.0, NAN], tensor([1.0, 2.0])]
)
def test_a_list_of_numbers_is_a_list_and_has_them_all(wrong):
    said(expect_numbers, wrong, [1.0, 2.0])
    expect_numbers((1.0, 2), [1.0, 2.0], "f()")


def test_a_long_list_is_told_by_its_first_wrong_place():
    wanted = [float(i) for i in range(100)]
    assert said(expect_numbers, [*wanted[:40], 0.0, *wanted[41:]], wanted) == (
        "f() returned 0 at place 40; 40 was expected."
    )


@pytest.mark.parametrize(
    ("got", "message"),
    [
        ([[0.5, 0.5], [1.0, 0.0]], "returned [[0.5, 0.5], [1.0, 0.0]], a list; a tensor of shape (2, 2) was expected."),
        (HALVES.numpy(), "returned array([[0.5, 0.5], [1, 0]]), an ndarray; a tensor"),
        (0.5, "returned 0.5, a float; a tensor"),
        (tensor(0.5), "returned a tensor of shape (); shape (2, 2) was expected, and nothing is broadcast here."),
        (HALVES[:1], "returned a tensor of shape (1, 2); shape (2, 2) was expected"),
        (HALVES[None], "shape (2, 2) was expected, and nothing is broadcast here. The numbers are right: only dim"),
        (HALVES.double(), "a tensor of float64; a tensor of float32 was expected. The numbers themselves are right."),
        ((HALVES + 1).double(), "returned a tensor of float64; a tensor of float32 was expected."),
        (HALVES.long(), "returned a tensor of int64; a tensor of float32 was expected."),
        (
            HALVES + tensor([[0, 0], [1e-4, 0]]),
            "returned [[0.5, 0.5], [1, 0]]; [[0.5, 0.5], [1, 0]] was expected. "
            "The first difference is at [1, 0]: 1.0001, not 1 (1 of 4 numbers differ).",
        ),
        (HALVES * NAN, "The first difference is at [0, 0]: nan, not 0.5 (4 of 4 numbers differ)."),
    ],
)  # fmt: skip
def test_a_tensor_has_the_exact_shape_dtype_and_numbers(got, message):
    assert message in said(expect_tensor, got, HALVES)


def test_a_wrong_shape_is_never_broadcast_into_a_pass():
    for wrong in (tensor(1.0), torch.ones(1), torch.ones(3, 1), torch.ones(1, 3), torch.ones(1, 3, 3)):
        assert "was expected, and nothing is broadcast here." in said(expect_tensor, wrong, torch.ones(3, 3))
    assert "shape (0,) was expected" in said(expect_tensor, torch.ones(1), torch.ones(0))


def test_what_agrees_to_rounding_passes_and_requires_grad_is_no_obstacle():
    expect_tensor(HALVES + 1e-7, HALVES, "f()")
    expect_tensor(HALVES.clone().requires_grad_() * 1, HALVES, "f()")
    expect_tensor(torch.nn.Parameter(HALVES), HALVES.clone().requires_grad_(), "f()")
    expect_tensor(HALVES.t().contiguous().t(), HALVES, "f()")
    expect_tensor(torch.ones(0, 3), torch.ones(0, 3), "f()")
    expect_tensor(HALVES.to_sparse(), HALVES, "f()")
    expect_tensor(HALVES + 0.1, HALVES, "f()", tolerance=0.2)


def test_double_precision_is_compared_in_double_precision():
    wanted = tensor([1.0], dtype=torch.float64)
    assert "at [0]: 1.0000000001, not 1." in said(expect_tensor, wanted + 1e-10, wanted, tolerance=1e-12)


def test_nan_and_infinity_agree_with_themselves_only():
    wanted = tensor([NAN, INF, -INF, 1.0])
    expect_tensor(wanted.clone(), wanted, "f()")
    for place, value in enumerate([0.0, -INF, 1e30, NAN]):
        wrong = wanted.clone()
        wrong[place] = value
        assert f"The first difference is at [{place}]" in said(expect_tensor, wrong, wanted)


def test_whole_numbers_and_bools_agree_exactly():
    assert "9007199254740993, not 9007199254740992" in said(
        expect_tensor, tensor([2**53 + 1]), tensor([2**53])
    )
    assert "returned [True]; [False] was expected" in said(expect_tensor, tensor([True]), tensor([False]))
    assert "tensor of bool; a tensor of int64" in said(expect_tensor, tensor([True]), tensor([1]))
    expect_tensor(tensor([1 + 1j]), tensor([1 + 1j]), "f()")


def test_a_known_tensor_is_named_whatever_its_shape_and_dtype():
    mistakes = [
        (HALVES.clone(), "Cannot be told from the truth here."),
        (HALVES.t(), "Transposed."),
        (HALVES.sum(1), "Summed."),
    ]
    assert said(expect_tensor, HALVES.t(), HALVES, mistakes=mistakes) == (
        "f() returned [[0.5, 1], [0.5, 0]]; [[0.5, 0.5], [1, 0]] was expected. Transposed."
    )
    assert said(expect_tensor, HALVES.t().double(), HALVES, mistakes=mistakes).endswith("Transposed.")
    assert said(expect_tensor, tensor([1.0, 1.0]), HALVES, mistakes=mistakes).endswith("Summed.")
    assert "numbers themselves are right" in said(expect_tensor, HALVES.double(), HALVES, mistakes=mistakes)
    assert "first difference" in said(expect_tensor, HALVES + 1, HALVES, mistakes=mistakes)


def test_a_large_tensor_is_told_by_its_shape_and_first_difference():
    wanted = torch.zeros(27, 27)
    wrong = wanted.clone()
    wrong[3, 1] = 0.25
    assert said(expect_tensor, wrong, wanted) == (
        "f() returned a tensor of shape (27, 27); another was expected. "
        "The first difference is at [3, 1]: 0.25, not 0 (1 of 729 numbers differ)."
    )


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (HALVES, "tensor([[0.5, 0.5], [1, 0]])"),
        (tensor(1 / 3), "tensor(0.3333)"),
        (torch.zeros(32, 27), "tensor of shape (32, 27)"),
        (torch.zeros(0, 3), "tensor of shape (0, 3)"),
        (np.arange(3), "array([0, 1, 2])"),
        ([HALVES[0], 2], "[tensor([0.5, 0.5]), 2]"),
        ((abs, len), "(abs, len)"),
        ({"a": [0.1, 1 / 3]}, "{'a': [0.1, 0.3333333333333333]}"),
        (list(range(1000)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...]"),
    ],
)
def test_things_are_shown_short_and_readable(thing, text):
    assert brief(thing) == text


def test_nothing_is_shown_at_length():
    for thing in ("a" * 1000, ["a" * 1000] * 20, dict.fromkeys(range(50), HALVES), 10**300):
        assert len(brief(thing)) <= 120


def test_a_long_list_is_not_read_to_its_end():
    class Loud(str):
        def __repr__(self):
            raise AssertionError

    assert brief(["a"] * expect.SMALL + [Loud()]).endswith("...]")
