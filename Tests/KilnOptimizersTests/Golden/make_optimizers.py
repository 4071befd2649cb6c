"""Ten steps of every optimizer, and the first 1,000 values of every schedule, in float64 by PyTorch.

The optimizers' steps are there in float32 too (`rule32.`). Lion and LAMB, which PyTorch lacks, are Keras'; LAMB with decay,
which Keras leaves out of the trust ratio, follows the paper's formula, in numpy.
Run: python make_optimizers.py (needs torch, keras and numpy); writes optimizers.npz and schedules.npz beside itself.
"""
import os
import pathlib

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np
import torch
from torch.optim import lr_scheduler as S

torch.set_default_dtype(torch.float64)
here = pathlib.Path(__file__).parent
rng = np.random.default_rng(20)
out = {}
start = rng.normal(size=(3, 4))
gradients = rng.normal(size=(10, 3, 4))
gradients[2, 0] = 0
out["start"], out["gradients"] = start, gradients

O = torch.optim
cases = {
    "sgd": (O.SGD, dict(lr=0.1)),
    "sgd-decay": (O.SGD, dict(lr=0.1, weight_decay=0.05)),
    "sgd-momentum": (O.SGD, dict(lr=0.1, momentum=0.9, weight_decay=0.05)),
    "sgd-dampening": (O.SGD, dict(lr=0.1, momentum=0.9, dampening=0.3)),
    "sgd-nesterov": (O.SGD, dict(lr=0.1, momentum=0.8, nesterov=True)),
    "rmsprop": (O.RMSprop, dict(lr=0.01)),
    "rmsprop-centered": (O.RMSprop, dict(lr=0.02, alpha=0.9, eps=1e-5, centered=True, weight_decay=0.1)),
    "rmsprop-momentum": (O.RMSprop, dict(lr=0.02, momentum=0.7)),
    "rmsprop-all": (O.RMSprop, dict(lr=0.02, alpha=0.8, momentum=0.7, centered=True)),
    "adam": (O.Adam, dict(lr=0.01)),
    "adam-decay": (O.Adam, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1)),
    "adam-amsgrad": (O.Adam, dict(lr=0.02, betas=(0.8, 0.6), amsgrad=True)),
    "adamw": (O.AdamW, dict(lr=0.01)),
    "adamw-amsgrad": (O.AdamW, dict(lr=0.02, betas=(0.8, 0.6), eps=1e-4, weight_decay=0.2, amsgrad=True)),
    "adagrad": (O.Adagrad, dict(lr=0.1)),
    "adagrad-decay": (O.Adagrad, dict(lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.3, eps=1e-4)),
    "adadelta": (O.Adadelta, dict()),
    "adadelta-decay": (O.Adadelta, dict(lr=0.5, rho=0.8, eps=1e-4, weight_decay=0.1)),
    "adamax": (O.Adamax, dict(lr=0.02)),
    "adamax-decay": (O.Adamax, dict(lr=0.02, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1)),
    "nadam": (O.NAdam, dict(lr=0.02)),
    "nadam-decay": (O.NAdam, dict(lr=0.02, betas=(0.8, 0.9), weight_decay=0.1, momentum_decay=0.01)),
    "nadam-decoupled": (O.NAdam, dict(lr=0.02, weight_decay=0.1, decoupled_weight_decay=True)),
}
for dtype, prefix in (torch.float64, "rule."), (torch.float32, "rule32."):
    for name, (kind, options) in cases.items():
        w = torch.nn.Parameter(torch.tensor(start, dtype=dtype))
        optimizer = kind([w], **options)
        trace = []
        for g in gradients:
            w.grad = torch.tensor(g, dtype=dtype)
            optimizer.step()
            trace.append(w.detach().numpy().copy())
        out[prefix + name] = np.stack(trace)


def by_keras(optimizer, start, gradients):
    w, trace = keras.Variable(start, dtype=start.dtype.name), []
    for g in gradients:
        optimizer.apply([torch.tensor(g)], [w])
        trace.append(w.numpy().copy())
    return np.stack(trace)


def lamb(start, gradients, lr=1e-3, b1=0.9, b2=0.999, eps=1e-6, wd=0.0):
    w, m, v, trace = start.copy(), np.zeros_like(start), np.zeros_like(start), []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        r = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps) + wd * w
        wn, rn = np.linalg.norm(w), np.linalg.norm(r)
        w = w - lr * (wn / rn if wn > 0 and rn > 0 else 1) * r
        trace.append(w)
    return np.stack(trace)


K = keras.optimizers
for dtype, prefix in (np.float64, "rule."), (np.float32, "rule32."):
    keras.config.set_floatx(np.dtype(dtype).name)
    given = start.astype(dtype), gradients.astype(dtype)
    out[prefix + "lion"] = by_keras(K.Lion(1e-4, 0.9, 0.99), *given)
    out[prefix + "lion-decay"] = by_keras(K.Lion(0.01, 0.8, 0.9, weight_decay=0.1), *given)
    out[prefix + "lamb"] = by_keras(K.Lamb(1e-3, 0.9, 0.999, 1e-6), *given)
    out[prefix + "lamb-decay"] = lamb(*given, 0.01, 0.8, 0.9, 1e-4, 0.1)

# Rosenbrock's function of two parameters, [2] and [1, 2].
for name, options in {
    "plain": dict(lr=0.1, max_iter=4),
    "wolfe": dict(line_search_fn="strong_wolfe", max_iter=5),
    "short": dict(line_search_fn="strong_wolfe", history_size=2, max_iter=7),
}.items():
    a = torch.nn.Parameter(torch.tensor([-1.2, 1.0]))
    b = torch.nn.Parameter(torch.tensor([[0.5, -0.3]]))
    optimizer = torch.optim.LBFGS([a, b], **options)

    def closure():
        optimizer.zero_grad()
        x = torch.cat([a, b.reshape(-1)])
        loss = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum() * 0.1
        loss.backward()
        return loss

    trace, losses = [], []
    for _ in range(10):
        losses.append(float(optimizer.step(closure)))
        trace.append(torch.cat([a, b.reshape(-1)]).detach().numpy().copy())
    out["lbfgs." + name], out["lbfgs." + name + ".losses"] = np.stack(trace), np.array(losses)

clip = [torch.nn.Parameter(torch.zeros(3, 4)), torch.nn.Parameter(torch.zeros(4))]
for limit in (0.5, 50.0):
    clip[0].grad, clip[1].grad = torch.tensor(gradients[0]), torch.tensor(gradients[1, 0])
    out[f"clip.{limit}.norm"] = torch.nn.utils.clip_grad_norm_(clip, limit).numpy()
    out[f"clip.{limit}.0"], out[f"clip.{limit}.1"] = clip[0].grad.numpy(), clip[1].grad.numpy()

swa = torch.optim.swa_utils
source = torch.nn.Linear(4, 3, bias=False)
source.weight.data = torch.tensor(start)
average = swa.AveragedModel(source, multi_avg_fn=swa.get_ema_multi_avg_fn(0.9))
average.update_parameters(source)  # the first call copies
trace = []
for g in gradients:
    source.weight.data = source.weight.data - torch.tensor(g)
    average.update_parameters(source)
    trace.append(average.module.weight.detach().numpy().copy())
out["average"] = np.stack(trace)
np.savez_compressed(here / "optimizers.npz", **out)


def rates(make, n=1000):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = make(optimizer)
    values = []
    for _ in range(n):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return np.array(values)


C = dict(cycle_momentum=False)
schedules = {
    "constant": lambda o: S.ConstantLR(o, 0.25, 40),
    "lambda": lambda o: S.LambdaLR(o, lambda n: 1 / (1 + n)),
    "step": lambda o: S.StepLR(o, 70, 0.7),
    "multi-step": lambda o: S.MultiStepLR(o, [30, 200, 700], 0.3),
    "exponential": lambda o: S.ExponentialLR(o, 0.99),
    "polynomial": lambda o: S.PolynomialLR(o, 600, 2.0),
    "linear": lambda o: S.LinearLR(o, 0.1, 0.9, 130),
    "cosine": lambda o: S.CosineAnnealingLR(o, 999, 0.01),
    "cosine-continued": lambda o: S.CosineAnnealingLR(o, 150, 0.01),
    "restarts": lambda o: S.CosineAnnealingWarmRestarts(o, 90, 1, 0.01),
    "restarts-growing": lambda o: S.CosineAnnealingWarmRestarts(o, 30, 3, 0.0),
    "triangular": lambda o: S.CyclicLR(o, 0.3, 1.0, 60, **C),
    "triangular2": lambda o: S.CyclicLR(o, 0.3, 1.0, 60, 90, "triangular2", **C),
    "exp-range": lambda o: S.CyclicLR(o, 0.3, 1.0, 40, None, "exp_range", 0.995, **C),
    "one-cycle": lambda o: S.OneCycleLR(o, 0.3, 1001, **C),
    "one-cycle-linear": lambda o: S.OneCycleLR(o, 0.3, 1003, pct_start=0.2, anneal_strategy="linear", div_factor=10, **C),
    "one-cycle-three": lambda o: S.OneCycleLR(o, 0.3, 1001, pct_start=0.4, three_phase=True, **C),
    "chained": lambda o: S.ChainedScheduler([S.ConstantLR(o, 0.1, 100), S.ExponentialLR(o, 0.995)]),
    "sequential": lambda o: S.SequentialLR(
        o, [S.LinearLR(o, 0.01, 1.0, 100), S.StepLR(o, 200, 0.5), S.ExponentialLR(o, 0.99)], [100, 800]),
}
values = {name: rates(make) for name, make in schedules.items()}
figures = np.concatenate([1 / np.sqrt(np.arange(1, 401)), 0.05 + 0.01 * rng.normal(size=600)])
values["plateau.figures"] = figures
for name, options in {
    "plateau": dict(patience=7, factor=0.6),
    "plateau-max": dict(mode="max", patience=20, factor=0.5, threshold_mode="abs", threshold=0.003, cooldown=9, min_lr=0.01),
    "plateau-min-absolute": dict(patience=5, factor=0.8, threshold_mode="abs", threshold=1e-3, cooldown=3),
    "plateau-max-relative": dict(mode="max", patience=15, factor=0.3, threshold=0.01, min_lr=1e-3),
}.items():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = S.ReduceLROnPlateau(optimizer, **options)
    trace = []
    for figure in figures:
        schedule.step(figure)
        trace.append(optimizer.param_groups[0]["lr"])
    values[name] = np.array(trace)
np.savez_compressed(here / "schedules.npz", **values)
