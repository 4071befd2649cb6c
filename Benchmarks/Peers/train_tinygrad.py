"""Trains three of the workloads of `kiln-bench train` with tinygrad on its OpenCL device.

usage: TRAINING=1 DEV=CL train_tinygrad.py [--seconds S] WORKLOAD...
"""
import argparse
import json
import statistics
import time

from tinygrad import Tensor, TinyJit, nn


def perceptron():
    first, second = nn.Linear(784, 128), nn.Linear(128, 10)
    return [first, second], lambda x: second(first(x.flatten(1)).relu())


def convolutional():
    layers = [nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3), nn.Linear(1600, 128), nn.Linear(128, 10)]

    def forward(x):
        for convolution in layers[:2]:
            x = convolution(x).relu().max_pool2d()
        return layers[3](layers[2](x.flatten(1)).relu())

    return layers, forward


WORKLOADS = {"mlp-mnist-b32": (perceptron, 32), "mlp-mnist-b128": (perceptron, 128), "cnn-mnist-b64": (convolutional, 64)}


def measure(name, seconds):
    make, batch = WORKLOADS[name]
    layers, forward = make()
    optimizer = nn.optim.Adam([p for layer in layers for p in (layer.weight, layer.bias)], lr=1e-3)
    x, y = Tensor.randn(batch, 1, 28, 28).realize(), Tensor.randint(batch, high=10).realize()

    @TinyJit
    def step(x, y):
        optimizer.zero_grad()
        loss = forward(x).sparse_categorical_crossentropy(y).backward()
        return loss.realize(*optimizer.schedule_step())

    def run(count):
        start = time.perf_counter()
        for _ in range(count):
            loss = step(x, y)
        loss.item()
        return (time.perf_counter() - start) / count

    first = run(1)
    run(4)
    count = max(1, int(seconds / 8 / run(2)))
    times = sorted(run(count) for _ in range(8))
    return {
        "peer": "tinygrad", "workload": name, "ms_per_step": statistics.median_high(times) * 1e3,
        "first_step_s": first, "spread": times[-1] / times[0],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    options = parser.parse_args()
    for name in options.workloads:
        if name in WORKLOADS:
            print(json.dumps(measure(name, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
