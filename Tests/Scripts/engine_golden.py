"""Writes Tests/KilnEngineTests/TorchValues.swift: results and gradients of PyTorch that the engine's must equal.

Inputs are made by the same formula on both sides. Run with PyTorch installed, from the repository's root:
    python3 Tests/Scripts/engine_golden.py
"""

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
inf, nan = float("inf"), float("nan")


def data(shape, seed):
    count = 1
    for d in shape:
        count *= d
    return torch.tensor([((i * 7919 + seed * 104729) % 1000) / 500 - 1 for i in range(count)]).reshape(shape)


cases = []


def case(name, function, *inputs):
    xs = [(data(x, i + 1) if isinstance(x, tuple) else torch.tensor(x)).requires_grad_() for i, x in enumerate(inputs)]
    y = function(*xs)
    weights = data(tuple(y.shape), 77)
    (y * weights).sum().backward()
    cases.append((name, y.detach().flatten().tolist()))
    for i, x in enumerate(xs):
        cases.append((f"{name}, gradient {i}", x.grad.flatten().tolist()))


# Kinks and zeros.
case("max of ties", lambda x: x.amax(1), [[1.0, 3, 3, 2], [5, 5, 5, 5]])
case("min of ties", lambda x: x.amin((0, 1)), [[1.0, 3, 1, 2], [5, 5, 1, 5]])
case("product with zeros", lambda x: x.prod(1), [[0.0, 2, 3], [0, 0, 4], [1, 2, 3]])
case("cumulative product with zeros", lambda x: x.cumprod(1), [[2.0, 0, 3, 0, 4], [1, 2, 3, 4, 0]])
case("norm of zeros", lambda x: torch.linalg.vector_norm(x, 2, 1), [[0.0, 0], [3, 4]])
case("norm 1 of zeros", lambda x: torch.linalg.vector_norm(x, 1, 1), [[0.0, 0], [3, -4]])
case("norm 3 of zeros", lambda x: torch.linalg.vector_norm(x, 3, 1), [[0.0, 0], [3, -4]])
case("norm infinity", lambda x: torch.linalg.vector_norm(x, inf, 1), [[1.0, -7], [3, -4]])
case("deviation of equals", lambda x: x.std(1, unbiased=False), [[2.0, 2, 2], [1, 2, 4]])
case("variance, unbiased", lambda x: x.var((0, 2)), (2, 3, 4))
case("logSumExp", lambda x: x.logsumexp(1), [[1000.0, 1001], [-inf, 2], [-1000, -1000.5]])
case("softmax with infinities", lambda x: x.softmax(1), [[0.0, -inf, 1], [1000, 0, -1000]])
case("logSoftmax of large", lambda x: x.log_softmax(0), [[1000.0, -3], [0, 5]])
case("sorted with ties", lambda x: x.sort(stable=True, dim=-1).values, [[3.0, 1, 3, 2], [0, 0, -1, 5]])

# Windows.
case("convolution2D", lambda x, w: F.conv2d(x, w, None, (2, 1), (1, 2), (1, 2), 2), (2, 4, 6, 7), (6, 2, 3, 2))
case("convolution2D, same", lambda x, w: F.conv2d(F.pad(x, (0, 1, 1, 1)), w, None, (2, 2)), (1, 2, 5, 6), (3, 2, 3, 3))
case("convolution1D", lambda x, w: F.conv1d(x, w, None, 2, 1, 2), (2, 3, 9), (4, 3, 3))
case(
    "transposedConvolution2D",
    lambda x, w: F.conv_transpose2d(x, w, None, (2, 3), (1, 0), (1, 2), 2, (2, 1)),
    (2, 4, 3, 4),
    (4, 3, 3, 2),
)
case("transposedConvolution1D", lambda x, w: F.conv_transpose1d(x, w, None, 2, 1, 1), (1, 2, 5), (2, 3, 4))
case("maxPool2D", lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 1), (1, 2)), (2, 2, 6, 7))
case("maxPool2D of ties", lambda x: F.max_pool2d(x, 2, 1), [[[[1.0, 1, 1], [1, 1, 2], [2, 1, 1]]]])
case("averagePool2D", lambda x: F.avg_pool2d(x, 3, 2, 1), (1, 2, 5, 6))
case("averagePool2D, inside", lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (1, 2, 5, 6))
case("adaptiveAveragePool2D", lambda x: F.adaptive_avg_pool2d(x, (3, 4)), (1, 2, 7, 9))
case("adaptiveMaxPool2D", lambda x: F.adaptive_max_pool2d(x, (3, 2)), (1, 2, 7, 5))

# Shapes.
case("reflect", lambda x: F.pad(x, (2, 1, 1, 2), "reflect"), (1, 2, 3, 4))
case("edge", lambda x: F.pad(x, (2, 1, 0, 2), "replicate"), (1, 2, 3, 4))
case("tiled", lambda x: x.tile((2, 1, 3)), (2, 2))
case("einsum diagonal", lambda x: torch.einsum("bii->ib", x), (2, 3, 3))
case("einsum chain", lambda a, b, c: torch.einsum("bij,jk,bkl->bil", a, b, c), (2, 3, 4), (4, 5), (2, 5, 2))
case("einsum dots", lambda a, b: torch.einsum("...ij,...kj->...ik", a, b), (2, 1, 3, 4), (5, 2, 4))
case("einsum implicit", lambda a, b: torch.einsum("ki,jk", a, b), (3, 2), (4, 3))
case("einsum outer", lambda a, b: torch.einsum("i,j->ji", a, b), (3,), (4,))
case("einsum sums", lambda a, b: torch.einsum("ijk,lj->l", a, b), (2, 3, 4), (5, 3))

# Rows.
case("layerNorm", lambda x, s, b: F.layer_norm(x, (5,), s, b, 1e-5), (3, 5), (5,), (5,))
case("rmsNorm", lambda x, s: F.rms_norm(x, (5,), s, 1e-6), (3, 5), (5,))
labels = torch.tensor([0, -100, 4, 2])
case("crossEntropy", lambda x: F.cross_entropy(x, labels, reduction="none", ignore_index=-100), (4, 5))
index = torch.tensor([[2, 0], [2, 1], [1, 2]])
case("takenAlong", lambda x: x.gather(1, index), (3, 4))
case("scatterAddAlong", lambda x: torch.zeros(4, 2).scatter_add(0, index, x), (3, 2))


def number(v):
    return ".nan" if v != v else ".infinity" if v == inf else "-.infinity" if v == -inf else repr(v)


with open("Tests/KilnEngineTests/TorchValues.swift", "w") as out:
    out.write("// swift-format-ignore-file\n")
    out.write(f"// Written by Tests/Scripts/engine_golden.py with PyTorch {torch.__version__}. Do not edit.\n\n")
    out.write("let torchValues: [String: [Double]] = [\n")
    for name, values in cases:
        out.write(f'  "{name}": [{", ".join(number(v) for v in values)}],\n')
    out.write("]\n")
