"""1024 x 1024 float32 matrix product: PyTorch and kiln-bench in turn, and the ratio of their speeds.

Usage: matmul_torch.py path/to/kiln-bench [--size 1024] [--rounds 5]

Each round measures PyTorch in this process, then Kiln in one of its own, so that both see the same minutes of the same
machine. Both use all cores. Exits with 1 if Kiln's CPU device is below 0.85 of PyTorch's speed, or its first OpenCL
device below 0.5 of the CPU device's (a device is skipped by --no-opencl only).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import torch

CPU_FLOOR = 0.85
OPENCL_FLOOR = 0.5


def torch_gflops(size: int, repeats: int) -> float:
    a = torch.rand(size, size) * 2 - 1
    b = torch.rand(size, size) * 2 - 1
    times = []
    for round_ in range(repeats + 3):
        start = time.perf_counter()
        torch.matmul(a, b)
        if round_ >= 3:
            times.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(times) / 1e9


def kiln_gflops(tool: str, device: str, size: int, repeats: int) -> float:
    command = [tool, "matmul", "--size", str(size), "--device", device, "--repeats", str(repeats), "--json"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output)["gflops"]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--no-opencl", action="store_true")
    options = parser.parse_args()

    runs = {"torch": lambda: torch_gflops(options.size, options.repeats)}
    for device in ["cpu"] if options.no_opencl else ["cpu", "opencl:0"]:
        runs[device] = lambda device=device: kiln_gflops(options.tool, device, options.size, options.repeats)
    figures = {name: [] for name in runs}
    for round_ in range(options.rounds):
        for name, measure in runs.items():
            figures[name].append(measure())
        line = ", ".join(f"{name} {values[-1]:.1f}" for name, values in figures.items())
        print(f"round {round_ + 1}: GFLOP/s {line}", flush=True)

    middle = {name: statistics.median(values) for name, values in figures.items()}
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads: {middle['torch']:.1f} GFLOP/s")
    failed = False
    checks = [("cpu", "torch", CPU_FLOOR)]
    if not options.no_opencl:
        checks.append(("opencl:0", "cpu", OPENCL_FLOOR))
    for device, peer, floor in checks:
        ratio = middle[device] / middle[peer]
        verdict = "" if ratio >= floor else f"  BELOW {floor}"
        failed = failed or ratio < floor
        print(f"Kiln {device}: {middle[device]:.1f} GFLOP/s, {ratio:.2f} of {peer}{verdict}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
