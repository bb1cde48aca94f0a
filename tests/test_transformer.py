"""The GPT is what torch's own parts make of the same weights, looks at nothing that lies ahead, and remembers with a cache exactly
what it would read again without one."""

import copy
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lessons_lib import checkpoint
from lessons_lib.attention import rotate
from lessons_lib.data import blocks
from lessons_lib.ladder import LETTERS, evaluate
from lessons_lib.nanogpt import to_nanogpt
from lessons_lib.optim import muon
from lessons_lib.reading import NOTHING, Padded, from_reader, letter_loss, mean_letter_loss, whole
from lessons_lib.sampling import choose
from lessons_lib.training import Training
from lessons_lib.transformer import GPT, attention_weights, generate, logit_lens, text_loss, token_loss

FLAGS = ("rotary", "qk_norm", "squared", "zero")
ALL_SETTINGS = [dict(zip(FLAGS, on, strict=True)) for on in itertools.product([False, True], repeat=4)]


def named(on):
    return "+".join(name for name in FLAGS if on.get(name)) or "plain"


every_setting = pytest.mark.parametrize("on", ALL_SETTINGS, ids=named)


def gpt(size=13, seed=0, shaken=True, dtype=torch.float64, **settings):
    """A small model in eval mode; shaken, so that no gain is 1, no bias 0 and no part silent, as after training."""
    torch.manual_seed(seed)
    model = GPT(size, **({"block": 10, "width": 24, "heads": 3, "layers": 2} | settings)).to(dtype).eval()
    generator = torch.Generator().manual_seed(seed)
    if shaken:
        with torch.no_grad():
            for weight in model.parameters():
                noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
                weight.add_(noise.to(dtype), alpha=0.2)
    return model


def some_tokens(*shape, size=13, seed=1):
    return torch.randint(size, shape, generator=torch.Generator().manual_seed(seed))


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def close(found, expected, atol=1e-10):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


# The same as torch's parts.


class Torchs(nn.Module):
    """nn.TransformerEncoderLayer, masked and with LayerNorm first, between an embedding and an output: with the weights of a GPT."""

    def __init__(self, model):
        super().__init__()
        state, C = to_nanogpt(model), model.width
        self.tokens = nn.Parameter(state["transformer.wte.weight"])
        self.places = nn.Parameter(state["transformer.wpe.weight"])
        self.norm = nn.LayerNorm(C)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                C, model.heads, 4 * C, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(model.layers)
        )
        for name, tensor in state.items():
            if name.startswith("transformer.h."):
                _, _, layer, part = name.split(".", 3)
                self.part(int(layer), part).data = tensor
        self.norm.weight.data, self.norm.bias.data = (
            state["transformer.ln_f.weight"],
            state["transformer.ln_f.bias"],
        )

    def part(self, layer, name):
        """The parameter that nanoGPT would call so."""
        theirs = {
            "ln_1.weight": "norm1.weight",
            "ln_1.bias": "norm1.bias",
            "attn.c_attn.weight": "self_attn.in_proj_weight",
            "attn.c_attn.bias": "self_attn.in_proj_bias",
            "attn.c_proj.weight": "self_attn.out_proj.weight",
            "attn.c_proj.bias": "self_attn.out_proj.bias",
            "ln_2.weight": "norm2.weight",
            "ln_2.bias": "norm2.bias",
            "mlp.c_fc.weight": "linear1.weight",
            "mlp.c_fc.bias": "linear1.bias",
            "mlp.c_proj.weight": "linear2.weight",
            "mlp.c_proj.bias": "linear2.bias",
        }
        return dict(self.layers[layer].named_parameters())[theirs[name]]

    def forward(self, tokens):
        T = tokens.shape[1]
        ahead = torch.ones(T, T, dtype=torch.bool).triu(1)  # True: must not be seen
        x = self.tokens[tokens] + self.places[:T]
        for layer in self.layers:
            x = layer(x, src_mask=ahead)
        return self.norm(x) @ self.tokens.T


@pytest.mark.parametrize(("heads", "layers", "T"), [(3, 2, 10), (1, 1, 4), (24, 3, 1), (4, 2, 7)])
def test_the_plain_gpt_is_torchs_encoder_layers_with_a_causal_mask_forward_and_backward(heads, layers, T):
    model = gpt(heads=heads, layers=layers).train()
    theirs, tokens = Torchs(model).train(), some_tokens(5, T)
    close(model(tokens), theirs(tokens), 1e-6)

    answers = some_tokens(5, T, seed=2)
    for network in (model, theirs):
        F.cross_entropy(network(tokens).flatten(0, 1), answers.flatten()).backward()
    gradients = copy.deepcopy(model)
    for gradient, weight in zip(gradients.parameters(), model.parameters(), strict=True):
        gradient.data = weight.grad
    ours = to_nanogpt(gradients)
    for name, gradient in ours.items():
        if name.startswith("transformer.h."):
            _, _, layer, part = name.split(".", 3)
            close(gradient, theirs.part(int(layer), part).grad, 1e-6)
    close(ours["transformer.wte.weight"], theirs.tokens.grad, 1e-6)  # as embedding and as output together
    close(ours["transformer.wpe.weight"], theirs.places.grad, 1e-6)
    close(ours["transformer.ln_f.weight"], theirs.norm.weight.grad, 1e-6)
    assert ours["transformer.wte.weight"].abs().max() > 1e-3


@pytest.mark.parametrize("qk_norm", [False, True])
def test_one_attention_is_scaled_dot_product_attention_over_its_heads(qk_norm):
    attention, x = (
        gpt(qk_norm=qk_norm).blocks[0].attention,
        torch.randn(2, 7, 24, generator=seeded(0)).double(),
    )
    weight, bias = dict(attention.named_parameters()), attention.query_key_value.bias
    q, k, v = (x @ weight["query_key_value.weight"].T + bias).split(24, dim=-1)
    mixed = []
    for head in range(3):  # each by itself, on its own eight numbers
        own = slice(8 * head, 8 * head + 8)
        one, other = q[..., own], k[..., own]
        if qk_norm:
            one, other = (math.sqrt(8) * some / some.norm(dim=-1, keepdim=True) for some in (one, other))
        mixed.append(F.scaled_dot_product_attention(one, other, v[..., own], is_causal=True))
    expected = torch.cat(mixed, dim=-1) @ weight["out.weight"].T + weight["out.bias"]
    close(attention(x), expected, 1e-6)


def test_the_feed_forward_part_bends_by_gelu_or_by_relu_squared():
    x = torch.randn(2, 3, 24, generator=seeded(0)).double()
    for squared, bend in ((False, F.gelu), (True, lambda h: h.clamp(min=0) ** 2)):
        part = gpt(squared=squared).blocks[1].feed_forward
        first, second = (layer for layer in part.modules() if isinstance(layer, nn.Linear))
        assert first.out_features == 4 * 24
        close(part(x), second(bend(first(x))))


# No look ahead.


@every_setting
@torch.no_grad()
def test_no_token_changes_what_is_said_before_it_and_each_changes_what_is_said_from_there_on(on):
    model, tokens = gpt(**on), some_tokens(3, 10)
    before = model(tokens)
    for place in range(10):
        changed = tokens.clone()
        changed[:, place] = (changed[:, place] + 1) % 13
        after = model(changed)
        close(after[:, :place], before[:, :place], 1e-12)
        moved = (after - before)[:, place:].abs().amax(dim=(0, 2))
        assert (moved > 1e-6).all()


@every_setting
def test_no_gradient_comes_back_from_a_later_place(on):
    model, seen = gpt(**on), []
    model.tokens.register_forward_hook(lambda module, given, out: (out.retain_grad(), seen.append(out))[1])
    for place in range(10):
        model(some_tokens(2, 10))[:, place].sum().backward()
        sizes = seen[-1].grad.abs().amax(dim=(0, 2))
        assert (sizes[place + 1 :] == 0).all()
        assert (sizes[: place + 1] > 0).all()


@every_setting
@torch.no_grad()
def test_the_rows_of_a_batch_do_not_see_each_other_and_a_shorter_text_is_read_alike(on):
    model, tokens = gpt(**on), some_tokens(4, 10)
    together = model(tokens)
    for row in range(4):
        close(model(tokens[row : row + 1]), together[row : row + 1])
    for length in (1, 2, 9):
        close(model(tokens[:, :length]), together[:, :length])


# What it cannot read.


@pytest.mark.parametrize(
    ("given", "words"), [(11, "given 11 after 0"), (0, "given 0 after 0"), (40, "given 40 after 0")]
)
def test_a_text_longer_than_the_block_or_empty_is_refused(given, words):
    for on in ({}, {"rotary": True}):
        with pytest.raises(ValueError, match=f"reads 1 to 10 tokens, and was {words}"):
            gpt(**on)(torch.zeros(2, given, dtype=torch.int64))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"heads": 5}, "24 cannot be divided among 5 heads"),
        ({"heads": 8, "rotary": True}, "8 heads, of even size"),
        ({"layers": 0}, "layers must be 1 or more, and it is 0"),
        ({"block": 0}, "block must be 1 or more"),
        ({"size": 0}, "size must be 1 or more"),
        ({"heads": -3}, "heads must be 1 or more, and it is -3"),
        ({"dropout": 1.0}, "this one is 1.0"),
        ({"dropout": -0.1}, "this one is -0.1"),
    ],
)
def test_settings_that_make_no_network_are_refused_by_name(settings, words):
    with pytest.raises(ValueError, match=words):
        GPT(**({"size": 13, "block": 10, "width": 24, "heads": 3} | settings))


@pytest.mark.parametrize(
    "on", [{}, {"rotary": True, "squared": True, "dropout": 0.5}], ids=["plain", "others"]
)
def test_its_settings_make_another_like_it(on):
    model = gpt(**on)
    other = GPT(**model.settings).double().eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(some_tokens(2, 10)), model(some_tokens(2, 10)))
    assert (other.size, other.block, other.width, other.heads, other.layers) == (13, 10, 24, 3, 2)
    assert other.settings == model.settings


# The start.


def test_weights_begin_as_gpt_2_begins():
    torch.manual_seed(3)
    state = to_nanogpt(GPT(65, block=64, width=128, heads=4, layers=4))
    for name, tensor in state.items():
        if name.endswith("bias"):
            assert (tensor == 0).all()
        elif "ln_" in name:
            assert (tensor == 1).all()
        else:
            expected = 0.02 / math.sqrt(2 * 4) if "c_proj" in name else 0.02
            assert tensor.std().item() == pytest.approx(expected, rel=0.04)
            assert abs(tensor.mean().item()) < 5 * expected / math.sqrt(tensor.numel())


@every_setting
def test_it_begins_ignorant(on):
    model, tokens = gpt(size=65, shaken=False, width=48, **on), some_tokens(20, 11, size=65)
    loss = token_loss(model(tokens[:, :-1]), tokens[:, 1:])
    assert loss.item() == pytest.approx(math.log(65), abs=0.05)


@every_setting
def test_embedding_and_output_are_one_matrix(on):
    model = gpt(**on)
    shapes = [tuple(weight.shape) for weight in model.parameters()]
    assert shapes.count((13, 24)) == 1
    tokens = some_tokens(1, 3)
    streams = []
    model.blocks[-1].register_forward_hook(lambda module, given, out: streams.append(out))
    logits = model(tokens)
    close(logits, model.norm(streams[0]) @ model.tokens.weight.T)


def count(model):
    return sum(weight.numel() for weight in model.parameters())


def test_the_number_of_parameters_is_that_of_nanogpts_cpu_configuration():
    C, V, T, L = 128, 65, 64, 4  # its README; with biases, which its train.py leaves out
    norm, attention = 2 * C, (C * 3 * C + 3 * C) + (C * C + C)
    forward = (C * 4 * C + 4 * C) + (4 * C * C + C)
    expected = V * C + T * C + L * (norm + attention + norm + forward) + norm
    assert expected == 809_856
    assert count(GPT(V, block=T, width=C, heads=4, layers=L)) == expected
    assert count(GPT(V, block=T, width=C, heads=4, layers=L, rotary=True)) == expected - T * C
    for on in ("qk_norm", "squared", "zero"):
        assert count(GPT(V, block=T, width=C, heads=4, layers=L, **{on: True})) == expected


@pytest.mark.parametrize("rotary", [False, True])
@torch.no_grad()
def test_with_zero_the_blocks_begin_as_nothing(rotary):
    tokens = some_tokens(10)
    for zero in (True, False):
        model = gpt(shaken=False, zero=zero, rotary=rotary)
        stream = model.tokens.weight[tokens] + (0 if rotary else model.places.weight)
        expected = F.layer_norm(stream, (24,)) @ model.tokens.weight.T
        assert torch.allclose(model(tokens[None])[0], expected, rtol=0, atol=1e-12) == zero
        assert torch.equal(logit_lens(model, tokens)[0], logit_lens(model, tokens)[-1]) == zero


def test_with_zero_it_learns_all_the_same():
    model = gpt(shaken=False, zero=True)
    before = copy.deepcopy(model.state_dict())
    optimizer, tokens = torch.optim.SGD(model.parameters(), lr=0.5), some_tokens(8, 10)
    for _ in range(3):
        optimizer.zero_grad()
        token_loss(model(tokens[:, :-1]), tokens[:, 1:]).backward()
        optimizer.step()
    still = [name for name, weight in model.state_dict().items() if torch.equal(weight, before[name])]
    assert still in ([], ["places.weight"])


@every_setting
def test_both_precisions_give_the_same_and_keep_their_own(on):
    model, tokens = gpt(**on), some_tokens(2, 10)
    small = copy.deepcopy(model).float()
    assert (model(tokens).dtype, small(tokens).dtype) == (torch.float64, torch.float32)
    close(small(tokens).double(), model(tokens), 1e-3)
    assert generate(small, [1, 2], 8, seeded(0), temperature=0) == generate(
        model, [1, 2], 8, None, temperature=0
    )


# Dropout.


def test_dropout_is_for_training_alone():
    model, tokens = gpt(dropout=0.5), some_tokens(2, 10)
    without = GPT(**model.settings | {"dropout": 0.0}).double()
    without.load_state_dict(model.state_dict())
    expected = without.eval()(tokens)
    assert torch.equal(model(tokens), expected)
    assert torch.equal(without.train()(tokens), expected)
    model.train()
    assert not torch.equal(model(tokens), model(tokens))
    assert torch.equal(model.eval()(tokens), expected)


def test_in_training_attention_itself_drops_what_it_would_have_seen_and_in_eval_nothing():
    model = gpt(dropout=0.5)
    attention, x = (
        model.blocks[0].attention,
        torch.ones(1, 1, 24).double(),
    )  # one place, which sees itself alone
    v = attention.query_key_value(x)[..., 48:]
    assert torch.equal(attention(x), attention(x))
    close(attention(x), attention.out(v))
    attention.train()
    entered = []
    attention.out.register_forward_hook(lambda module, given, out: entered.append(given[0].view(3, 8)))
    for seed in range(20):
        torch.manual_seed(seed)
        attention(x)
    heads = (
        torch.stack(entered).abs().sum(-1) > 0
    )  # (20, 3): a head that dropped its only place brings nothing
    assert 10 < heads.sum() < 50
    whole_heads = torch.stack(entered)[heads]
    close(whole_heads, (2 * v.view(3, 8)).expand(20, 3, 8)[heads])


@pytest.mark.parametrize("rotary", [False, True])
def test_in_training_the_stream_is_dropped_from_the_embedding_on_and_so_is_what_each_part_adds(rotary):
    torch.manual_seed(0)
    model, tokens = gpt(dropout=0.25, width=48, rotary=rotary).train(), some_tokens(8, 10)
    stream, kept = model.embed(tokens), model.eval().embed(tokens)
    added = model.train().blocks[0].feed_forward(kept)
    attended = model.blocks[0].attention(kept)
    for some in (stream, added, attended):
        assert (some == 0).double().mean().item() == pytest.approx(0.25, abs=0.03)
    close(stream[stream != 0], (kept / 0.75)[stream != 0])


def test_looking_inside_and_measuring_happen_in_eval_mode_and_give_the_mode_back():
    model, tokens = gpt(dropout=0.5), some_tokens(10)
    looks = [
        lambda: attention_weights(model, tokens),
        lambda: logit_lens(model, tokens),
        lambda: torch.tensor(text_loss(model, tokens)),
        lambda: torch.tensor(generate(model, tokens.tolist()[:3], 12, seeded(0))),
    ]
    expected = [look() for look in looks]
    model.train()
    model.norm.eval()
    for look, value in zip(looks, expected, strict=True):
        assert torch.equal(look(), value)
        assert not look().requires_grad
    assert model.training
    assert model.blocks[1].attention.training
    assert not model.norm.training


# Cache.


@every_setting
@torch.no_grad()
def test_with_a_cache_it_says_the_same_one_token_at_a_time_and_in_chunks(on):
    model, tokens = gpt(**on), some_tokens(3, 10)
    expected = model(tokens)
    for chunks in ([1] * 10, [10], [4, 1, 5], [1, 9], [9, 1], [2, 3, 4, 1]):
        cache = model.cache()
        assert len(cache) == 2
        close(torch.cat([model(part, cache) for part in tokens.split(chunks, dim=1)], dim=1), expected)
        assert all(len(past) == 10 for past in cache)


@pytest.mark.parametrize("on", [{}, {"rotary": True}], ids=named)
@torch.no_grad()
def test_a_cache_is_full_where_the_block_ends(on):
    model, tokens = gpt(**on), some_tokens(1, 10)
    cache = model.cache()
    model(tokens[:, :8], cache)
    with pytest.raises(ValueError, match="was given 3 after 8"):
        model(tokens[:, :3], cache)
    close(model(tokens[:, 8:], cache), model(tokens)[:, 8:])  # what was refused left no trace
    with pytest.raises(ValueError, match="was given 1 after 10"):
        model(tokens[:, :1], cache)


@torch.no_grad()
def test_caches_are_apart():
    model, tokens = gpt(), some_tokens(1, 10)
    first, second = model.cache(), model.cache()
    model(tokens[:, :5], first)
    model(tokens[:, 5:], second)
    close(model(tokens[:, 5:], first), model(tokens)[:, 5:])
    assert len(second[0]) == 5


# Generation.


def by_a_plain_loop(model, tokens, number, generator, cached, temperature=1.0, top_k=None, stop=None):
    """What is read for each new token: uncached, the newest block. Cached, everything since the last fresh start, which is
    made with the newest half of the block, rounded down, whenever one more token would not fit. No cache is used here."""
    tokens, said, read = list(tokens), [], list(tokens)[-model.block :]
    while len(said) < number:
        if not cached:
            read = tokens[-model.block :]
        elif len(read) > model.block:
            read = tokens[-max(1, model.block // 2) :]
        with torch.no_grad():
            logits = model(torch.tensor([read]))[0, -1]
        said.append(choose(logits, generator, temperature, top_k))
        tokens.append(said[-1])
        read = [*read, said[-1]]
        if said[-1] == stop:
            break
    return said


@every_setting
def test_up_to_the_block_the_cache_changes_nothing_of_what_is_said(on):
    model = gpt(**on)
    for seed in range(16):
        prompt = some_tokens(1 + seed % 4, seed=seed).tolist()
        room = 10 - len(prompt) + 1  # the last one said need not be read
        said = [generate(model, prompt, room, seeded(seed), cached=cached) for cached in (True, False)]
        assert said[0] == said[1]
        assert len(said[0]) == room


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("block", [1, 2, 7, 10])
@pytest.mark.parametrize("on", [{}, {"rotary": True, "qk_norm": True}], ids=named)
def test_past_the_block_it_reads_what_it_says_it_reads(on, block, cached):
    model = gpt(block=block, **on)
    for seed, length in enumerate([1, 2, 6, 7, 8, 10, 11, 25]):
        prompt = some_tokens(length, seed=seed).tolist()
        expected = by_a_plain_loop(model, prompt, 30, seeded(seed), cached)
        assert generate(model, prompt, 30, seeded(seed), cached=cached) == expected


def test_past_the_block_the_two_ways_do_read_differently():
    model = gpt()
    said = [generate(model, [1], 60, seeded(0), cached=cached) for cached in (True, False)]
    assert said[0][:10] == said[1][:10]
    assert said[0] != said[1]


@pytest.mark.parametrize("cached", [True, False])
def test_with_a_cache_a_new_token_costs_one_place(cached):
    model, read = gpt(block=64), []
    model.tokens.register_forward_hook(lambda module, given, out: read.append(given[0].numel()))
    generate(model, [1, 2, 3], 10, seeded(0), cached=cached)
    assert sum(read) == (3 + 9 if cached else sum(range(3, 13)))


@pytest.mark.parametrize("cached", [True, False])
def test_the_prompt_is_left_as_it_was_and_only_what_is_new_comes_back(cached):
    prompt = [1, 2, 3]
    said = generate(gpt(), prompt, 5, seeded(0), cached=cached)
    assert prompt == [1, 2, 3]
    assert len(said) == 5
    assert all(type(token) is int and 0 <= token < 13 for token in said)
    assert generate(gpt(), prompt, 0, seeded(0), cached=cached) == []


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize(
    ("temperature", "top_k"), [(0.5, None), (2.0, 3), (1.0, 1), (1.0, 13), (1.0, 500), (1e-9, 4)]
)
def test_temperature_and_top_k_are_those_of_choose(temperature, top_k, cached):
    model, options = gpt(), {"temperature": temperature, "top_k": top_k}
    expected = by_a_plain_loop(model, [4], 20, seeded(1), cached, **options)
    assert generate(model, [4], 20, seeded(1), cached=cached, **options) == expected


def test_temperature_0_is_greedy_top_1_too_and_k_above_the_vocabulary_is_all():
    model = gpt()
    greedy = generate(model, [4], 9, None, temperature=0)
    tokens = [4]
    while len(tokens) < 10:
        tokens.append(model(torch.tensor([tokens]))[0, -1].argmax().item())
    assert greedy == tokens[1:]
    assert generate(model, [4], 9, seeded(5), top_k=1) == greedy
    assert generate(model, [4], 9, seeded(5), top_k=500) == generate(model, [4], 9, seeded(5)) != greedy


@pytest.mark.parametrize("cached", [True, False])
def test_it_stops_at_the_stop_token_which_is_the_last_it_says(cached):
    model = gpt()
    free = generate(model, [4], 40, seeded(0), cached=cached)
    stop = free[20]
    assert generate(model, [4], 40, seeded(0), stop=stop, cached=cached) == free[: free.index(stop) + 1]
    never = next(token for token in range(13) if token not in free[:5])
    assert generate(model, [4], 5, seeded(0), stop=never, cached=cached) == free[:5]
    assert generate(model, [stop], 40, seeded(0), stop=stop)  # in the prompt it stops nothing


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -0.5}, "0 or more, and finite; this one is -0.5"),
        ({"temperature": math.nan}, "this one is nan"),
        ({"top_k": 0}, "1 token or more to draw from, and it is 0"),
        ({"top_k": -1}, "and it is -1"),
        ({"tokens": []}, "needs a prompt and a count of 0 or more: 0 tokens"),
        ({"count": -1}, "count -1"),
    ],
)
def test_what_cannot_be_generated_is_refused(options, words):
    for cached in (True, False):
        with pytest.raises(ValueError, match=words):
            generate(gpt(), **({"tokens": [1], "count": 3, "generator": seeded(0)} | options), cached=cached)


def test_the_global_random_numbers_are_left_alone():
    model = gpt()
    before = torch.get_rng_state()
    generate(model, [1], 20, seeded(0))
    assert torch.equal(torch.get_rng_state(), before)


# A look inside.


@every_setting
@torch.no_grad()
def test_attention_weights_are_what_each_layer_mixes_by(on):
    model, tokens = gpt(**on), some_tokens(9)
    weights = attention_weights(model, tokens)
    assert weights.shape == (2, 3, 9, 9)
    close(weights.sum(-1), torch.ones(2, 3, 9, dtype=weights.dtype))
    assert (weights.triu(1) == 0).all()
    assert (weights.tril() >= 0).all()
    entered, left = [], []
    for block in model.blocks:
        block.attention.register_forward_hook(
            lambda module, given, out: (entered.append(given[0][0]), left.append(out[0]))[1] and None
        )
    model(tokens[None])
    for layer, block in enumerate(model.blocks):
        attention = block.attention
        v = attention.query_key_value(entered[layer])[:, 48:].view(9, 3, 8)
        mixed = torch.einsum("hts,shd->thd", weights[layer], v).reshape(9, 24)
        close(attention.out(mixed), left[layer])


@torch.no_grad()
def test_the_lens_shows_the_stream_after_each_layer_and_last_the_networks_answer():
    model, tokens = gpt(layers=3), some_tokens(9)
    lens = logit_lens(model, tokens)
    assert lens.shape == (4, 9, 13)
    close(lens[-1], model(tokens[None])[0])
    close(lens[0], model.norm(model.tokens.weight[tokens] + model.places.weight[:9]) @ model.tokens.weight.T)
    shorter = GPT(**model.settings | {"layers": 1}).double().eval()
    shorter.load_state_dict({name: model.state_dict()[name] for name in shorter.state_dict()})
    close(lens[1], shorter(tokens[None])[0])


# The parts of a later day.


@torch.no_grad()
def test_rotary_positions_see_distances_and_no_places():
    """In the first layer what two places say to each other is decided by their tokens and how far apart they stand."""
    said, silence = some_tokens(4, seed=5), torch.zeros(6, dtype=torch.int64)
    for rotary in (True, False):
        model = gpt(rotary=rotary)
        ratios = []
        for shift in range(7):  # the same four tokens, further and further from the beginning
            weights = attention_weights(model, torch.cat([silence[:shift], said]))[0]
            own = weights[:, shift:, shift:].log()
            ratios.append(
                (own - own[:, :, :1]).tril()
            )  # how much more is seen here than at the first of the four
        spread = (torch.stack(ratios) - ratios[0]).abs().max()
        assert (spread < 1e-10) == rotary


@torch.no_grad()
def test_rotary_positions_turn_by_the_distance_and_a_place_is_no_distance_from_itself():
    """As complex numbers, the halves being real and imaginary parts: q times the conjugate of k, turned by how far apart they are."""
    model, tokens = gpt(rotary=True), some_tokens(10)
    x = model.blocks[0].norm1(model.tokens.weight[tokens])
    q, k, _ = model.blocks[0].attention.query_key_value(x).view(10, 3, 3, 8).unbind(1)  # (place, head, 8)
    q, k = (torch.complex(one[..., :4], one[..., 4:]) for one in (q, k))
    scores = torch.full((3, 10, 10), -math.inf, dtype=torch.float64)
    for here in range(10):
        for there in range(here + 1):
            angles = (here - there) * 100.0 ** -(torch.arange(4) / 4).double()
            turned = q[here] * k[there].conj() * torch.polar(torch.ones(4).double(), angles)
            scores[:, here, there] = turned.real.sum(-1) / math.sqrt(8)
    close(attention_weights(model, tokens)[0], scores.softmax(-1))


@torch.no_grad()
def test_rotary_positions_do_see_distances():
    model = gpt(rotary=True)
    same = torch.full((10,), 4)  # equal tokens: without places every one would be seen alike
    last = attention_weights(model, same)[0, :, -1]
    assert (last.max(-1).values > 1.01 * last.min(-1).values).all()


@torch.no_grad()
def test_qk_norm_bounds_how_sure_a_head_can_be():
    for qk_norm, bounded in ((True, True), (False, False)):
        model, tokens = gpt(qk_norm=qk_norm), some_tokens(10)
        before = attention_weights(model, tokens)
        for block in model.blocks:
            block.attention.query_key_value.weight[:48] *= 50  # queries and keys, fifty times as long
            block.attention.query_key_value.bias[:48] *= 50
        after = attention_weights(model, tokens)
        rows = after.masked_fill(torch.ones(10, 10).triu(1).bool(), math.nan)
        most = rows.nan_to_num(nan=0).amax(-1).log() - rows.nan_to_num(nan=9).amin(-1).log()
        # |q . k| / sqrt(8) is at most sqrt(8) for two vectors of length sqrt(8).
        assert bool((most <= 2 * math.sqrt(8) + 1e-6).all()) == bounded
        assert torch.allclose(before, after, rtol=0, atol=1e-4) == bounded


# The losses.


def test_the_token_loss_is_the_mean_over_the_targets_that_count():
    logits, Y = torch.randn(3, 5, 7, generator=seeded(0)).double(), some_tokens(3, 5, size=7)
    Y[0, :3] = -100
    Y[2, 4] = -100
    terms = [
        -logits[b, t].log_softmax(0)[Y[b, t]].item() for b in range(3) for t in range(5) if Y[b, t] != -100
    ]
    assert len(terms) == 11
    assert token_loss(logits, Y).item() == pytest.approx(sum(terms) / 11, abs=1e-12)
    assert token_loss(logits, Y).shape == ()


def plain_text_loss(model, numbers):
    numbers, terms = numbers.tolist(), []
    for place in range(1, len(numbers)):
        begin = (place - 1) // model.block * model.block
        with torch.no_grad():
            logits = model(torch.tensor([numbers[begin:place]]))[0, -1]
        terms.append(-logits.log_softmax(0)[numbers[place]].item())
    return math.fsum(terms) / (len(numbers) - 1)


@pytest.mark.parametrize("length", [2, 3, 10, 11, 12, 21, 22, 57, 101])
def test_the_loss_of_a_text_is_the_mean_over_every_token_but_the_first(length):
    model, numbers = gpt(), some_tokens(length)
    expected = plain_text_loss(model, numbers)
    assert text_loss(model, numbers) == pytest.approx(expected, abs=1e-12)
    for rows in (1, 2, 3, 1000):
        assert text_loss(model, numbers, rows) == pytest.approx(expected, abs=1e-12)
    assert isinstance(text_loss(model, numbers), float)


@pytest.mark.parametrize("length", [0, 1])
def test_a_text_without_anything_to_predict_has_no_loss(length):
    with pytest.raises(ValueError, match=f"a token and one before it; there are {length}"):
        text_loss(gpt(), some_tokens(length))


# Names.

NAMES = ["deeann", "bo", "a", "", "maximilian", "zoe"]


def letters(**on):
    return gpt(size=27, block=12, **on)


@pytest.mark.parametrize("on", [{}, {"rotary": True, "qk_norm": True, "squared": True}], ids=named)
def test_names_in_rows_are_read_as_each_by_itself(on):
    model = letters(**on)
    X, Y = whole(NAMES, LETTERS)
    answers, costs = [], []
    with torch.no_grad():
        for name in NAMES:
            numbers = torch.tensor(LETTERS.encode("." + name + "."))
            answers.append(model(numbers[None, :-1])[0])
            costs.append(F.cross_entropy(answers[-1], numbers[1:], reduction="sum"))
    together = Padded(model)(X)
    assert together.shape == (int((X >= 0).sum()), 27)
    close(together, torch.cat(answers))
    mean = sum(costs).item() / int((Y >= 0).sum())
    assert letter_loss(together, Y).item() == pytest.approx(mean, abs=1e-10)
    assert mean_letter_loss(Padded(model), X, Y, batch=2) == pytest.approx(mean, abs=1e-10)
    assert evaluate(from_reader(Padded(model), LETTERS), NAMES) == pytest.approx(mean, abs=1e-6)


def test_however_far_a_row_is_filled_the_names_are_read_alike_and_the_fill_gets_no_gradient():
    model = letters()
    X, Y = whole(["bo", "zoe"], LETTERS)
    wider = F.pad(X, (0, 5), value=NOTHING)
    close(Padded(model)(wider), Padded(model)(X))
    letter_loss(Padded(model)(wider), F.pad(Y, (0, 5), value=NOTHING)).backward()
    assert (model.places.weight.grad[4:] == 0).all()
    assert (model.places.weight.grad[:4].abs().sum(-1) > 0).all()


# Checkpoints.


@every_setting
def test_a_checkpoint_brings_back_model_and_optimizer(on, tmp_path):
    def one(seed):
        model = gpt(seed=seed, shaken=False, **on).train()
        return model, torch.optim.AdamW(model.parameters(), lr=0.01)

    def learn(model, optimizer, seed):
        tokens = some_tokens(4, 10, seed=seed)
        optimizer.zero_grad()
        token_loss(model(tokens[:, :-1]), tokens[:, 1:]).backward()
        optimizer.step()

    model, optimizer = one(0)
    learn(model, optimizer, 1)
    checkpoint.save(tmp_path, 1, *checkpoint.pack(model, optimizer, model.settings))
    learn(model, optimizer, 2)

    other, its_optimizer = one(7)
    checkpoint.unpack(checkpoint.load(tmp_path), other, its_optimizer, other.settings)
    learn(other, its_optimizer, 2)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert torch.equal(other(some_tokens(2, 10)), model(some_tokens(2, 10)))


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    model, wider = gpt(), gpt(block=11)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    checkpoint.save(tmp_path, 1, *checkpoint.pack(model, optimizer, {}))
    with pytest.raises(
        ValueError, match=r"places\.weight of its model is \(10, 24\) float64, here \(11, 24\)"
    ):
        checkpoint.unpack(checkpoint.load(tmp_path), wider, torch.optim.SGD(wider.parameters(), lr=0.1), {})


def test_it_learns_a_text_by_heart():
    model = gpt(shaken=False, rotary=True, qk_norm=True, squared=True, zero=True)
    text = torch.tensor([1, 2, 3, 4, 5, 4, 3, 6, 7, 8, 9, 10] * 20)
    X, Y = blocks(text, 10, stride=3)
    run = Training(model, muon(model), (X, Y), epochs=8, batch=16, rate=0.01, loss=token_loss, seed=1)
    losses = run.run().losses
    assert losses[0] == pytest.approx(math.log(13), abs=0.1)
    assert text_loss(model, text) < 0.3
    said = generate(model, text[:6].tolist(), 4, None, temperature=0)
    assert said == text[6:10].tolist()


def test_in_bfloat16_places_far_apart_are_turned_as_in_float32():
    x = torch.randn(1, 1, 600, 32, generator=torch.Generator().manual_seed(2)).bfloat16()
    turned = rotate(x, 0)
    assert turned.dtype == torch.bfloat16
    assert torch.allclose(turned.float(), rotate(x.float(), 0), atol=0.02, rtol=0.01)


def test_the_loss_of_a_text_in_bfloat16_is_that_of_its_logits():
    torch.manual_seed(4)
    model, numbers = GPT(30, block=8, width=16, heads=2, layers=1).bfloat16(), torch.randint(30, (65,))
    with torch.no_grad():
        logits = model(numbers[:-1].view(8, 8)).double()
    expected = token_loss(logits, numbers[1:].view(8, 8)).item()
    assert math.isclose(text_loss(model, numbers), expected, rel_tol=1e-5)
