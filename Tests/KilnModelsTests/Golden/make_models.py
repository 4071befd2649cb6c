"""Writes whole models with random weights: MODEL.safetensors and MODEL.npz (inputs, logits, loss, all gradients and the
losses of 20 AdamW steps on the same batch), with PyTorch 2 and transformers. python3 make_models.py (in this folder)."""
import copy
import os
import shutil
import tempfile

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel


def write(name, model, inputs, labels, logits_of, loss_of, rate):
    """The model's weights, and what it computes in training mode."""
    model.train()
    if hasattr(model, "save_pretrained"):
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            shutil.copy(os.path.join(folder, "model.safetensors"), f"{name}.safetensors")
    else:
        save_file(model.state_dict(), f"{name}.safetensors")
    out = {f"in.{k}": v for k, v in inputs.items()} | {"labels": labels}
    evaluated = copy.deepcopy(model).eval()
    out["evaluated"] = logits_of(evaluated)
    logits = logits_of(model)
    loss = loss_of(logits)
    loss.backward()
    out |= {"logits": logits, "loss": loss}
    for parameter_name, p in model.named_parameters():
        out[f"grad.{parameter_name}"] = p.grad
    model.zero_grad()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = loss_of(logits_of(model))
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    out["losses"] = torch.stack(losses)
    np.savez_compressed(f"{name}.npz", **{k: v.detach().numpy() for k, v in out.items()})
    print(name, [round(float(v), 4) for v in losses[::6]])


def randomize(model, deviation):
    """Weights that matter everywhere: norms and biases too."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * deviation)


class Basic(nn.Module):
    def __init__(s, i, o, st):
        super().__init__()
        s.c1, s.n1 = nn.Conv2d(i, o, 3, st, 1, bias=False), nn.BatchNorm2d(o)
        s.c2, s.n2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        s.s = nn.Sequential()
        if st != 1 or i != o:
            s.s = nn.Sequential(nn.Conv2d(i, o, 1, st, bias=False), nn.BatchNorm2d(o))

    def forward(s, x):
        return F.relu(s.n2(s.c2(F.relu(s.n1(s.c1(x))))) + s.s(x))


def resnet20(width, classes):
    layers, i = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()], width
    for o, st in (width, 1), (2 * width, 2), (4 * width, 2):
        for k in range(3):
            layers.append(Basic(i, o, st if k == 0 else 1))
            i = o
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes))


class Tagger(nn.Module):
    def __init__(s, words, features, hidden, classes):
        super().__init__()
        s.embedding = nn.Embedding(words, features)
        s.lstm = nn.LSTM(features, hidden, 2, batch_first=True, bidirectional=True)
        s.output = nn.Linear(2 * hidden, classes)

    def forward(s, x):
        return s.output(s.lstm(s.embedding(x))[0])


torch.manual_seed(20)
model = resnet20(4, 5)
x, labels = torch.randn(4, 3, 12, 12), torch.tensor([0, 3, 1, 4])
with torch.no_grad():
    for _ in range(3):
        model.train()(torch.randn(8, 3, 12, 12))
write("resnet", model, {"x": x}, labels, lambda m: m(x), lambda y: F.cross_entropy(y, labels), 1e-3)

model = Tagger(19, 6, 7, 4)
tokens, tags = torch.randint(0, 19, (3, 9)), torch.randint(0, 4, (3, 9))
write("tagger", model, {"tokens": tokens}, tags, lambda m: m(tokens),
      lambda y: F.cross_entropy(y.flatten(0, 1), tags.flatten()), 1e-2)

model = GPT2LMHeadModel(GPT2Config(
    vocab_size=23, n_positions=16, n_embd=12, n_layer=2, n_head=3, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
    bos_token_id=0, eos_token_id=0))
randomize(model, 0.05)
ids = torch.randint(0, 23, (2, 11))
write("gpt2", model, {"tokens": ids}, ids, lambda m: m(ids).logits,
      lambda y: F.cross_entropy(y[:, :-1].flatten(0, 1), ids[:, 1:].flatten()), 3e-3)

model = BertForSequenceClassification(BertConfig(
    vocab_size=21, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20,
    max_position_embeddings=14, num_labels=3, hidden_dropout_prob=0, attention_probs_dropout_prob=0))
randomize(model, 0.05)
words, classes = torch.randint(1, 21, (3, 10)), torch.tensor([2, 0, 1])
mask = torch.tensor([[1] * 10, [1] * 7 + [0] * 3, [1] * 4 + [0] * 6])
types = torch.tensor([[0] * 5 + [1] * 5] * 3)
write("bert", model, {"tokens": words, "mask": mask, "types": types}, classes,
      lambda m: m(input_ids=words, attention_mask=mask, token_type_ids=types).logits,
      lambda y: F.cross_entropy(y, classes), 3e-3)
