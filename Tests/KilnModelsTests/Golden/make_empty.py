"""Writes empty.npz with PyTorch 2: sequence layers given no samples or no tokens. python3 make_empty.py (in this folder).
Its recurrent layers refuse sequences of no steps, and packed batches of no sequences: those have no values here."""
import torch
import torch.nn as nn

from recorder import Recorder

torch.manual_seed(13)
torch.set_default_dtype(torch.float64)
record = Recorder()


def flat(y, state):
    return (y, *state) if isinstance(state, tuple) else (y, state)


for kind, layer, cell, options in (
    ("tanh", nn.RNN, nn.RNNCell, {}), ("relu", nn.RNN, nn.RNNCell, dict(nonlinearity="relu")),
    ("lstm", nn.LSTM, nn.LSTMCell, {}), ("gru", nn.GRU, nn.GRUCell, {}),
):
    states = 2 if kind == "lstm" else 1

    def joined(tensors):
        return tensors if states == 2 else tensors[0]

    stack = layer(3, 2, num_layers=2, bidirectional=True, batch_first=True, **options)
    record(
        f"{kind}.layer", stack, [torch.randn(0, 4, 3)] + [torch.randn(4, 0, 2) for _ in range(states)],
        lambda x, *s: flat(*stack(x, joined(s))))
    step = cell(4, 3, **options)
    record(
        f"{kind}.cell", step, [torch.randn(0, 4)] + [torch.randn(0, 3) for _ in range(states)],
        lambda x, *s: step(x, joined(s)))

heads = nn.MultiheadAttention(6, 2, batch_first=True)
record("heads.batch", heads, [torch.randn(0, 5, 6), torch.randn(0, 3, 6)], lambda q, k: heads(q, k, k)[0])
silent = nn.MultiheadAttention(6, 2, batch_first=True)
record("heads.time", silent, [torch.randn(2, 0, 6)], lambda x: silent(x, x, x)[0])
for name, norm_first in ("post", False), ("pre", True):
    options = dict(dropout=0, batch_first=True, norm_first=norm_first)
    record(f"encoder.{name}", nn.TransformerEncoderLayer(6, 2, 9, **options), [torch.randn(0, 5, 6)])
    record(
        f"decoder.{name}", nn.TransformerDecoderLayer(6, 2, 9, **options),
        [torch.randn(0, 5, 6), torch.randn(0, 4, 6)])

record.save("empty.npz")
