#!/usr/bin/env python3
"""Writes golden.json: what numpy and torch (float64) give for a sample of the operations of Sources/OpCases.

    python3 -m venv v && v/bin/pip install numpy torch && v/bin/python make_golden.py

Each record names a case ("name (variant)" as `OpCase.id`), its inputs, torch's output, and torch's gradients of
sum(output * cotangent) for the differentiable inputs (null for the others). Numbers are repr of float64, so nothing is
lost; "nan", "inf" and "-inf" are strings.
"""
import json, math, os
import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.default_rng(20240611)
records = []


def number(v):
    v = float(v)
    if math.isnan(v):
        return "nan"
    if math.isinf(v):
        return "inf" if v > 0 else "-inf"
    if v == int(v) and abs(v) < 1e15 and not (v == 0 and math.copysign(1, v) < 0):
        return int(v)
    return v


def pack(t):
    t = t.detach()
    return {"shape": list(t.shape), "values": [number(v) for v in t.double().flatten().tolist()]}


def uniform(low, high, *shape):
    return torch.tensor(rng.uniform(low, high, shape))


def distinct(*shape):
    n = int(np.prod(shape))
    return torch.tensor(rng.permutation(n).reshape(shape) * 0.0625 - n / 32)


def record(case, function, *inputs, grad=True, eps=None):
    """Inputs that are floating point are differentiated."""
    leaves = [x.clone().requires_grad_(grad and x.is_floating_point()) for x in inputs]
    y = function(*leaves)
    entry = {"case": case, "inputs": [pack(x) for x in inputs], "output": pack(y)}
    if grad and y.is_floating_point():
        cotangent = torch.tensor(rng.uniform(-1, 1, tuple(y.shape)))
        gs = torch.autograd.grad((y * cotangent).sum(), [x for x in leaves if x.requires_grad], allow_unused=True)
        gs = iter(gs)
        entry["cotangent"] = pack(cotangent)
        entry["gradients"] = []
        for x in leaves:
            g = next(gs) if x.requires_grad else None
            entry["gradients"].append(pack(g) if g is not None else None)
    records.append(entry)


# Unary functions: ordinary values with gradients, then extremes without.
extremes = torch.tensor([
    math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-300, -1e-300, 1e300, -1e300, 700.0, -700.0, 750.0, -750.0, 1e-20, -1e-20,
    36.0, -36.0, 40.0, 1e5, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1 - 1e-12, -1 + 1e-12,
], dtype=torch.float64)
unary = {
    "negate": (torch.neg, -3, 3), "abs": (torch.abs, 0.1, 3), "sign": (torch.sign, 0.1, 3), "square": (torch.square, -3, 3),
    "reciprocal": (torch.reciprocal, 0.3, 3), "sqrt": (torch.sqrt, 0.1, 9), "rsqrt": (torch.rsqrt, 0.1, 9),
    "exp": (torch.exp, -4, 4), "expm1": (torch.expm1, -4, 4), "log": (torch.log, 0.05, 9), "log1p": (torch.log1p, -0.9, 9),
    "sin": (torch.sin, -9, 9), "cos": (torch.cos, -9, 9), "tan": (torch.tan, -1.3, 1.3), "tanh": (torch.tanh, -4, 4),
    "sigmoid": (torch.sigmoid, -9, 9), "erf": (torch.erf, -3, 3), "erfInverse": (torch.erfinv, -0.97, 0.97),
    "relu": (torch.relu, 0.1, 3), "softplus": (lambda x: torch.logaddexp(x, torch.zeros_like(x)), -9, 9),
    "floor": (torch.floor, 0.1, 0.9), "ceil": (torch.ceil, 0.1, 0.9), "round": (torch.round, 0.1, 0.4),
    "leakyReLU": (F.leaky_relu, 0.1, 3), "leakyReLU (slope 0.2)": (lambda x: F.leaky_relu(x, 0.2), -3, -0.1),
    "elu": (F.elu, -3, -0.1), "elu (alpha 0.5)": (lambda x: F.elu(x, 0.5), -3, -0.1),
    "gelu": (F.gelu, -4, 4), "gelu (tanh)": (lambda x: F.gelu(x, approximate="tanh"), -4, 4), "silu": (F.silu, -4, 4),
    "clamped": (lambda x: torch.clamp(x, -1, 1.5), -0.9, 1.4),
}
for name, (function, low, high) in unary.items():
    record(name, function, uniform(low, high, 3, 4))
    if "(" not in name and name not in ("leakyReLU", "elu", "gelu", "silu", "clamped"):
        # torch's sign of NaN is 0; Kiln's is NaN.
        record(name, function, extremes[1:] if name == "sign" else extremes, grad=False)
record("isNaN", torch.isnan, extremes, grad=False)
record("isFinite", torch.isfinite, extremes, grad=False)

# Binary functions, with broadcasting.
binary = {
    "add": (torch.add, (-3, 3), (-3, 3)), "subtract": (torch.sub, (-3, 3), (-3, 3)), "multiply": (torch.mul, (-3, 3), (-3, 3)),
    "divide": (torch.div, (-3, 3), (0.5, 3)), "remainder": (torch.remainder, (5.1, 5.8), (1.82, 2.4)),
    "power": (torch.pow, (0.2, 3), (-3, 3)), "maximum": (torch.maximum, (-3, 3), (-3, 3)),
    "minimum": (torch.minimum, (-3, 3), (-3, 3)), "arctangent2": (torch.atan2, (0.5, 3), (-3, -0.5)),
}
special = torch.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0], dtype=torch.float64)
for name, (function, a, b) in binary.items():
    record(name, function, uniform(*a, 3, 4), uniform(*b, 3, 4))
    record(name, function, uniform(*a, 2, 1, 3), uniform(*b, 4, 1))
    n = len(special)
    record(name, function, special.repeat_interleave(n), special.repeat(n), grad=False)
for name, function in {"equal": torch.eq, "notEqual": torch.ne, "less": torch.lt, "lessEqual": torch.le,
                       "greater": torch.gt, "greaterEqual": torch.ge}.items():
    n = len(special)
    record(name, function, special.repeat_interleave(n), special.repeat(n), grad=False)
record("remainder (signs)", torch.remainder, torch.tensor([7.5, -7.5, 7.5, -7.5, 6.0, -6.0]).double(),
       torch.tensor([2.0, 2.0, -2.0, -2.0, 3.0, 3.0]).double(), grad=False)
record("select", torch.where, torch.tensor(rng.integers(0, 2, (3, 4)).astype(bool)), uniform(-3, 3, 3, 4), uniform(-3, 3, 3, 4))

# Shapes and assembly.
record("permuted", lambda x: x.permute(2, 0, 1), uniform(-3, 3, 2, 3, 4))
record("sliced ([5, 3] axis 0, 1:4:1)", lambda x: x[1:4], uniform(-3, 3, 5, 3))
record("concatenate", lambda a, b, c: torch.cat([a, b, c], 0), uniform(-3, 3, 2, 3), uniform(-3, 3, 1, 3), uniform(-3, 3, 4, 3))
record("stack (last axis)", lambda a, b: torch.stack([a, b], -1), uniform(-3, 3, 2, 3), uniform(-3, 3, 2, 3))
record("padded (constant)", lambda x: F.pad(x, (0, 3, 1, 2)), uniform(-3, 3, 3, 4))
record("padded (reflect)", lambda x: F.pad(x[None, None], (3, 4, 2, 3), mode="reflect")[0, 0], uniform(-3, 3, 4, 5))
record("padded (edge)", lambda x: F.pad(x[None, None], (1, 4, 3, 1), mode="replicate")[0, 0], uniform(-3, 3, 2, 3))
record("tiled", lambda x: x.repeat(3, 2), uniform(-3, 3, 2, 3))
record("flipped (both axes)", lambda x: x.flip(0, 1), uniform(-3, 3, 3, 5))

# Reductions over (0, 2) of a rank-3 operand, and along the last axis.
for name, function in {
    "sum": torch.sum, "mean": torch.mean, "variance": lambda x, d: torch.var(x, d, unbiased=False),
    "standardDeviation": lambda x, d: torch.std(x, d, unbiased=False), "logSumExp": torch.logsumexp,
    "norm": lambda x, d: torch.linalg.vector_norm(x, 2, d), "max": torch.amax, "min": torch.amin,
}.items():
    record(name + " (axes [0, 2])", lambda x: function(x, (0, 2)), distinct(3, 4, 5))
    record(name + " (axes [-1])", lambda x: function(x, -1), distinct(3, 4, 5))
record("product (axes [-1])", lambda x: torch.prod(x, -1), uniform(0.5, 1.5, 3, 4, 5))
record("variance (unbiased)", lambda x: torch.var(x, 1, unbiased=True), uniform(-3, 3, 3, 7))
record("norm (order 3)", lambda x: torch.linalg.vector_norm(x, 3, 1), uniform(0.2, 3, 3, 7))
record("argmax (axis -1)", lambda x: torch.argmax(x, -1), distinct(3, 4, 5), grad=False)
record("argmin (axis -1)", lambda x: torch.argmin(x, -1), distinct(3, 4, 5), grad=False)
record("cumulativeSum (last axis)", lambda x: torch.cumsum(x, 1), uniform(-3, 3, 3, 7))
record("cumulativeProduct (last axis)", lambda x: torch.cumprod(x, 1), uniform(0.5, 1.5, 3, 7))
record("sorted (last axis)", lambda x: torch.sort(x, dim=1, stable=True).values, distinct(3, 7))
record("sorted (descending)", lambda x: torch.sort(x, dim=1, descending=True, stable=True).values, distinct(3, 7))
record("argsorted (ties)", lambda x: torch.sort(x, dim=1, stable=True).indices, torch.tensor(rng.integers(0, 4, (3, 9))).double(), grad=False)
record("topK (values)", lambda x: torch.topk(x, 3).values, distinct(3, 7))

# Rows.
record("softmax", lambda x: torch.softmax(x, -1), uniform(-4, 4, 3, 7))
record("logSoftmax", lambda x: torch.log_softmax(x, -1), uniform(-4, 4, 3, 7))
record("softmax (axis 1 of 3)", lambda x: torch.softmax(x, 1), uniform(-4, 4, 2, 5, 3))
record("softmax (far apart)", lambda x: torch.softmax(x, -1), torch.tensor([[1e4, 0, -1e4, 50], [0, 0, 0, 0]]).double(), grad=False)
record("layerNorm", lambda x, s, b: F.layer_norm(x, (7,), s, b, 1e-5), uniform(-4, 4, 3, 7), uniform(0.5, 2, 7), uniform(-4, 4, 7))
record("rmsNorm", lambda x, s: F.rms_norm(x, (7,), s, 1e-6), uniform(-4, 4, 3, 7), uniform(0.5, 2, 7))
labels = torch.tensor([0, 3, 4, 1])
record("crossEntropy", lambda x, l: F.cross_entropy(x, l, reduction="none"), uniform(-4, 4, 4, 5), labels)
record("crossEntropy (ignored labels)", lambda x, l: F.cross_entropy(x, l, reduction="none"), uniform(-4, 4, 4, 5),
       torch.tensor([0, -100, 4, -100]))

# Products.
record("matmul", torch.matmul, uniform(-1, 1, 3, 4), uniform(-1, 1, 4, 5))
record("matmul (batches)", torch.matmul, uniform(-1, 1, 2, 1, 3, 4), uniform(-1, 1, 5, 4, 2))
record("matmul (vectors)", torch.matmul, uniform(-1, 1, 2, 3, 4), uniform(-1, 1, 4))
record("matmul (both transposed)", lambda a, b: a.transpose(-1, -2) @ b.transpose(-1, -2), uniform(-1, 1, 4, 3), uniform(-1, 1, 5, 4))
for equation, shapes in {"ij,jk->ik": [(3, 4), (4, 5)], "bhqd,bhkd->bhqk": [(2, 2, 3, 4), (2, 2, 5, 4)], "ii->": [(4, 4)],
                         "ij,jk,kl->il": [(2, 3), (3, 4), (4, 2)], "ijk,jil->kl": [(2, 3, 4), (3, 2, 5)]}.items():
    record(f"einsum ({equation})", lambda *x: torch.einsum(equation, *x), *[uniform(-1, 1, *s) for s in shapes])

# Convolutions and pools.
def conv(case, x, w, **options):
    record("convolution2D" + (f" ({case})" if case else ""), lambda a, b: F.conv2d(a, b, **options), uniform(-1, 1, *x), uniform(-1, 1, *w))

conv("", (2, 3, 5, 6), (4, 3, 3, 2))
conv("stride 2", (1, 3, 7, 6), (2, 3, 3, 3), stride=2)
conv("padding 1", (1, 2, 4, 5), (3, 2, 3, 3), padding=1)
conv("same", (1, 2, 5, 6), (3, 2, 3, 4), padding="same")
conv("dilation (2, 3)", (1, 2, 7, 9), (3, 2, 3, 2), padding=(1, 2), dilation=(2, 3))
conv("2 groups", (2, 4, 5, 5), (6, 2, 3, 3), padding=1, groups=2)
conv("depthwise", (2, 3, 5, 6), (3, 1, 3, 3), padding=1, groups=3)
conv("all at once", (2, 4, 9, 8), (6, 2, 3, 2), stride=(2, 3), padding=(2, 1), dilation=(2, 1), groups=2)

def transposed(case, x, w, **options):
    record("transposedConvolution2D" + (f" ({case})" if case else ""), lambda a, b: F.conv_transpose2d(a, b, **options),
           uniform(-1, 1, *x), uniform(-1, 1, *w))

transposed("", (2, 3, 4, 5), (3, 2, 3, 2))
transposed("stride 2, padding 1", (1, 3, 4, 3), (3, 2, 3, 3), stride=2, padding=1)
transposed("stride 2, output padding", (1, 3, 3, 4), (3, 2, 3, 3), stride=2, padding=1, output_padding=1)
transposed("dilation 2", (1, 2, 4, 4), (2, 2, 2, 3), dilation=2)
transposed("2 groups", (1, 4, 3, 3), (4, 3, 2, 2), stride=(1, 2), groups=2)
record("convolution1D (stride 2, padding 1)", lambda a, b: F.conv1d(a, b, stride=2, padding=1), uniform(-1, 1, 2, 3, 9), uniform(-1, 1, 4, 3, 3))
record("transposedConvolution1D", lambda a, b: F.conv_transpose1d(a, b, stride=2, padding=1), uniform(-1, 1, 2, 3, 5), uniform(-1, 1, 3, 2, 4))
record("maxPool2D (2x2)", lambda x: F.max_pool2d(x, 2), distinct(2, 3, 6, 7))
record("maxPool2D (3x3, stride 2, padding 1)", lambda x: F.max_pool2d(x, 3, 2, 1), distinct(1, 2, 6, 7))
record("maxPool2D (2x3, dilation 2)", lambda x: F.max_pool2d(x, (2, 3), 1, 0, 2), distinct(1, 2, 6, 7))
record("averagePool2D (3x3, padding counted)", lambda x: F.avg_pool2d(x, 3, 2, 1), uniform(-3, 3, 1, 2, 6, 7))
record("averagePool2D (3x3, padding not counted)", lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), uniform(-3, 3, 1, 2, 6, 7))
record("adaptiveAveragePool2D", lambda x: F.adaptive_avg_pool2d(x, (3, 2)), uniform(-3, 3, 1, 2, 7, 5))
record("adaptiveMaxPool2D", lambda x: F.adaptive_max_pool2d(x, (3, 2)), distinct(1, 2, 7, 5))
record("globalAveragePool2D", lambda x: x.mean((2, 3)), uniform(-3, 3, 2, 3, 4, 5))

# Indexing.
rows = torch.tensor([4, 0, 4, 2])
record("gathered", lambda x, i: x[i], uniform(-3, 3, 5, 3), rows)
record("takenAlong", lambda x, i: torch.gather(x, 1, i), uniform(-3, 3, 3, 5), torch.tensor(rng.integers(0, 5, (3, 4))))
record("embedding", lambda x, i: F.embedding(i, x), uniform(-3, 3, 7, 4), torch.tensor([[1, 6, 1], [0, 0, 3]]))
record("scatterAdd", lambda x, i: torch.zeros(5, 3, dtype=torch.float64).index_add(0, i, x), uniform(-3, 3, 4, 3), rows)
record("scatterAddAlong", lambda x, i: torch.zeros(3, 5, dtype=torch.float64).scatter_add(1, i, x), uniform(-3, 3, 3, 8),
       torch.tensor(rng.integers(0, 5, (3, 8))))


# Random: numpy's own Philox is 4x64, so the 4x32 known answers are Random123's kat_vectors, and a plain Python
# Philox (checked against them here) gives more.
def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


known = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]
for counter, key, words in known:
    assert philox(counter, key) == words
blocks = [{"counter": c, "key": k, "words": w} for c, k, w in known]
for _ in range(20):
    counter, key = [int(v) for v in rng.integers(0, 1 << 32, 4)], [int(v) for v in rng.integers(0, 1 << 32, 2)]
    blocks.append({"counter": counter, "key": key, "words": philox(counter, key)})

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json")
with open(path, "w") as file:
    file.write('{"made by": "make_golden.py, numpy %s, torch %s",\n"philox": %s,\n"records": [\n' % (
        np.__version__, torch.__version__.split("+")[0], json.dumps(blocks)))
    file.write(",\n".join(json.dumps(r, separators=(",", ":")) for r in records))
    file.write("\n]}\n")
print(len(records), "records,", os.path.getsize(path), "bytes")
