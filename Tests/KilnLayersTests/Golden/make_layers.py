"""Makes layers.npz: what torch computes for every layer and configuration that GoldenCases.swift names too.

    python make_layers.py        (torch 2.15, numpy)

For each case: the input x, the output's cotangent g, parameters and buffers before (float32 numbers, so that both
precisions start from the same values), and in float64 the output y, the input's gradient dx, each parameter's
gradient, each buffer afterwards; where a second derivative exists, d(sum(dx * v))/dx for a vector v. torch's own
float32 results must lie within 1e-5 of these, of the largest magnitude of each tensor, or this script fails: so the
float64 values stand for both. Cases whose layer has a mode are recorded in training, then in evaluation.
"""
import copy
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

torch.manual_seed(20240229)
CASES = {}


def case(name, module, shape, second=False, integers=None, kinks=False, empty=True):
    CASES[name] = (module, shape, second, integers, kinks, empty)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Same(nn.Module):
    """TensorFlow's "same": ceil(size / stride), the odd row or column at the end."""

    def __init__(self, conv):
        super().__init__()
        for name, parameter in conv.named_parameters():
            setattr(self, name, parameter)
        self.size, self.stride = conv.kernel_size, conv.stride

    def forward(self, x):
        pads = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.size[::-1], self.stride[::-1]):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [missing // 2, missing - missing // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride)


class Residual(nn.Module):
    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body = body
        if shortcut is not None:
            self.shortcut = shortcut

    def forward(self, x):
        return self.body(x) + (self.shortcut(x) if hasattr(self, "shortcut") else x)


class Highway(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.transform, self.gate = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x):
        gate = torch.sigmoid(self.gate(x))
        return gate * torch.relu(self.transform(x)) + (1 - gate) * x


class Branches(nn.ModuleList):
    def forward(self, x):
        return torch.cat([branch(x) for branch in self], dim=1)


# Dense
case("dense", nn.Linear(5, 3), (4, 5))
case("dense-batch1-nobias", nn.Linear(7, 2, bias=False), (1, 7))
case("dense-rank3-tanh", nn.Sequential(nn.Linear(3, 4), nn.Tanh()), (2, 5, 3), second=True)

# Convolutions
case("conv2d", nn.Conv2d(3, 4, 3), (2, 3, 7, 5))
case("conv2d-options", nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2), (1, 4, 7, 9))
case("conv2d-depthwise", nn.Conv2d(3, 6, 3, padding=1, groups=3, bias=False), (2, 3, 5, 5))
case("conv2d-same", Same(nn.Conv2d(2, 3, (4, 3))), (2, 2, 6, 5))
case("conv2d-same-stride", Same(nn.Conv2d(2, 3, 3, stride=2)), (1, 2, 6, 7))
case("conv2d-reflect", nn.Conv2d(2, 3, 3, padding=2, padding_mode="reflect"), (2, 2, 5, 4))
case("conv2d-edge", nn.Conv2d(2, 3, 3, padding=1, padding_mode="replicate"), (2, 2, 4, 5))
case("conv2d-relu", nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU()), (2, 2, 3, 3))
case("conv1d", nn.Conv1d(3, 4, 3), (2, 3, 9))
case("conv1d-options", nn.Conv1d(4, 4, 3, stride=2, padding=2, dilation=2, groups=2, bias=False), (1, 4, 11))
case("conv1d-same", nn.Conv1d(2, 3, 4, padding="same"), (2, 2, 7))
case("conv1d-reflect", nn.Conv1d(2, 3, 3, padding=2, padding_mode="reflect"), (2, 2, 5))
case("convtranspose2d", nn.ConvTranspose2d(3, 2, 3), (2, 3, 4, 3))
case("convtranspose2d-options",
     nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 2), dilation=(2, 1), groups=2),
     (1, 4, 3, 4))
case("convtranspose1d", nn.ConvTranspose1d(3, 2, 4, stride=2, padding=1), (2, 3, 5))
case("convtranspose1d-options",
     nn.ConvTranspose1d(4, 4, 3, stride=3, output_padding=1, dilation=2, groups=4, bias=False), (1, 4, 5))

# Pooling
case("maxpool2d", nn.MaxPool2d(2), (2, 3, 6, 5))
case("maxpool2d-options", nn.MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), (1, 2, 7, 6))
case("maxpool1d", nn.MaxPool1d(3, stride=2, padding=1), (2, 3, 8))
case("averagepool2d", nn.AvgPool2d((2, 3), stride=(2, 1), padding=(1, 1)), (2, 2, 5, 4))
case("averagepool2d-inside", nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), (1, 2, 6, 5))
case("averagepool1d", nn.AvgPool1d(2), (2, 3, 7))
case("globalaveragepool2d", Function(lambda x: x.mean((2, 3))), (2, 3, 4, 5))
case("globalaveragepool1d", Function(lambda x: x.mean(2, keepdim=True)), (2, 3, 5))
case("globalmaxpool2d", Function(lambda x: x.amax((2, 3), keepdim=True)), (2, 3, 4, 5))
case("globalmaxpool1d", Function(lambda x: x.amax(2)), (1, 3, 5))
case("adaptiveaveragepool2d", nn.AdaptiveAvgPool2d((3, 2)), (2, 2, 7, 5))
case("adaptiveaveragepool2d-even", nn.AdaptiveAvgPool2d(2), (1, 2, 6, 4))
case("adaptiveaveragepool1d", nn.AdaptiveAvgPool1d(4), (2, 3, 7))
case("adaptivemaxpool2d", nn.AdaptiveMaxPool2d((2, 3)), (2, 2, 5, 7))
case("adaptivemaxpool1d", nn.AdaptiveMaxPool1d(3), (2, 3, 8))

# Shapes
case("flatten", nn.Flatten(), (2, 3, 2, 2))
case("flatten-range", nn.Flatten(1, 2), (2, 3, 2, 2))
case("reshape", nn.Unflatten(1, (3, 2)), (2, 6))
case("reshape-rest", nn.Unflatten(1, (2, -1)), (3, 6))
case("upsample-nearest", nn.Upsample(scale_factor=2), (2, 2, 3, 4))
case("upsample-nearest-uneven", nn.Upsample(scale_factor=(1.5, 2.3)), (1, 2, 5, 3))
case("upsample-nearest-size", nn.Upsample(size=(7, 5)), (2, 1, 4, 6))
case("upsample-nearest-1d", nn.Upsample(scale_factor=3), (2, 2, 4))
case("upsample-bilinear", nn.Upsample(scale_factor=2, mode="bilinear"), (2, 2, 3, 4))
case("upsample-bilinear-uneven", nn.Upsample(scale_factor=(1.7, 0.6), mode="bilinear"), (1, 2, 4, 6))
case("upsample-bilinear-size", nn.Upsample(size=(5, 7), mode="bilinear"), (2, 1, 3, 3))
case("upsample-bilinear-corners", nn.Upsample(size=(5, 7), mode="bilinear", align_corners=True), (2, 2, 3, 4))
case("upsample-bilinear-one", nn.Upsample(size=(1, 4), mode="bilinear", align_corners=True), (2, 1, 3, 2))
case("upsample-linear", nn.Upsample(scale_factor=2, mode="linear"), (2, 2, 5))

# Embedding
case("embedding", nn.Embedding(6, 3), (2, 5), integers=6)
case("embedding-padding", nn.Embedding(5, 4, padding_idx=1), (3, 4), integers=5)

# Normalization
case("batchnorm1d", nn.BatchNorm1d(4), (5, 4), second=True)
case("batchnorm1d-width", nn.BatchNorm1d(3, momentum=0.3, eps=1e-3), (2, 3, 5), second=True)
case("batchnorm2d", nn.BatchNorm2d(3), (2, 3, 3, 4), second=True)
case("batchnorm2d-batch1", nn.BatchNorm2d(3), (1, 3, 3, 3))
case("batchnorm2d-average", nn.BatchNorm2d(3, momentum=None), (2, 3, 2, 3))
case("batchnorm2d-plain", nn.BatchNorm2d(3, affine=False), (2, 3, 2, 3))
case("batchnorm2d-untracked", nn.BatchNorm2d(3, track_running_stats=False), (2, 3, 2, 3))
case("layernorm", nn.LayerNorm(6), (3, 6), second=True)
case("layernorm-two", nn.LayerNorm((3, 4), eps=1e-3), (2, 3, 4), second=True)
case("layernorm-nobias", nn.LayerNorm(5, bias=False), (1, 2, 5))
case("layernorm-plain", nn.LayerNorm(5, elementwise_affine=False), (2, 5))
case("rmsnorm", nn.RMSNorm(6), (3, 6), second=True)
case("rmsnorm-two", nn.RMSNorm((3, 4), eps=1e-6, elementwise_affine=False), (2, 3, 4))
case("groupnorm", nn.GroupNorm(2, 6), (2, 6, 3, 2), second=True)
case("groupnorm-plain", nn.GroupNorm(3, 3, affine=False), (1, 3, 5))
case("instancenorm1d", nn.InstanceNorm1d(3), (2, 3, 5), second=True)
case("instancenorm2d", nn.InstanceNorm2d(3, affine=True), (2, 3, 3, 3), second=True)
case("instancenorm2d-tracked", nn.InstanceNorm2d(3, affine=True, track_running_stats=True), (2, 3, 2, 4))
case("instancenorm1d-tracked", nn.InstanceNorm1d(3, momentum=0.2, track_running_stats=True), (1, 3, 5))

# Dropout: in evaluation everything passes; in training see DropoutTests.swift
for name, module, shape in [("dropout", nn.Dropout(0.3), (2, 5)), ("dropout1d", nn.Dropout1d(0.3), (2, 3, 4)),
                            ("dropout2d", nn.Dropout2d(0.3), (2, 3, 2, 2)), ("alphadropout", nn.AlphaDropout(0.3), (2, 5))]:
    case(name, module, shape)

# Activations
for name, module in {
    "relu": nn.ReLU(), "relu6": nn.ReLU6(), "leakyrelu": nn.LeakyReLU(0.2), "elu": nn.ELU(1.3), "celu": nn.CELU(0.5),
    "selu": nn.SELU(), "gelu": nn.GELU(), "gelu-tanh": nn.GELU("tanh"), "silu": nn.SiLU(), "mish": nn.Mish(),
    "sigmoid": nn.Sigmoid(), "logsigmoid": nn.LogSigmoid(), # torch's own kernel has 1 / 6 in float32, in float64 too
    "hardsigmoid": Function(lambda x: F.relu6(x + 3) / 6),
    "hardswish": nn.Hardswish(), "tanh": nn.Tanh(), "hardtanh": nn.Hardtanh(-0.5, 1.5),
    "softplus": nn.Softplus(), "softsign": nn.Softsign(),
}.items():
    case(name, module, (3, 11), kinks=True, second=name in ("gelu", "silu", "sigmoid", "tanh"))
case("softmax", nn.Softmax(-1), (3, 5), second=True)
case("softmax-axis", nn.Softmax(1), (2, 3, 4))
case("logsoftmax", nn.LogSoftmax(-1), (3, 5), second=True)
case("prelu", nn.PReLU(), (3, 5))
case("prelu-channels", nn.PReLU(3), (2, 3, 4))

# Combinations
case("identity", nn.Identity(), (2, 3))
case("lambda", Function(lambda x: x * 2 + 1), (2, 3))
case("residual", Residual(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), (3, 4))
case("residual-shortcut", Residual(nn.Linear(4, 2), nn.Linear(4, 2, bias=False)), (3, 4))
case("highway", Highway(4), (3, 4))
case("concatenate", Branches([nn.Conv2d(2, 1, 1), nn.Conv2d(2, 2, 3, padding=1)]), (2, 2, 3, 3))
case("sequential", nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2),
                                 nn.Flatten(), nn.Linear(12, 3)), (2, 2, 4, 5))
case("weightnorm", parametrizations.weight_norm(nn.Linear(5, 3)), (2, 5))
case("weightnorm-conv", parametrizations.weight_norm(nn.Conv2d(2, 3, 2), dim=1), (2, 2, 3, 3))
case("spectralnorm", parametrizations.spectral_norm(nn.Linear(5, 3)), (2, 5))
case("spectralnorm-conv", parametrizations.spectral_norm(nn.Conv2d(2, 3, 2, bias=False), n_power_iterations=2),
     (2, 2, 3, 3))


def prepare(module):
    """Parameters and buffers that are not the usual 0, 1 and small numbers, all of them float32."""
    for name, parameter in module.named_parameters():
        with torch.no_grad():
            parameter.copy_(torch.randn_like(parameter) * 0.5 + (1 if name.endswith("original0") else 0))
    for name, buffer in module.named_buffers():
        if name.endswith("running_var"):
            buffer.copy_(torch.rand_like(buffer) + 0.5)
        elif name.endswith("num_batches_tracked"):
            buffer.fill_(3)
        elif name.endswith("running_mean"):
            buffer.copy_(torch.randn_like(buffer))


def has_mode(module):
    modes = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.modules.dropout._DropoutNd,
             parametrizations._SpectralNorm)
    return any(isinstance(part, modes) for part in module.modules())


def inputs(shape, integers, kinks):
    if integers is not None:
        return torch.randint(0, integers, shape)
    x = torch.randn(shape) * 2
    if kinks:  # where the branches meet, and far out
        flat = x.view(-1)
        flat[:12] = torch.tensor([0.0, -0.0, -0.5, 1.5, 3, -3, 6, 20, -20, 90, -90, 1])
    return x


def mode_curves(module):
    """Whether dx depends on x: not for a batch normalization with running statistics."""
    return module.training or not isinstance(module, nn.modules.batchnorm._BatchNorm)


def run(module, x, g, v, training, dtype):
    module.train(training)
    parameters = dict(module.named_parameters())
    is_float = x.dtype.is_floating_point
    x = x.to(dtype).requires_grad_(True) if is_float else x
    y = module(x)
    out = {"y": y}
    if is_float and v is not None:
        gradients = torch.autograd.grad(y, [x, *parameters.values()], g.to(dtype), create_graph=True)
        out["dx"] = gradients[0]
        if mode_curves(module):
            out["ddx"] = torch.autograd.grad((gradients[0] * v.to(dtype)).sum(), x)[0]
        gradients = gradients[1:]
    else:
        wanted = ([x] if is_float else []) + list(parameters.values())
        gradients = torch.autograd.grad(y, wanted, g.to(dtype)) if wanted else []
        if is_float:
            out["dx"], gradients = gradients[0], gradients[1:]
    for name, gradient in zip(parameters, gradients):
        out["d." + name] = gradient
    for name, buffer in module.named_buffers():
        out["a." + name] = buffer.clone()
    return {key: value.detach() for key, value in out.items()}


arrays = {}
for name, (module, shape, second, integers, kinks, empty) in CASES.items():
    prepare(module)
    x = inputs(shape, integers, kinks)
    state = copy.deepcopy(module)
    state.eval()
    g = torch.randn_like(state(x))
    v = torch.randn(shape) if second else None
    arrays[f"{name}|x"] = x.numpy() if integers is None else x.numpy().astype(np.int64)
    arrays[f"{name}|g"] = g.detach().numpy()
    if v is not None:
        arrays[f"{name}|v"] = v.numpy()
    for key, parameter in module.named_parameters():
        arrays[f"{name}|p.{key}"] = parameter.detach().numpy().copy()
    for key, buffer in module.named_buffers():
        arrays[f"{name}|b.{key}"] = buffer.numpy().copy()
    random = isinstance(module, nn.modules.dropout._DropoutNd)
    for mode in (["training"] if not random else []) + (["evaluation"] if has_mode(module) else []):
        exact = run(copy.deepcopy(module).double(), x, g, v, mode == "training", torch.float64)
        single = run(copy.deepcopy(module), x, g, v, mode == "training", torch.float32)
        for key, value in exact.items():
            arrays[f"{name}|{mode}|{key}"] = value.numpy()
            scale = value.abs().max().item() if value.numel() else 0
            error = (single[key].double() - value).abs().max().item() if value.numel() else 0
            assert error <= 1e-5 * scale + 1e-30, (name, mode, key, error / scale)
    if empty:
        nothing = torch.zeros((0, *shape[1:]), dtype=x.dtype)
        module = copy.deepcopy(module).train(not random)
        try:
            y = module(nothing)
            parameters = dict(module.named_parameters())
            gradients = torch.autograd.grad(y.sum(), parameters.values(), allow_unused=True) if parameters else []
            assert all(gradient is None or not gradient.any() for gradient in gradients), name
            arrays[f"{name}|empty"] = np.array(y.shape, dtype=np.int64)
        except (RuntimeError, ValueError, IndexError) as error:
            print(name, "takes no empty batch:", str(error).splitlines()[0])

path = pathlib.Path(__file__).with_name("layers.npz")
np.savez_compressed(path, **arrays)
print(len(CASES), "cases,", len(arrays), "arrays,", path.stat().st_size, "bytes")
