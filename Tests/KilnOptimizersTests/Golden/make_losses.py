"""Losses with their gradients by PyTorch in float64, and metrics by scikit-learn.

Where PyTorch has none (hinge, contrastive, focal), the published formula is differentiated by PyTorch.
Run: python make_losses.py (needs torch, numpy and scikit-learn); writes losses.npz and metrics.npz beside itself.
"""
import pathlib

import numpy as np
import sklearn.metrics as M
import torch
import torch.nn.functional as F

here = pathlib.Path(__file__).parent
rng = np.random.default_rng(7)
out = {}
T = lambda x: torch.tensor(x)


def case(name, function, *inputs):
    """The value, and the gradient of (value * (1, 2, ...)).sum() by each float input."""
    leaves = [T(x).requires_grad_(x.dtype == np.float64) for x in inputs]
    y = function(*leaves)
    (y * torch.arange(1.0, y.numel() + 1, dtype=torch.float64).reshape(y.shape)).sum().backward()
    out[name] = y.detach().numpy()
    for i, (x, leaf) in enumerate(zip(inputs, leaves)):
        out[f"{name}.x{i}"] = x
        if leaf.grad is not None:
            out[f"{name}.g{i}"] = leaf.grad.numpy()


def each(name, function, *inputs, reductions=("none", "mean", "sum")):
    for r in reductions:
        case(f"{name}/{r}", lambda *x: function(*x, r), *inputs)


def reduce(x, r):
    return {"none": x, "mean": x.mean(), "sum": x.sum()}[r]


a, b = rng.normal(size=(5, 3)) * 2, rng.normal(size=(5, 3))
each("mse", lambda x, y, r: F.mse_loss(x, y, reduction=r), a, b)
each("mae", lambda x, y, r: F.l1_loss(x, y, reduction=r), a, b)
each("huber", lambda x, y, r: F.huber_loss(x, y, delta=0.7, reduction=r), a, b)
each("smooth", lambda x, y, r: F.smooth_l1_loss(x, y, beta=0.7, reduction=r), a, b)
w = rng.uniform(0.1, 2, size=5)
each("weighted", lambda x, y, r: reduce((x - y) ** 2 * T(w)[:, None], r), a, b)
out["sample.weights"] = w

p, t = rng.uniform(size=(4, 3)), rng.uniform(size=(4, 3))
p[0], t[0] = [0, 1, 0], [0, 1, 1]
p[1, 0], t[1, 0] = 1, 0
# By the targets PyTorch's gradient is infinite at 0 and 1.
each("bce", lambda x, y, r: F.binary_cross_entropy(x, y.detach(), reduction=r), p, t)
each("bce-inner", lambda x, y, r: F.binary_cross_entropy(x, y, reduction=r), p[2:] * 0.9 + 0.05, t[2:])
z = rng.normal(size=(4, 3)) * 3
z[0], z[1, 0] = [1e4, -1e4, 1e4], -1e4
hard = (rng.uniform(size=(4, 3)) > 0.5).astype(np.float64)
hard[0] = [1, 1, 0]
pw = np.array([0.5, 2.0, 3.0])
out["positive.weight"] = pw
each("logits", lambda x, y, r: F.binary_cross_entropy_with_logits(x, y, reduction=r), z, t)
each("positive", lambda x, y, r: F.binary_cross_entropy_with_logits(x, y, pos_weight=T(pw), reduction=r), z, hard)


def focal(x, y, r):
    q = torch.sigmoid(x)
    q = q * y + (1 - q) * (1 - y)
    ce = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    return reduce((0.25 * y + 0.75 * (1 - y)) * (1 - q) ** 2 * ce, r)


each("focal", focal, z, hard)

c = rng.normal(size=(6, 4)) * 2
c[0], c[1] = [1e4, -1e4, 0, 3], [-1e4, 1e4, 1e4, 0]
labels = np.array([1, 0, 3, 2, 3, 1])
ignored = np.array([1, -1, 3, -1, 0, 2])
cw = np.array([0.5, 2.0, 1.0, 0.0])
out["class.weights"] = cw
sparse = lambda **k: lambda x, y, r: F.cross_entropy(x, y, reduction=r, **k)
each("sparse", sparse(), c, labels)
each("ignored", sparse(ignore_index=-1), c, ignored)
each("smoothed", sparse(ignore_index=-1, label_smoothing=0.2), c, ignored)
each("classes", sparse(ignore_index=-1, weight=T(cw)), c, ignored)
each("everything", sparse(ignore_index=-1, weight=T(cw), label_smoothing=0.2), c, ignored)
each("all-ignored", sparse(ignore_index=-1), c, np.full(6, -1), reductions=("none", "sum"))
soft = rng.dirichlet(np.ones(4), size=6)
soft[0] = [0, 1, 0, 0]
each("soft", lambda x, y, r: F.cross_entropy(x, y, reduction=r), c, soft)
each("soft-all", lambda x, y, r: F.cross_entropy(x, y, weight=T(cw), label_smoothing=0.1, reduction=r), c, soft)
logs = np.log(rng.dirichlet(np.ones(4), size=6))
four = ("none", "mean", "sum", "batchmean")
each("kl", lambda x, y, r: F.kl_div(x, y.detach(), reduction=r), logs, soft, reductions=four)
each("kl-log", lambda x, y, r: F.kl_div(x, y, log_target=True, reduction=r), logs, np.log(soft[::-1] + 1e-3), reductions=four)
signs = np.where(rng.uniform(size=(5, 3)) > 0.5, 1, -1)
each("hinge", lambda x, y, r: reduce(torch.relu(1 - x * y), r), a, signs)
each("hinge-squared", lambda x, y, r: reduce(torch.relu(1 - x * y) ** 2, r), a, signs)
onehot = np.eye(4)[labels].astype(np.int64)
each("hinge-categorical", lambda x, y, r: reduce(torch.relu(((1 - y) * x).amax(1) - (y * x).sum(1) + 1), r), c[2:], onehot[2:])
each("ranking", lambda x, y, s, r: F.margin_ranking_loss(x, y, s.double(), 0.5, reduction=r), a, b, signs)
e = [rng.normal(size=(6, 4)) for _ in range(3)]
e[1][0] = e[0][0]
each("triplet", lambda x, y, u, r: F.triplet_margin_loss(x, y, u, reduction=r), *e)
each("triplet-swap", lambda x, y, u, r: F.triplet_margin_loss(x, y, u, 0.5, 1, swap=True, reduction=r), *e)
same = np.array([1, 0, 1, 0, 0, 1])


def contrastive(x, y, s, r):
    d = F.pairwise_distance(x, y)
    return reduce(s * d**2 + (1 - s) * torch.relu(2 - d) ** 2, r)


each("contrastive", contrastive, e[0], e[1], same)
each("cosine", lambda x, y, s, r: F.cosine_embedding_loss(x, y, s, 0.2, reduction=r), e[0], e[2], same * 2 - 1)
case("similarity/none", lambda x, y: F.cosine_similarity(x, y, dim=1), e[0], e[2])
case("distance/none", lambda x, y: F.pairwise_distance(x, y, 3), e[0], e[2])
v = rng.uniform(0.1, 2, size=(5, 3))
v[0, 0] = 0
each("gaussian", lambda x, y, u, r: F.gaussian_nll_loss(x, y, u, full=True, eps=1e-3, reduction=r), a, b, v)

steps, classes = 7, 5
x = rng.normal(size=(steps, 4, classes))
x[2, 1] = [1e4, -1e4, 0, 1, 2]
targets = np.array([[1, 2, 2], [3, 0, 0], [4, 1, 4], [0, 0, 0]])
lengths, target_lengths = np.array([7, 5, 3, 4]), np.array([3, 1, 3, 0])
ctc = lambda zero: lambda x, y, n, m, r: F.ctc_loss(x.log_softmax(2), y, n, m, zero_infinity=zero, reduction=r)
each("ctc", ctc(False), x, targets, lengths, target_lengths)
last = np.array([[1, 2, 2], [3, 0, 0], [4, 1, 3], [0, 3, 3]])
each("ctc-blank", lambda x, y, n, m, r: F.ctc_loss(x.log_softmax(2), y, n, m, blank=4, reduction=r),
     x, np.array([[1, 2, 2], [3, 0, 0], [0, 1, 3], [0, 3, 3]]), lengths, np.array([3, 1, 2, 3]))
# Too few steps for the repetitions of the third.
each("ctc-infinite", ctc(True), x, np.array([[1, 2, 2], [3, 0, 0], [4, 4, 4], [1, 0, 0]]), lengths, np.array([3, 1, 3, 1]))
np.savez_compressed(here / "losses.npz", **out)

m = {}
scores = rng.normal(size=(90, 4)).round(1)
actual = rng.integers(0, 4, 90)
predicted = scores.argmax(1)
m["scores"], m["labels"] = scores, actual
m["Accuracy"] = M.accuracy_score(actual, predicted)
for k in (1, 2, 3):
    own = scores[np.arange(90), actual][:, None]
    before = (scores > own).sum(1) + ((scores == own) & (np.arange(4) < actual[:, None])).sum(1)
    m[f"TopKAccuracy.{k}"] = np.mean(before < k)
m["ConfusionMatrix"] = M.confusion_matrix(actual, predicted).astype(np.float64)
for name, f in {"Precision": M.precision_score, "Recall": M.recall_score, "F1Score": M.f1_score, "IoU": M.jaccard_score}.items():
    for average in ("macro", "micro", "weighted"):
        m[f"{name}.{average}"] = f(actual, predicted, average=average)
    m[f"{name}.perClass"] = f(actual, predicted, average=None)
rank = rng.normal(size=90).round(1)
positive = (rng.uniform(size=90) > 0.7).astype(np.int64)
m["ranks"], m["positive"] = rank, positive
m["AUROC"], m["AUPRC"] = M.roc_auc_score(positive, rank), M.average_precision_score(positive, rank)
y, z = rng.normal(size=90) + 1e4, rng.normal(size=90) + 1e4
m["predictions"], m["targets"] = z, y
m["MAE"], m["RMSE"] = M.mean_absolute_error(y, z), np.sqrt(M.mean_squared_error(y, z))
m["R2Score"] = M.r2_score(y, z)
m["PSNR"] = 10 * np.log10(255**2 / M.mean_squared_error(y, z))
m["Perplexity"] = np.exp(F.cross_entropy(T(scores), T(actual)).item())
np.savez_compressed(here / "metrics.npz", **m)
