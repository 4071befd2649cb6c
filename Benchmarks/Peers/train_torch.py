"""Trains the nine workloads of `kiln-bench train` with PyTorch, eager, on synthetic batches of the real shapes.

usage: train_torch.py [--threads N] [--seconds S] WORKLOAD...

A line of JSON each: the median time of a step (forward, loss, backward, Adam) over eight windows.
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


class Series(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.RNN(1, 50, batch_first=True)
        self.second = nn.RNN(50, 50, batch_first=True)
        self.head = nn.Linear(50, 1)

    def forward(self, x):
        return self.head(self.second(self.first(x)[0])[0][:, -1])


class Characters(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(65, 256)
        self.lstm = nn.LSTM(256, 256, 2, batch_first=True)
        self.head = nn.Linear(256, 65)

    def forward(self, x):
        return self.head(self.lstm(self.tokens(x))[0])


class DecoderBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, steps, width = x.shape
        parts = self.qkv(self.norm1(x)).view(batch, steps, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*parts, is_causal=True)
        x = x + self.projection(mixed.transpose(1, 2).reshape(batch, steps, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Decoder(nn.Module):
    def __init__(self, width, layers, heads, steps):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(65, width), nn.Embedding(steps, width)
        self.blocks = nn.Sequential(*(DecoderBlock(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 65, bias=False)

    def forward(self, x):
        places = torch.arange(x.shape[1])
        return self.head(self.norm(self.blocks(self.tokens(x) + self.positions(places))))


class Residual(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.convolution1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.convolution2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(filters), nn.BatchNorm2d(filters)
        same = stride == 1 and channels == filters
        down = [] if same else [nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)]
        self.shortcut = nn.Sequential(*down)

    def forward(self, x):
        y = self.norm2(self.convolution2(F.relu(self.norm1(self.convolution1(x)))))
        return F.relu(y + self.shortcut(x))


def residual20():
    layers, channels = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for filters, stride in (16, 1), (32, 2), (64, 2):
        for block in range(3):
            layers.append(Residual(channels, filters, stride if block == 0 else 1))
            channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def wide():
    hidden = [nn.Linear(1024, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(2048, 10))


def convolutional():
    features = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), nn.Linear(128, 10))


def images(*shape):
    return lambda: (torch.randn(*shape), torch.randint(0, 10, shape[:1]))


def text(*shape):
    return lambda: (torch.randint(0, 65, shape), torch.randint(0, 65, shape))


def series():
    return torch.randn(32, 50, 1), torch.randn(32, 1)


WORKLOADS = {
    "mlp-mnist-b32": (perceptron, images(32, 1, 28, 28)),
    "mlp-mnist-b128": (perceptron, images(128, 1, 28, 28)),
    "mlp-wide-b256": (wide, images(256, 1024)),
    "cnn-mnist-b64": (convolutional, images(64, 1, 28, 28)),
    "resnet20-cifar-b64": (residual20, images(64, 3, 32, 32)),
    "rnn-seed-b32": (Series, series),
    "lstm-char-b32": (Characters, text(32, 64)),
    "gpt-nano-b12": (lambda: Decoder(128, 4, 4, 64), text(12, 64)),
    "gpt-mini-b16": (lambda: Decoder(256, 6, 8, 128), text(16, 128)),
}


def measure(name, seconds):
    torch.manual_seed(0)
    make, batch = WORKLOADS[name]
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = [batch() for _ in range(8)]

    def step(i):
        x, y = batches[i % 8]
        result = model(x)
        loss = F.mse_loss(result, y) if y.is_floating_point() else F.cross_entropy(result.flatten(0, -2), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def run(count):
        start = time.perf_counter()
        for i in range(count):
            step(i)
        return (time.perf_counter() - start) / count

    first = run(1)
    run(5)
    count = max(1, int(seconds / 8 / run(2)))
    times = sorted(run(count) for _ in range(8))
    return {
        "peer": "PyTorch", "workload": name, "ms_per_step": statistics.median_high(times) * 1e3,
        "first_step_s": first, "spread": times[-1] / times[0],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    for name in options.workloads:
        print(json.dumps(measure(name, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
