"""Runs each workload with Kiln and with its peers in turn, several rounds, and prints a table of ratios.

usage: train.py path/to/kiln-bench [--rounds N] [--seconds S] [--devices cpu,opencl:0] [WORKLOAD...]
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def line(command, environment=None):
    """The JSON that a command prints, or None if it prints none."""
    result = subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stderr[-2000:]}")
    lines = [text for text in result.stdout.splitlines() if text.startswith("{")]
    return json.loads(lines[-1]) if lines else None


def main():
    sys.path.insert(0, str(HERE))
    from train_torch import WORKLOADS

    parser = argparse.ArgumentParser()
    parser.add_argument("bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--devices", default="cpu,opencl:0")
    parser.add_argument("--no-tinygrad", action="store_true")
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    options = parser.parse_args()
    devices = options.devices.split(",")
    seconds = ["--seconds", str(options.seconds)]
    names = ["PyTorch"] + ([] if options.no_tinygrad else ["tinygrad"]) + devices

    print("ms per step, medians of", options.rounds, "rounds in turn; ratios are Kiln's time by the peer's")
    print("| workload | " + " | ".join(names) + " | " + " | ".join(f"{d} / PyTorch" for d in devices) + " |")
    print("|" + "---|" * (1 + len(names) + len(devices)), flush=True)
    for workload in options.workloads:
        times = {name: [] for name in names}
        for _ in range(options.rounds):
            commands = {
                "PyTorch": [sys.executable, HERE / "train_torch.py", *seconds, workload],
                "tinygrad": [sys.executable, HERE / "train_tinygrad.py", *seconds, workload],
            }
            for device in devices:
                commands[device] = [options.bench, "train-worker", workload, "--device", device, *seconds]
            for name in names:
                figure = line(commands[name], {"TRAINING": "1", "DEV": "CL"} if name == "tinygrad" else None)
                if figure:
                    times[name].append(figure["ms_per_step"])
        middle = {name: statistics.median_high(values) if values else None for name, values in times.items()}
        cells = [f"{middle[name]:.3f}" if middle[name] else "" for name in names]
        cells += [f"{middle[device] / middle['PyTorch']:.2f}" for device in devices]
        print(f"| {workload} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
