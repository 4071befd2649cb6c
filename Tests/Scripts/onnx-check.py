"""Holds Kiln's ONNX and TensorBoard files against their own tools.

    onnx-check.py onnx FOLDER          every FOLDER/name.onnx by onnx.checker and onnxruntime: for each FOLDER/name.N.npz,
                                       inputs and Kiln's output for a batch of N, the outputs must agree within 1e-4
    onnx-check.py tensorboard FOLDER EXPECTED.json
                                       the event files by TensorBoard's own reader, against what was written
"""

import glob
import json
import os
import sys

import numpy as np


def check_onnx(folder):
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    failed = 0
    names = sorted(glob.glob(os.path.join(folder, "*.onnx")))
    assert names, f"no .onnx files in {folder}"
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
    for path in names:
        name = os.path.basename(path)[: -len(".onnx")]
        try:
            model = onnx.load(path)
            onnx.checker.check_model(model, full_check=True)
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            samples = sorted(glob.glob(os.path.join(folder, name + ".*.npz")))
            assert len(samples) >= 2, "needs samples of two batch sizes"
            words = []
            for sample in samples:
                arrays = dict(np.load(sample))
                expected = arrays.pop("output")
                (result,) = session.run(["output"], arrays)
                assert result.shape == expected.shape, f"shape {result.shape}, Kiln's is {expected.shape}"
                assert result.dtype == expected.dtype, f"dtype {result.dtype}, Kiln's is {expected.dtype}"
                assert np.isfinite(expected).all(), "Kiln's own output is not finite"
                error = float(np.abs(result.astype(np.float64) - expected).max())
                # Of outputs near 0 the bound is as much smaller.
                bound = 1e-4 * min(1.0, float(np.ptp(expected)))
                assert bound > 0, "Kiln's own output is one number everywhere"
                assert error <= bound, f"differs by {error:.2e} for {os.path.basename(sample)}, allowed is {bound:.1e}"
                words.append(f"{error:.1e}")
            print(f"ok    {name:24s} {len(model.graph.node):5d} nodes, differs by {', '.join(words)}")
        except Exception as problem:
            failed += 1
            print(f"FAIL  {name:24s} {str(problem).splitlines()[0][:300]}")
    print(f"{len(names) - failed} of {len(names)} models agree")
    return failed == 0


def check_tensorboard(folder, expected_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with open(expected_path) as file:
        expected = json.load(file)
    # 0: keep all.
    events = EventAccumulator(folder, size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    for tag, points in expected["scalars"].items():
        read = [[event.step, event.value] for event in events.Scalars(tag)]
        assert [step for step, _ in read] == [step for step, _ in points], f"{tag}: steps {read}, expected {points}"
        assert np.allclose([value for _, value in read], [value for _, value in points], rtol=1e-6), tag
    for tag, count in expected["histograms"].items():
        read = events.Histograms(tag)
        assert read, tag
        for event in read:
            histogram = event.histogram_value
            assert histogram.num == count == sum(histogram.bucket), f"{tag}: {histogram}"
            assert len(histogram.bucket) == len(histogram.bucket_limit)
            assert histogram.bucket_limit[-1] == histogram.max
    for tag, (height, width) in expected["images"].items():
        (event,) = events.Images(tag)
        assert (event.height, event.width) == (height, width), tag
        check_picture(event.encoded_image_string, height, width)
    print(f"TensorBoard reads {len(tags['scalars'])} scalars, {len(tags['histograms'])} histograms, "
          f"{len(tags['images'])} images of {folder}")
    return True


def check_picture(data, height, width):
    """Unpacks the PNG by hand: the environment has no other reader for sure."""
    import struct
    import zlib

    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    position, parts = 8, b""
    while position < len(data):
        (length,) = struct.unpack(">I", data[position:position + 4])
        kind, body = data[position + 4:position + 8], data[position + 8:position + 8 + length]
        (crc,) = struct.unpack(">I", data[position + 8 + length:position + 12 + length])
        assert crc == zlib.crc32(kind + body), f"chunk {kind}"
        if kind == b"IHDR":
            assert struct.unpack(">II", body[:8]) == (width, height)
        if kind == b"IDAT":
            parts += body
        position += 12 + length
    rows = zlib.decompress(parts)
    assert len(rows) % height == 0


if __name__ == "__main__":
    checks = {"onnx": check_onnx, "tensorboard": check_tensorboard}
    sys.exit(0 if checks[sys.argv[1]](*sys.argv[2:]) else 1)
