"""A GPT's weights under nanoGPT's names: read by a network written here, from nothing but those names, they give equal logits."""

import math
import re

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F

from lessons_lib.nanogpt import from_nanogpt, to_nanogpt
from lessons_lib.transformer import GPT


def trained(dtype=torch.float32, seed=0, **settings):
    """As after training: gains, biases and all else are anything but their first values."""
    settings = {"block": 10, "width": 24, "heads": 3, "layers": 2} | settings
    generator = torch.Generator().manual_seed(seed)
    model = GPT(13, **settings).to(dtype).eval()
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(dtype)
            weight.copy_(weight + 0.2 * noise)
    return model


def outside(state, tokens, heads):
    """nanoGPT's forward pass over (B, T) tokens, from functions alone: it knows the names and nothing of our classes."""

    def linear(x, name):
        return F.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state.get(f"{name}.bias"), eps=1e-5)

    B, T = tokens.shape
    x = state["transformer.wte.weight"][tokens] + state["transformer.wpe.weight"][:T]
    C = x.shape[-1]
    layer = 0
    while f"transformer.h.{layer}.ln_1.weight" in state:
        at = f"transformer.h.{layer}"
        q, k, v = linear(norm(x, f"{at}.ln_1"), f"{at}.attn.c_attn").split(C, dim=2)
        q, k, v = (one.view(B, T, heads, C // heads).transpose(1, 2) for one in (q, k, v))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(C // heads)
        scores = scores.masked_fill(torch.tril(torch.ones(T, T)) == 0, -math.inf)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(B, T, C)
        x = x + linear(mixed, f"{at}.attn.c_proj")
        inside = linear(norm(x, f"{at}.ln_2"), f"{at}.mlp.c_fc")
        inside = 0.5 * inside * (1 + torch.erf(inside / math.sqrt(2)))  # GELU, exact
        x = x + linear(inside, f"{at}.mlp.c_proj")
        layer += 1
    return norm(x, "transformer.ln_f") @ state["lm_head.weight"].T


def some_tokens(B=4, T=10, size=13, seed=1):
    return torch.randint(size, (B, T), generator=torch.Generator().manual_seed(seed))


# Out.


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["float32", "float64"]
)
@pytest.mark.parametrize(("heads", "layers", "T"), [(3, 2, 10), (1, 1, 7), (8, 3, 1)])
@torch.no_grad()
def test_a_network_that_knows_only_the_names_gives_equal_logits(heads, layers, T, dtype, tolerance):
    model = trained(dtype, heads=heads, layers=layers)
    tokens = some_tokens(T=T)
    found, expected = outside(to_nanogpt(model), tokens, heads), model(tokens)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * float(expected.abs().max()))


def test_the_names_and_shapes_are_nanogpts():
    state = to_nanogpt(trained(layers=1))
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        "transformer.wte.weight": (13, 24),
        "transformer.wpe.weight": (10, 24),
        "transformer.h.0.ln_1.weight": (24,),
        "transformer.h.0.ln_1.bias": (24,),
        "transformer.h.0.attn.c_attn.weight": (72, 24),
        "transformer.h.0.attn.c_attn.bias": (72,),
        "transformer.h.0.attn.c_proj.weight": (24, 24),
        "transformer.h.0.attn.c_proj.bias": (24,),
        "transformer.h.0.ln_2.weight": (24,),
        "transformer.h.0.ln_2.bias": (24,),
        "transformer.h.0.mlp.c_fc.weight": (96, 24),
        "transformer.h.0.mlp.c_fc.bias": (96,),
        "transformer.h.0.mlp.c_proj.weight": (24, 96),
        "transformer.h.0.mlp.c_proj.bias": (24,),
        "transformer.ln_f.weight": (24,),
        "transformer.ln_f.bias": (24,),
        "lm_head.weight": (13, 24),
    }


def test_the_names_of_eleven_layers_are_told_apart():
    model = trained(layers=11, width=6)
    torch.testing.assert_close(
        outside(to_nanogpt(model), some_tokens(), 3), model(some_tokens()), rtol=0, atol=1e-4
    )
    assert from_nanogpt(to_nanogpt(model), 3).layers == 11


def test_what_is_written_is_a_copy():
    model = trained()
    before = model(some_tokens())
    for tensor in to_nanogpt(model).values():
        tensor.zero_()
    assert torch.equal(model(some_tokens()), before)


@pytest.mark.parametrize("later", [["rotary"], ["qk_norm"], ["squared"], ["rotary", "squared"]])
def test_parts_that_nanogpt_does_not_know_are_refused_by_name(later):
    with pytest.raises(ValueError, match=f"no place for {' and '.join(later)}: only the plain configuration"):
        to_nanogpt(GPT(13, block=4, width=12, heads=3, layers=1, **dict.fromkeys(later, True)))


@pytest.mark.parametrize("harmless", [{"dropout": 0.3}, {"zero": True}])
def test_what_concerns_training_alone_is_no_hindrance(harmless):
    model = trained(**harmless)
    torch.testing.assert_close(
        outside(to_nanogpt(model), some_tokens(), 3), model(some_tokens()), rtol=0, atol=1e-5
    )


# And back.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_there_and_back_is_the_same_model(dtype):
    model = trained(dtype)
    back = from_nanogpt(to_nanogpt(model), 3)
    assert back.settings == model.settings
    assert all(
        torch.equal(one, other) and one.dtype == other.dtype
        for one, other in zip(model.state_dict().values(), back.state_dict().values(), strict=True)
    )
    assert torch.equal(back.eval()(some_tokens()), model(some_tokens()))


def test_it_survives_a_file_of_safetensors(tmp_path):
    model = trained()
    safetensors.torch.save_file(to_nanogpt(model), tmp_path / "gpt.safetensors")
    back = from_nanogpt(safetensors.torch.load_file(tmp_path / "gpt.safetensors"), heads=3)
    assert torch.equal(back.eval()(some_tokens()), model(some_tokens()))


def test_the_model_that_comes_back_can_learn_and_leaves_the_state_alone():
    state = to_nanogpt(trained())
    before = {name: tensor.clone() for name, tensor in state.items()}
    model = from_nanogpt(state, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(some_tokens()).square().mean().backward()
    assert all(weight.grad is not None for weight in model.parameters())
    optimizer.step()
    assert not torch.equal(model.tokens.weight, state["transformer.wte.weight"])
    assert before.keys() == state.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.items())


def test_reading_draws_no_random_numbers():
    state = to_nanogpt(trained())
    before = torch.get_rng_state()
    from_nanogpt(state, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_mask_buffers_of_older_versions_are_passed_over():
    model = trained()
    state = to_nanogpt(model)
    for layer in range(2):
        state[f"transformer.h.{layer}.attn.bias"] = torch.tril(torch.ones(10, 10)).view(1, 1, 10, 10)
        state[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    assert torch.equal(from_nanogpt(state, 3).eval()(some_tokens()), model(some_tokens()))


def test_a_state_without_biases_is_the_same_function_with_biases_of_zero():
    state = {name: tensor for name, tensor in to_nanogpt(trained()).items() if not name.endswith(".bias")}
    model = from_nanogpt(state, 3).eval()
    torch.testing.assert_close(model(some_tokens()), outside(state, some_tokens(), 3), rtol=0, atol=1e-5)
    assert set(state) < set(to_nanogpt(model))


# What is refused.


def changed(**changes):
    """A state with some names given another tensor, or none."""
    state = to_nanogpt(trained())
    for name, tensor in changes.items():
        name = name.replace("__", ".")
        if tensor is None:
            del state[name]
        else:
            state[name] = tensor
    return state


@pytest.mark.parametrize(
    "name",
    [
        "transformer.h.1.ln_2.bias",
        "transformer.ln_f.weight",
        "lm_head.weight",
        "transformer.h.0.attn.c_attn.weight",
    ],
)
def test_a_missing_name_is_said(name):
    with pytest.raises(ValueError, match=f"^{re.escape(name)} is missing"):
        from_nanogpt(changed(**{name: None}), 3)


@pytest.mark.parametrize("name", ["transformer.wte.weight", "transformer.wpe.weight"])
def test_without_its_embeddings_it_is_no_state_of_nanogpts(name):
    with pytest.raises(ValueError, match=f"no matrix {re.escape(name)}"):
        from_nanogpt(changed(**{name: None}), 3)
    with pytest.raises(ValueError, match=f"no matrix {re.escape(name)}"):
        from_nanogpt(changed(**{name: torch.zeros(5)}), 3)


def test_a_state_without_blocks_and_one_with_a_gap_are_refused():
    state = to_nanogpt(trained(layers=3))
    without = {name: tensor for name, tensor in state.items() if ".h." not in name}
    with pytest.raises(ValueError, match=r"no blocks, transformer\.h\.0"):
        from_nanogpt(without, 3)
    gap = {name: tensor for name, tensor in state.items() if ".h.1." not in name}
    with pytest.raises(ValueError, match=r"transformer\.h\.1\.\S+ is missing"):
        from_nanogpt(gap, 3)


def test_a_state_that_was_compiled_is_read_by_its_own_names():
    state = changed()
    read = from_nanogpt({f"_orig_mod.{name}": tensor for name, tensor in state.items()}, 3)
    assert all(
        a.equal(b) for a, b in zip(read.parameters(), from_nanogpt(state, 3).parameters(), strict=True)
    )


@pytest.mark.parametrize(
    "name", ["transformer.h.0.attn.rotary.weight", "step", "_orig_mod.transformer.wte.weight"]
)
def test_an_unknown_name_is_said(name):
    with pytest.raises(ValueError, match=f"^{re.escape(name)} has no place"):
        from_nanogpt(changed(**{name: torch.zeros(2)}), 3)


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("transformer.h.0.attn.c_attn.weight", (24, 72), "(72, 24)"),  # as GPT-2's own files have it
        ("transformer.h.1.mlp.c_fc.bias", (24,), "(96,)"),
        ("transformer.wpe.weight", (10, 20), "(10, 24)"),
        ("lm_head.weight", (12, 24), "(13, 24)"),
    ],
)
def test_a_shape_that_does_not_fit_is_said_with_the_one_that_would(name, shape, wanted):
    with pytest.raises(ValueError, match=re.escape(f"{name} should have the shape {wanted}")) as error:
        from_nanogpt(changed(**{name: torch.zeros(shape)}), 3)
    assert str(error.value).endswith(str(shape))


def test_an_output_of_its_own_is_refused():
    with pytest.raises(ValueError, match="one matrix for embedding and output"):
        from_nanogpt(changed(lm_head__weight=torch.zeros(13, 24)), 3)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="cannot be divided among 5 heads"):
        from_nanogpt(to_nanogpt(trained()), 5)


def test_mixed_types_and_whole_numbers_are_refused():
    with pytest.raises(ValueError, match="floats of one type, and these are float32, float64"):
        from_nanogpt(changed(transformer__ln_f__bias=torch.zeros(24, dtype=torch.float64)), 3)
    whole = {name: tensor.long() for name, tensor in to_nanogpt(trained()).items()}
    with pytest.raises(ValueError, match="these are int64"):
        from_nanogpt(whole, 3)
