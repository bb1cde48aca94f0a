"""The checks of lesson 5. Each takes your function, tries it, and says why it matters; `CHECKS` at the end lists them."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

from lessons_lib.diagnostics import examine, verdicts
from lessons_lib.exercises.engine import (
    NotYet,
    call,
    expect_number,
    expect_tensor,
    near,
    show_call,
    within,
)


def last_layer_scale(answer):
    """5.1: last_layer_scale(), a factor for the last layer's weights that makes the network start ignorant."""
    scale = call(answer)
    seen = show_call(answer)
    if isinstance(scale, torch.Tensor) and scale.numel() == 1:
        scale = scale.item()
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not math.isfinite(scale):
        raise NotYet(f"{seen} returned {scale!r}; a finite number is wanted.")
    if scale == 0:
        raise NotYet(
            f"{seen} returned 0. The loss would be ln 27, and the layer below would never get a gradient: see 5.2."
        )
    if scale < 0:
        raise NotYet(
            f"{seen} returned {scale:g}. The sign does no harm, but a scale is positive: take {-scale:g}."
        )
    for seed in (1, 2, 3):
        generator = torch.Generator().manual_seed(seed)
        C, W1 = torch.randn(27, 10, generator=generator), torch.randn(30, 200, generator=generator)
        W2 = torch.randn(200, 27, generator=generator)
        letters = torch.randint(27, (512, 4), generator=generator)
        h = C[letters[:, :3]].view(-1, 30).matmul(W1).tanh()
        loss = F.cross_entropy(h @ (W2 * scale), letters[:, 3]).item()
        above = loss - math.log(27)
        if abs(above) > 0.05:
            raise NotYet(
                f"{seen} returned {scale:g}. The loss at step 0 is then {loss:.2f}, still {above:.2f} nats above ln 27 = {math.log(27):.2f}."
            )
        if scale < 1e-6:
            raise NotYet(
                f"{seen} returned {scale:g}, next to nothing: what the layer below is sent is multiplied by it, too."
            )
    return "One factor, and the steep first drop of the loss curve is gone: training begins with learning."


def end_of_zeros(answer):
    """5.2: end_of_zeros(Y), the entropy of the letters in Y."""
    for letters in ([0, 0, 1, 1], [0, 0, 0, 1], [1, 2, 3, 4, 4, 5], [0, 13, 1, 1, 0, 26, 0, 5, 13, 0]):
        Y = torch.tensor(letters)
        shares = torch.bincount(Y) / len(Y)
        shares = shares[shares > 0].double()
        wanted = -(shares * shares.log()).sum().item()
        mistakes = {
            math.log(27): "That is the loss of knowing nothing, where it starts; one tensor can learn.",
            wanted / math.log(2): "That is in bits; nats use the natural logarithm.",
            -wanted: "The sign: a loss is positive.",
            math.log(len(shares)): "That takes the letters that occur as equally frequent.",
            -shares.log()
            .mean()
            .item(): "The mean is over the letters of the alphabet; it should be over the examples.",
            -math.log(shares.max().item()): "That is the cost of the commonest letter; the others come, too.",
            0.0: "A loss of 0 would take a model that knows each answer; this one says the same everywhere.",
        }
        mistakes = {wrong: name for wrong, name in mistakes.items() if not near(wrong, wanted, 1e-4)}
        got = call(answer, Y)
        seen = show_call(answer, Y)
        if isinstance(got, float) and math.isnan(got):
            raise NotYet(
                f"{seen} returned nan: some letters never occur, and 0 times the log of 0 is nan. Leave them out."
            )
        expect_number(got, wanted, seen, mistakes, tolerance=1e-5)
    return (
        "A network whose layers pass nothing on is a table of letter frequencies, however many layers it has."
    )


def dead_units(answer):
    """5.3: dead_units(h), the units beyond 0.99 for every example."""
    generator = torch.Generator().manual_seed(4)
    random = (3 * torch.randn(6, 5, generator=generator)).tanh()
    random[:, 1] = -1.0
    random[:, 4] = torch.tensor([0.995, -0.995, 1.0, -1.0, 0.999, -0.992])
    cases = [
        torch.tensor([[1.0, 0.5], [0.995, 1.0], [0.992, 0.3]]),
        torch.tensor([[1.0, -1.0, 0.2], [-1.0, -0.999, 1.0], [0.98, -1.0, 1.0]]),
        random,
    ]
    for h in cases:
        flat = h.abs() > 0.99
        mistakes = [
            (flat, "That is for each output; a unit is a column, so the axis of the examples has to go."),
            (
                flat.any(0),
                "One saturated example is enough for yours; a dead unit is saturated for every one.",
            ),
            (flat.all(1), "Those are the examples that saturate every unit: the wrong axis."),
            ((h > 0.99).all(0), "Yours looks at +1 only; -1 is as flat."),
            (~flat.all(0), "That is the other way round: True should mean dead."),
            (h.mean(0).abs() > 0.99, "The mean over the examples hides a unit that jumps between +1 and -1."),
            ((h.abs() > 0.9).all(0), "The limit is 0.99."),
            (
                flat.all(0).nonzero().squeeze(1),
                "Those are the numbers of the units; a bool for each was asked.",
            ),
        ]
        expect_tensor(call(answer, h), flat.all(0), show_call(answer, h), mistakes)
    return "A dead unit gets no gradient from any example: for this batch it might as well not be there."


def weights(answer):
    """5.4: weights(fan_in, fan_out, gain, generator), normal numbers with std gain / sqrt(fan_in)."""
    for fan_in, fan_out, gain in ((400, 300, 1.0), (900, 100, 5 / 3), (100, 1000, 0.5)):
        seen = f"{answer.__name__}({fan_in}, {fan_out}, {gain:.4g}, generator)"
        got = call(answer, fan_in, fan_out, gain, torch.Generator().manual_seed(1))
        if not isinstance(got, torch.Tensor):
            raise NotYet(f"{seen} returned a {type(got).__name__}; a tensor was expected.")
        if got.shape != (fan_in, fan_out):
            turned = " That is the way nn.Linear keeps them; here x @ W has to work." * (
                got.shape == (fan_out, fan_in)
            )
            raise NotYet(
                f"{seen} returned a tensor of shape {tuple(got.shape)}; {(fan_in, fan_out)} was expected.{turned}"
            )
        if not got.is_floating_point():
            raise NotYet(f"{seen} returned {got.dtype}; floats were expected.")
        wanted, found = gain / math.sqrt(fan_in), got.std().item()
        mistakes = {
            math.sqrt(gain / fan_in): "The gain is under the root; it stands outside.",
            gain / math.sqrt(fan_out): "That is the fan-out: what adds up is the number of inputs.",
            gain / fan_in: "Divided by the fan-in itself; it should be its square root.",
            gain * math.sqrt(fan_in): "Multiplied by the root; it should be divided.",
            gain: "The gain is there, the fan-in is not.",
            1 / math.sqrt(fan_in): "The fan-in is there, the gain is not.",
            wanted / math.sqrt(3): "A uniform distribution up to a has a std of a / sqrt(3).",
        }
        if not near(found / wanted, 1.0, 0.02):
            named = next((name for wrong, name in mistakes.items() if near(found / wrong, 1.0, 0.02)), "")
            raise NotYet(f"{seen} has a std of {found:.4f}; {wanted:.4f} was expected. {named}".rstrip())
        if abs(got.mean().item()) > 0.02 * wanted:
            raise NotYet(f"{seen} has a mean of {got.mean().item():.3g}; it should be close to 0.")
        beyond = (got.abs() > 2 * wanted).float().mean().item()
        if not 0.035 < beyond < 0.056:
            raise NotYet(
                f"{seen} has the right std, but {beyond:.1%} of its numbers are beyond two of them; of normal numbers 4.6% are."
            )
        again = call(answer, fan_in, fan_out, gain, torch.Generator().manual_seed(1))
        other = call(answer, fan_in, fan_out, gain, torch.Generator().manual_seed(2))
        if not torch.equal(got, again) or torch.equal(got, other):
            raise NotYet(
                f"{seen} does not follow the generator: the same seed should give the same numbers, and another seed others."
            )
    return "With it a sum is as spread out as its inputs, however many they are. That is most of what initialization is."


def next_std(answer):
    """5.5: next_std(std, gain), the std of tanh(gain * std * z)."""
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    density = (-z * z / 2).exp()
    density /= density.sum()
    for std, gain in ((1.0, 1.0), (0.1, 0.5), (0.65, 5 / 3), (0.3, 3.0), (1.0, 5.0)):
        squares = (density * (gain * std * z).tanh() ** 2).sum().item()
        wanted = math.sqrt(squares)
        mistakes = {
            math.tanh(
                gain * std
            ): "That is tanh of the spread; a spread does not pass through tanh as a number does.",
            squares: "That is the variance; the spread is its root.",
            gain * std: "Without the tanh: that is what goes into it.",
            math.sqrt(
                (density * (gain * z).tanh() ** 2).sum().item()
            ): "The std is not in it: z has to be scaled by both.",
            math.sqrt(
                (density * (std * z).tanh() ** 2).sum().item()
            ): "The gain is not in it: z has to be scaled by both.",
            (density * (gain * std * z).tanh().abs())
            .sum()
            .item(): "That is the mean of the absolute values.",
        }
        mistakes = {wrong: name for wrong, name in mistakes.items() if not near(wrong / wanted, 1.0, 0.03)}
        got = call(answer, std, gain)
        expect_number(got, wanted, show_call(answer, std, gain), mistakes, tolerance=0.01 * min(1.0, wanted))
    return "Apply it to its own result again and again, and you have a network of any depth in one number."


@within(30)
def healthy(answer):
    """5.6: healthy(depth), a network of `depth` tanh layers that passes all bands without normalisation."""
    generator = torch.Generator().manual_seed(11)
    letters = torch.randint(27, (512, 4), generator=generator)
    X, Y = letters[:, :3], letters[:, 3]
    for depth in (3, 30):
        seen = show_call(answer, depth)
        model = call(answer, depth)
        if not isinstance(model, nn.Module):
            raise NotYet(f"{seen} returned a {type(model).__name__}; an nn.Module was expected.")
        kinds = [type(module).__name__ for module in model.modules()]
        if normed := [kind for kind in kinds if "Norm" in kind]:
            raise NotYet(f"{seen} contains {normed[0]}. That is part three; here it has to work without.")
        if not kinds.count("Tanh"):
            raise NotYet(f"{seen} contains no nn.Tanh; {depth} of them were expected.")
        try:
            report = examine(model, X, Y, layers=(nn.Tanh,))
        except Exception as error:
            raise NotYet(
                f"{seen} did not take a batch of shape {tuple(X.shape)}: {type(error).__name__}: {error}"
            ) from error
        if len(report.layers) != depth:
            raise NotYet(f"{seen} runs {len(report.layers)} nn.Tanh layers; {depth} were expected.")
        if not abs(report.loss - math.log(27)) < 0.1:
            raise NotYet(
                f"{seen} has a loss of {report.loss:.2f} at step 0; ln 27 is {math.log(27):.2f}. The last layer?"
            )
        narrow = min(layer.shape[-1] for layer in report.layers)
        if narrow < 50:
            raise NotYet(f"{seen} has a layer of {narrow} units; take 50 or more, or the spreads are chance.")
        for complaint in verdicts(report):
            raise NotYet(f"{seen}: {complaint}")
    return "You have found the narrow strip between fading and exploding. BatchNorm makes it wide."


def batch_norm(answer):
    """5.7: batch_norm(x, gain, bias, eps), forward, as torch does it in training."""
    generator = torch.Generator().manual_seed(2)
    for shape, eps in (((4, 3), 1e-5), ((32, 6), 1e-5), ((5, 5), 0.5), ((8, 4), 0.1)):
        x = torch.randn(*shape, generator=generator, dtype=torch.float64) * 3 + 1
        gain = torch.rand(shape[1], generator=generator, dtype=torch.float64) + 0.5
        bias = torch.randn(shape[1], generator=generator, dtype=torch.float64)
        mean, variance = x.mean(0), x.var(0, unbiased=False)
        centred = x - mean
        wanted = gain * centred / torch.sqrt(variance + eps) + bias
        rows = x - x.mean(1, keepdim=True)
        over_units = rows / torch.sqrt(x.var(1, unbiased=False, keepdim=True) + eps) * gain + bias
        mistakes = [
            (
                gain * centred / torch.sqrt(x.var(0) + eps) + bias,
                "Your variance divides by n - 1; here it is n.",
            ),
            (
                gain * centred / (variance.sqrt() + eps) + bias,
                "eps is in the wrong place: it is added under the root.",
            ),
            (gain * centred / variance.sqrt() + bias, "eps is missing."),
            (
                gain * centred / (x.std(0) + eps) + bias,
                "Two things: your std divides by n - 1, and eps is added under the root.",
            ),
            (gain * centred / x.std(0) + bias, "Two things: your std divides by n - 1, and eps is missing."),
            (gain * centred / (variance + eps) + bias, "Divided by the variance; it should be by its root."),
            (centred / torch.sqrt(variance + eps), "The gain and the bias are missing."),
            (
                gain * (centred / torch.sqrt(variance + eps) + bias),
                "The bias comes after the gain, and is not multiplied by it.",
            ),
            (gain * x / torch.sqrt(variance + eps) + bias, "The mean is not subtracted."),
            (
                over_units,
                "Your mean is over the units of one example: the wrong axis for this layer (it is LayerNorm).",
            ),
        ]
        got = call(answer, x, gain, bias, eps)
        seen = f"{answer.__name__}(x of shape {shape}, gain, bias, eps={eps:g})"
        expect_tensor(got, wanted, seen, mistakes, tolerance=1e-7)
    return "Four lines, and the most cited layer of its decade. Lesson 6 takes its gradient by hand."


def update_running(answer):
    """5.8: update_running(running_mean, running_var, x, momentum), as torch keeps them."""
    generator = torch.Generator().manual_seed(3)
    for shape, momentum in (((4, 3), 0.1), ((32, 5), 0.1), ((6, 2), 0.5), ((3, 2), 1.0), ((8, 3), 0.02)):
        x = torch.randn(*shape, generator=generator, dtype=torch.float64) * 2 + 3
        old_mean = torch.randn(shape[1], generator=generator, dtype=torch.float64)
        old_var = torch.rand(shape[1], generator=generator, dtype=torch.float64) + 0.5
        seen = f"{answer.__name__}(running_mean, running_var, x of shape {shape}, momentum={momentum:g})"
        got = call(answer, old_mean, old_var, x, momentum)
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise NotYet(f"{seen} returned a {type(got).__name__}; a pair was expected, mean and variance.")

        def moved(old, new, share=momentum):
            return (1 - share) * old + share * new

        mean, variance = moved(old_mean, x.mean(0)), moved(old_var, x.var(0))
        of_mean = [
            (
                moved(old_mean, x.mean(0), 1 - momentum),
                "Old and new are swapped: momentum is the weight of the new.",
            ),
            (x.mean(0), "That is the mean of this batch alone; most of the old should stay."),
            (
                old_mean + momentum * x.mean(0),
                "The old mean keeps all of its weight: multiply it by 1 - momentum.",
            ),
        ]
        if x.shape[0] == x.shape[1]:
            of_mean.append((moved(old_mean, x.mean(1)), "The wrong axis."))
        of_variance = [
            (
                moved(old_var, x.var(0), 1 - momentum),
                "Old and new are swapped: momentum is the weight of the new.",
            ),
            (
                moved(old_var, x.var(0, unbiased=False)),
                "This variance divides by n; the one that is kept divides by n - 1.",
            ),
            (moved(old_var.sqrt(), x.std(0)) ** 2, "What is averaged is the variance, not the std."),
            (moved(old_var, x.std(0)), "That is the std; the variance is kept."),
            (x.var(0), "That is the variance of this batch alone; most of the old should stay."),
        ]
        expect_tensor(got[0], mean, f"The mean from {seen}", of_mean, tolerance=1e-8)
        expect_tensor(got[1], variance, f"The variance from {seen}", of_variance, tolerance=1e-8)
    return "No gradient moves these two, and without them the model is worth nothing the day it is used."


def fold(answer):
    """5.9: fold(linear, norm), one nn.Linear for the two, in eval mode."""
    for seed, (fan_in, fan_out, bias) in enumerate(((3, 3, True), (4, 6, True), (5, 2, False))):
        generator = torch.Generator().manual_seed(seed)
        linear = nn.Linear(fan_in, fan_out, bias=bias, dtype=torch.float64)
        norm = nn.BatchNorm1d(fan_out, eps=0.01, dtype=torch.float64).eval()
        with torch.no_grad():
            for tensor in (*linear.parameters(), norm.weight, norm.bias, norm.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=torch.float64))
            norm.running_var.copy_(torch.rand(fan_out, generator=generator, dtype=torch.float64) + 0.2)
        before = copy.deepcopy((linear.state_dict(), norm.state_dict()))
        x = torch.randn(7, fan_in, generator=generator, dtype=torch.float64)
        wanted = norm(linear(x)).detach()
        seen = f"{answer.__name__}(nn.Linear({fan_in}, {fan_out}, bias={bias}), nn.BatchNorm1d({fan_out}))"
        got = call(answer, linear, norm)
        for (name, old), module in zip(
            [*before[0].items(), *before[1].items()],
            [linear] * len(before[0]) + [norm] * len(before[1]),
            strict=True,
        ):
            if not torch.equal(module.state_dict()[name], old):
                raise NotYet(f"{seen} changed the {name} of the layer it was given. Make a new nn.Linear.")
        if not isinstance(got, nn.Linear):
            raise NotYet(f"{seen} returned a {type(got).__name__}; an nn.Linear was expected.")
        if got is linear or (got.in_features, got.out_features) != (fan_in, fan_out) or got.bias is None:
            raise NotYet(
                f"{seen} returned {got}; a new nn.Linear({fan_in}, {fan_out}) with a bias was expected."
            )
        if got.weight.dtype != linear.weight.dtype:
            raise NotYet(
                f"{seen} returned weights of {got.weight.dtype}; they should be of the type they came in, {linear.weight.dtype}."
            )
        mistakes = [(outputs, name) for outputs, name in wrongly_folded(linear, norm, x)]
        expect_tensor(got(x), wanted, f"The layer from {seen}", mistakes, tolerance=1e-6)
    return "In use the norm costs nothing at all; this is how networks are prepared for phones."


def wrongly_folded(linear, norm, x):
    """Outputs of the layers that the usual mistakes make, each with its name."""
    with torch.no_grad():
        W, b = (
            linear.weight,
            torch.zeros(linear.out_features, dtype=x.dtype) if linear.bias is None else linear.bias,
        )
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * factor
        right = x @ (W * factor[:, None]).T
        if W.shape[0] == W.shape[1]:
            yield (
                x @ (W * factor).T + b * factor + shift,
                "The rows of the weight belong to the outputs: factor[:, None].",
            )
        yield right + b + shift, "The old bias is not scaled: BatchNorm sees the sum with the bias in it."
        yield right + shift, "The old bias is missing."
        yield right + b * factor + norm.bias, "The running mean is missing."
        yield right + b * factor + norm.bias - norm.running_mean, "The running mean is not scaled."
        yield right + b * factor - norm.running_mean * factor, "The bias of the norm is missing."
        exact = norm.weight / norm.running_var.sqrt()
        yield (
            x @ (W * exact[:, None]).T + b * exact + norm.bias - norm.running_mean * exact,
            "eps is missing: it is added to the variance here, too.",
        )
        by_variance = norm.weight / (norm.running_var + norm.eps)
        yield (
            x @ (W * by_variance[:, None]).T + b * by_variance + norm.bias - norm.running_mean * by_variance,
            "Divided by the variance; it should be by its root.",
        )
        bare = 1 / torch.sqrt(norm.running_var + norm.eps)
        yield (
            x @ (W * bare[:, None]).T + b * bare + norm.bias - norm.running_mean * bare,
            "The gain of the norm is missing: it is called weight.",
        )
        yield x @ W.T + b, "That is the old layer: the norm is not in it."


def clip(answer):
    """5.10: clip(gradients, limit), one factor for all."""
    cases = [
        ([[3.0, 4.0]], 1.0),
        ([[0.3, 0.4]], 1.0),
        ([[3.0], [4.0]], 2.5),
        ([[0.1, -0.2], [5.0, 0.0], [-2.0, 1.0]], 1.5),
        ([[0.0, 0.0], [0.0]], 1.0),
    ]
    for values, limit in cases:
        gradients = [torch.tensor(v, dtype=torch.float64) for v in values]
        seen = show_call(answer, gradients, limit)
        got = call(answer, gradients, limit)
        if not isinstance(got, list | tuple) or len(got) != len(gradients):
            raise NotYet(
                f"{seen} returned a {type(got).__name__}; a list of {len(gradients)} tensors was expected."
            )
        length = math.sqrt(sum((g**2).sum().item() for g in gradients))
        factor = min(1.0, limit / length) if length else 1.0
        for place, gradient in enumerate(gradients):
            own = gradient.norm().item()
            mistakes = [
                (
                    gradient * min(1.0, limit / own if own else 1.0),
                    "Each tensor is clipped on its own; together they are one vector.",
                ),
                (
                    gradient.clamp(-limit, limit),
                    "Single numbers were cut off, and the direction has changed. Multiply all by one factor.",
                ),
                (
                    gradient * (limit / length if length else 1.0),
                    "A short gradient should stay as it is; yours was stretched.",
                ),
                (
                    gradient * min(1.0, limit / length**2 if length else 1.0),
                    "That divides by the sum of squares; the length is its root.",
                ),
                (gradient / (length or 1.0), "Scaled to length 1; the limit is not in it."),
                (gradient, "It is longer than the limit, and nothing was done."),
            ]
            if isinstance(got[place], torch.Tensor) and got[place].isnan().any():
                raise NotYet(
                    f"{seen} returned nan: where all gradients are 0, the length is 0, and there is nothing to divide."
                )
            expect_tensor(
                got[place], gradient * factor, f"Tensor {place} from {seen}", mistakes, tolerance=1e-5
            )
    return "The direction is what the gradient is for; how far to follow it is for us to say."


CHECKS = {
    "5.1": last_layer_scale,
    "5.2": end_of_zeros,
    "5.3": dead_units,
    "5.4": weights,
    "5.5": next_std,
    "5.6": healthy,
    "5.7": batch_norm,
    "5.8": update_running,
    "5.9": fold,
    "5.10": clip,
}
