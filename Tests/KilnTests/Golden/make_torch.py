"""Writes torch.npz with PyTorch 2: layers, losses and ten steps of the optimizers. python3 make_torch.py (in this folder)."""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
out = {}

# Ten steps from the same gradients, in float64, so that only the formula is compared.
start, gradients = torch.randn(3, 2), torch.randn(10, 3, 2)
out["start"], out["gradients"] = start, gradients
for name, make in {
    "sgd": lambda p: torch.optim.SGD([p], lr=0.1),
    "sgd-decay": lambda p: torch.optim.SGD([p], lr=0.1, weight_decay=0.05),
    "sgd-momentum": lambda p: torch.optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.05),
    "sgd-dampening": lambda p: torch.optim.SGD([p], lr=0.1, momentum=0.9, dampening=0.3),
    "sgd-nesterov": lambda p: torch.optim.SGD([p], lr=0.1, momentum=0.8, nesterov=True),
    "adam": lambda p: torch.optim.Adam([p], lr=0.01),
    "adam-decay": lambda p: torch.optim.Adam([p], lr=0.02, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1),
}.items():
    p = start.clone().requires_grad_()
    optimizer = make(p)
    values = []
    for g in gradients:
        p.grad = g.clone()
        optimizer.step()
        values.append(p.detach().clone())
    out[f"optimizer.{name}"] = torch.stack(values)

# A whole classifier: weights, logits, loss and gradients.
net = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
x = torch.randn(4, 2, 3, requires_grad=True)
labels = torch.tensor([0, 2, 1, 2])
logits = net(x)
loss = F.cross_entropy(logits, labels)
loss.backward()
out |= {"mlp.x": x, "mlp.labels": labels, "mlp.logits": logits, "mlp.loss": loss, "mlp.x.grad": x.grad}
for name, p in net.named_parameters():
    out[f"mlp.{name}"], out[f"mlp.{name}.grad"] = p, p.grad
ignored = torch.tensor([0, -1, 1, -1])
out["ignored.labels"], out["ignored.loss"] = ignored, F.cross_entropy(logits, ignored, ignore_index=-1)
out["mse"] = F.mse_loss(logits, torch.ones_like(logits))

# A convolution with every option, pooled.
conv = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)
x = torch.randn(2, 4, 7, 5, requires_grad=True)
y = F.max_pool2d(F.relu(conv(x)), 2)
(y * torch.arange(y.numel()).reshape(y.shape)).sum().backward()
out |= {"conv.x": x, "conv.y": y, "conv.x.grad": x.grad}
for name, p in conv.named_parameters():
    out[f"conv.{name}"], out[f"conv.{name}.grad"] = p, p.grad

np.savez("torch.npz", **{k: v.detach().numpy() for k, v in out.items()})
