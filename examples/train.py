"""Train two digit classifiers and write metrics.json, plots/*.png and report.md."""
import json
from pathlib import Path
from textwrap import indent

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter
from sklearn import metrics
from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, learning_curve, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

HERE = Path(__file__).resolve().parent
SEED = 0
BLUE, GREY, INK = "#0969da", "#6e7781", "#1f2328"
matplotlib.use("Agg")  # no display needed
plt.rcParams.update({
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 12,
    "axes.labelcolor": INK, "axes.edgecolor": "#d0d7de", "axes.axisbelow": True,
    "text.color": INK, "xtick.color": "#57606a", "ytick.color": "#57606a", "savefig.dpi": 120,
    "figure.constrained_layout.use": True, "figure.constrained_layout.w_pad": 0.12,
    "figure.constrained_layout.h_pad": 0.1})


def make_models() -> dict[str, ClassifierMixin]:
    """Hyperparameters were fixed in advance; nothing is tuned on the test images."""
    svm = make_pipeline(MinMaxScaler(), SVC(C=10, gamma="scale"))
    return {"baseline": make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=2000)),
            "branch": CalibratedClassifierCV(svm, cv=5, ensemble=False)}


def score(y: np.ndarray, proba: np.ndarray) -> dict[str, float | int]:
    pred = proba.argmax(axis=1)
    return {"accuracy": round(float(metrics.accuracy_score(y, pred)), 4),
            "macro_f1": round(float(metrics.f1_score(y, pred, average="macro")), 4),
            "log_loss": round(float(metrics.log_loss(y, proba)), 4),
            "errors": int((pred != y).sum())}


def save(fig: plt.Figure, name: str) -> None:
    (HERE / "plots").mkdir(exist_ok=True)
    fig.savefig(HERE / "plots" / name, metadata={"Software": None})  # no version tag
    plt.close(fig)


def plot_confusion(cm: np.ndarray) -> None:
    n, diagonal = len(cm), np.eye(len(cm), dtype=bool)
    fig, ax = plt.subplots(figsize=(6, 5.8))
    # Hits in blue, mistakes in orange, each on its own scale; empty cells stay white.
    ax.imshow(np.ma.masked_where(~diagonal, cm), cmap="Blues", vmin=0, vmax=cm.max() * 1.25)
    ax.imshow(np.ma.masked_where(diagonal | (cm == 0), cm), cmap="Oranges", vmin=0, vmax=6)
    for (row, col), count in np.ndenumerate(cm):
        if count:
            ax.text(col, row, str(count), ha="center", va="center",
                    color="white" if row == col else INK)
    ax.set(title=f"Confusion matrix: {cm.trace()} of {cm.sum()} test images correct",
           xlabel="Predicted digit", ylabel="True digit", xticks=range(n), yticks=range(n))
    for axis in (ax.xaxis, ax.yaxis):  # cell borders
        axis.set_ticks(np.arange(n + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="#eaeef2", linewidth=1)
    ax.tick_params(which="both", length=0)
    save(fig, "confusion_matrix.png")


def plot_learning_curve(X: np.ndarray, y: np.ndarray) -> float:
    """Draw both models' curves; return the branch's accuracy at the full size."""
    fig, ax = plt.subplots(figsize=(6.6, 4.2))
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    styles = (("baseline", GREY), ("this branch", BLUE))
    for (name, colour), model in zip(styles, make_models().values()):
        sizes, _, acc = learning_curve(model, X, y, cv=folds, shuffle=True, random_state=SEED,
                                       train_sizes=np.linspace(0.15, 1, 7))
        mean, std = acc.mean(axis=1), acc.std(axis=1)
        ax.fill_between(sizes, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
        ax.plot(sizes, mean, "o-", color=colour, linewidth=2, markersize=5)
        ax.annotate(f"{name}\n{mean[-1]:.1%}", (sizes[-1], mean[-1]), xytext=(10, 0),
                    textcoords="offset points", va="center", color=colour, weight="bold")
    ax.set(title="Validation accuracy by training-set size", ylabel="Accuracy",
           xlabel="Training images (5-fold cross-validation, band: ± 1 s.d.)", xlim=(100, None))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.grid(axis="y", color="#eaeef2")
    ax.spines[["top", "right"]].set_visible(False)
    save(fig, "learning_curve.png")
    return float(mean[-1])


def write_report(result: dict, y: np.ndarray, pred: np.ndarray, cv: float) -> None:
    old, new = result["baseline"], result["branch"]
    # key, heading, number format, sign of an improvement
    spec = (("accuracy", "Accuracy ↑", ".4f", 1), ("macro_f1", "Macro F1 ↑", ".4f", 1),
            ("log_loss", "Log loss[^prob] ↓", ".4f", -1), ("errors", "Misread images ↓", "d", -1))
    stats = metrics.precision_recall_fscore_support(y, pred)
    text = (HERE / "report.tmpl").read_text(encoding="utf-8").format(
        **result, cv=cv,
        rows="\n".join(f"| {label} | {old[k]:{f}} | **{new[k]:{f}}** | {new[k] - old[k]:+{f}} |"
                       for k, label, f, _ in spec),
        better=" x"[all((new[k] - old[k]) * sign > 0 for k, _, _, sign in spec)],
        every=" x"[bool(stats[2].min() >= 0.95)],
        classes="\n".join(f"| {digit} | {p:.3f} | {r:.3f} | {f:.3f} | {n} |"
                          for digit, (p, r, f, n) in enumerate(zip(*stats))),
        diff="\n".join(indent(repr(m), mark) for m, mark in zip(make_models().values(), "-+")))
    (HERE / "report.md").write_text(text, encoding="utf-8")


def main() -> None:
    images, digits = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(images, digits, test_size=0.3, stratify=digits,
                                            random_state=SEED)
    proba = {name: m.fit(X, y).predict_proba(X_test) for name, m in make_models().items()}
    result = {"dataset": "digits", "seed": SEED, "train": len(y), "test": len(y_test),
              **{name: score(y_test, p) for name, p in proba.items()}}
    (HERE / "metrics.json").write_text(json.dumps(result, indent=2) + "\n")
    pred = proba["branch"].argmax(axis=1)
    plot_confusion(metrics.confusion_matrix(y_test, pred))
    write_report(result, y_test, pred, cv=plot_learning_curve(X, y))


if __name__ == "__main__":
    main()
