"""Records what a PyTorch module computes: inputs, parameters, results, cotangents and all gradients, in float64."""
import numpy as np
import torch


class Recorder:
    """`CASE/in.N`, `CASE/p.NAME`, `CASE/out.N`, `CASE/g.N`, `CASE/din.N` and `CASE/dp.NAME` of every case."""

    def __init__(self):
        self.values = {}

    def __call__(self, case, module, inputs, call=None):
        """`call` (by default the module) takes the inputs and gives one or more tensors."""
        inputs = [x.clone() for x in inputs]
        for x in inputs:
            if x.is_floating_point():
                x.requires_grad_()
        results = (call or module)(*inputs)
        results = [results] if torch.is_tensor(results) else list(results)
        # The loss is the sum of all results, each weighted by random numbers.
        cotangents = [torch.randn_like(y) for y in results]
        sum((y * g).sum() for y, g in zip(results, cotangents)).backward()
        for name, tensors in ("in", inputs), ("out", results), ("g", cotangents):
            for i, tensor in enumerate(tensors):
                self.put(f"{case}/{name}.{i}", tensor)
        for i, x in enumerate(inputs):
            if x.is_floating_point():
                self.put(f"{case}/din.{i}", x.grad)
        for name, p in module.named_parameters() if module is not None else []:
            self.put(f"{case}/p.{name}", p)
            self.put(f"{case}/dp.{name}", p.grad)
        for name, b in module.named_buffers() if module is not None else []:
            self.put(f"{case}/b.{name}", b)

    def put(self, name, tensor):
        assert name not in self.values, name
        self.values[name] = tensor.detach().numpy().copy()

    def save(self, path):
        np.savez_compressed(path, **self.values)
