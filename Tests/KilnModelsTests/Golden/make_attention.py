"""Writes attention.npz with PyTorch 2 and transformers: attention and transformer layers, positions.
python3 make_attention.py (in this folder). Masks are recorded in Kiln's sense: true where a key takes part."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from recorder import Recorder

torch.manual_seed(12)
torch.set_default_dtype(torch.float64)
record = Recorder()


def attention(case, q, k, v, **options):
    record(case, None, [torch.randn(*q), torch.randn(*k), torch.randn(*v)],
           lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options))


attention("plain", (2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6))
attention("causal", (2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5, 4), is_causal=True, scale=0.3)
attention("wide", (1, 1, 3, 4), (1, 1, 6, 4), (1, 1, 6, 4), is_causal=True)
attention("flat", (3, 4), (5, 4), (5, 2))
visible = torch.rand(2, 1, 5, 7) < 0.6
visible[0, 0, 2] = False  # a query without keys
visible[1, 0, 0] = True
record.put("mask.bool", visible)
attention("bool", (2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4), attn_mask=visible)
bias = torch.randn(5, 7)
record.put("mask.float", bias)
attention("float", (2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4), attn_mask=bias)
attention("grouped", (2, 6, 5, 4), (2, 2, 5, 4), (2, 2, 5, 4), is_causal=True, enable_gqa=True)

# MultiheadAttention: PyTorch's masks are true where a key is left out.
hidden = torch.zeros(5, 5, dtype=torch.bool).bernoulli(0.4)
hidden.fill_diagonal_(False)
padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
record.put("mha.mask", ~hidden)
record.put("mha.keyMask", ~padding)
self_attention = nn.MultiheadAttention(6, 3, batch_first=True)
nn.init.normal_(self_attention.in_proj_bias)
nn.init.normal_(self_attention.out_proj.bias)
record("mha.self", self_attention, [torch.randn(2, 5, 6)], lambda x: self_attention(x, x, x)[0])
masked = nn.MultiheadAttention(6, 2, batch_first=True, bias=False)
record(
    "mha.masked", masked, [torch.randn(2, 5, 6)],
    lambda x: masked(x, x, x, attn_mask=hidden, key_padding_mask=padding, average_attn_weights=False))
causal = nn.MultiheadAttention(6, 2, batch_first=True)
triangle = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
record("mha.causal", causal, [torch.randn(1, 5, 6)], lambda x: causal(x, x, x, attn_mask=triangle, is_causal=True)[0])
cross = nn.MultiheadAttention(4, 2, batch_first=True)
record("mha.cross", cross, [torch.randn(2, 3, 4), torch.randn(2, 5, 4)], lambda q, k: cross(q, k, k)[0])
three = nn.MultiheadAttention(4, 2, batch_first=True)
record(
    "mha.three", three, [torch.randn(2, 3, 4), torch.randn(2, 5, 4), torch.randn(2, 5, 4)],
    lambda q, k, v: three(q, k, v)[0])
other = nn.MultiheadAttention(4, 2, batch_first=True, kdim=3, vdim=5)
record(
    "mha.other", other, [torch.randn(2, 3, 4), torch.randn(2, 5, 3), torch.randn(2, 5, 5)],
    lambda q, k, v: other(q, k, v)[0])


# Llama's attention (rotary positions, grouped key heads) with its projections as one matrix.
def turned(x, base, pairing):
    time, features = x.shape[-2:]
    angle = torch.arange(time)[:, None] * base ** (-2 * torch.arange(features // 2) / features)
    if pairing == "halves":
        from transformers.models.llama.modeling_llama import rotate_half

        cos, sin = torch.cat([angle, angle], -1).cos(), torch.cat([angle, angle], -1).sin()
        return x * cos + rotate_half(x) * sin
    from transformers.models.gptj.modeling_gptj import rotate_every_two

    cos, sin = angle.cos().repeat_interleave(2, -1), angle.sin().repeat_interleave(2, -1)
    return x * cos + rotate_every_two(x) * sin


class Rotary(nn.Module):
    def __init__(s, features, heads, key_heads):
        super().__init__()
        s.sizes = features // heads, heads, key_heads
        s.in_proj_weight = nn.Parameter(torch.randn(features + 2 * key_heads * features // heads, features) / 3)
        s.out_proj = nn.Linear(features, features, bias=False)

    def forward(s, x):
        size, heads, key_heads = s.sizes
        q, k, v = (x @ s.in_proj_weight.T).split([heads * size, key_heads * size, key_heads * size], -1)
        q, k, v = (t.unflatten(-1, (-1, size)).transpose(1, 2) for t in (q, k, v))
        q, k = turned(q, 100, "halves"), turned(k, 100, "halves")
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return s.out_proj(y.transpose(1, 2).flatten(2))


record("mha.rotary", (m := Rotary(16, 4, 2)), [torch.randn(2, 6, 16)], m)
for pairing in "halves", "neighbors":
    record(f"rotary.{pairing}", None, [torch.randn(2, 2, 5, 6)], lambda x: turned(x, 10_000, pairing))

# Sines and cosines.
position, pair = torch.arange(9)[:, None], torch.arange(0, 6, 2)
angle = position * torch.exp(pair * (-math.log(10_000.0) / 6))
table = torch.stack([angle.sin(), angle.cos()], -1).flatten(1)
record("sinusoidal", None, [torch.randn(2, 9, 6)], lambda x: x + table)

# Whole layers. Without dropout training and evaluation are the same.
memory_padding = torch.tensor([[False] * 4, [False] * 2 + [True] * 2])
record.put("layer.memoryKeyMask", ~memory_padding)
for name, options in {
    "post": dict(norm_first=False, activation="relu"), "pre": dict(norm_first=True, activation="gelu"),
}.items():
    options |= dict(dropout=0, batch_first=True)
    encoder = nn.TransformerEncoderLayer(6, 2, 9, **options)
    record(
        f"encoder.{name}", encoder, [torch.randn(2, 5, 6)],
        lambda x: encoder(x, src_mask=hidden, src_key_padding_mask=padding))
    decoder = nn.TransformerDecoderLayer(6, 2, 9, **options)
    record(
        f"decoder.{name}", decoder, [torch.randn(2, 5, 6), torch.randn(2, 4, 6)],
        lambda x, m: decoder(
            x, m, tgt_mask=triangle, tgt_is_causal=True, tgt_key_padding_mask=padding,
            memory_key_padding_mask=memory_padding))
stack = nn.TransformerEncoder(
    nn.TransformerEncoderLayer(4, 2, 8, dropout=0, batch_first=True, norm_first=True), 2, norm=nn.LayerNorm(4),
    enable_nested_tensor=False)
record("encoder.stack", stack, [torch.randn(3, 2, 4)])
decoders = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 1, 8, dropout=0, batch_first=True), 2)
record("decoder.stack", decoders, [torch.randn(1, 3, 4), torch.randn(1, 2, 4)])

record.save("attention.npz")
