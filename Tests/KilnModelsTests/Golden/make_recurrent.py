"""Writes recurrent.npz with PyTorch 2: recurrent layers and cells. python3 make_recurrent.py (in this folder)."""
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recorder import Recorder

torch.manual_seed(11)
torch.set_default_dtype(torch.float64)
record = Recorder()
KINDS = {
    "tanh": lambda *a, **k: nn.RNN(*a, **k),
    "relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
    "lstm": lambda *a, **k: nn.LSTM(*a, **k),
    "gru": lambda *a, **k: nn.GRU(*a, **k),
}


def flat(y, state):
    return (y, *state) if isinstance(state, tuple) else (y, state)


for kind, make in KINDS.items():
    states = 2 if kind == "lstm" else 1

    def state(tensors):
        return None if not tensors else tuple(tensors) if states == 2 else tensors[0]

    # One layer, batch first, from the state 0.
    module = make(4, 3, batch_first=True)
    record(f"{kind}.plain", module, [torch.randn(2, 5, 4)], lambda x: flat(*module(x)))
    # Two layers in both directions, time first, with a state in and out.
    both = make(3, 5, num_layers=2, bidirectional=True)
    record(
        f"{kind}.both", both, [torch.randn(7, 3, 3)] + [torch.randn(4, 3, 5) for _ in range(states)],
        lambda x, *s: flat(*both(x, state(s))))
    # The same with sequences of different lengths.
    lengths = torch.tensor([4, 1, 6])

    def packed(x, *s):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, final = ragged(packed, state(s))
        return flat(pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0], final)

    ragged = make(3, 2, num_layers=2, bidirectional=True, batch_first=True)
    record(
        f"{kind}.ragged", ragged, [torch.randn(3, 7, 3)] + [torch.randn(4, 3, 2) for _ in range(states)], packed)
    # One step of one sample, without biases.
    single = make(1, 2, bias=False, batch_first=True)
    record(f"{kind}.single", single, [torch.randn(1, 1, 1)], lambda x: flat(*single(x)))

for name, cell in {
    "tanh": nn.RNNCell(4, 3), "relu": nn.RNNCell(4, 3, nonlinearity="relu"), "lstm": nn.LSTMCell(4, 3),
    "gru": nn.GRUCell(4, 3),
}.items():
    if name == "lstm":
        record("lstm.cell", cell, [torch.randn(2, 4), torch.randn(2, 3), torch.randn(2, 3)], lambda x, h, c: cell(x, (h, c)))
    else:
        record(f"{name}.cell", cell, [torch.randn(2, 4), torch.randn(2, 3)])

record.save("recurrent.npz")
