"""Makes a repository with plots of all of DVC's templates, and writes down where Vega-Lite draws their marks.

dvc_plots.py FOLDER SEED: a repository FOLDER/repository, and FOLDER/plots.json with {title: {"spec", "lines", "points", "rects"}} as
vl_convert draws what DVC makes of HEAD and the working copy. Places are those from the first frame.
"""

import csv
import json
import random
import sys
from pathlib import Path

import vl_convert
from dulwich.repo import Repo as Git
from dvc.render.match import match_defs_renderers
from dvc.repo import Repo
from ruamel.yaml import YAML

CLASSES = ["cat", "dog", "Emu", "10", "9", "größe"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def number(self):
        scale = 10.0 ** self.random.randint(-6, 6)
        return self.random.choice([self.random.uniform(-1, 1) * scale, self.random.uniform(5, 6) * scale, self.random.random()])

    def curve(self, count, step):
        value, scale, x = self.number(), 10.0 ** self.random.randint(-4, 3), self.random.randint(-5, 500)
        for _ in range(count):
            yield x, value
            x += step()
            value += self.random.uniform(-1, 1) * scale


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps({"data": rows} if len(rows) % 2 else rows), encoding="utf-8")
        return
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)


def version(make, folder):
    r, plots = make.random, []

    def plot(id, **props):
        plots.append({id: props} if props else id)

    for at, template in enumerate(["linear", "simple", "smooth", "scatter"]):
        for kind in ["csv", "tsv", "json"]:
            step = lambda: r.randint(1, 9)
            write(folder / f"{template}.{kind}", [{"step": x, "loss": y, "acc": -y * 3} for x, y in make.curve(r.randint(2, 30), step)])
            plot(f"{template}.{kind}", x="step", y="loss", template=template, title=f"{template} {kind}")
        plot(f"{template} fields", x="step", y={f"{template}.csv": ["loss", "acc"]}, template=template)
        plot(f"{template} files", x="step", y={f"{template}.csv": "loss", f"{template}.tsv": "loss"}, template=template)
        plot(f"{template} rows", y={f"{template}.json": "acc"}, template=template)
    # Equal steps become one where DVC smooths.
    steps = lambda: r.choice([0, 0, 1, 2.5])
    write(folder / "equal.csv", [{"step": x, "loss": y} for x, y in make.curve(40, steps)])
    plot("equal.csv", x="step", y="loss")
    write(folder / "bare/metrics.tsv", [{"step": x, "loss": y} for x, y in make.curve(9, lambda: 1)])
    plot("bare")
    for template in ["confusion", "confusion_normalized"]:
        for name in ["a", "b"]:
            classes = r.sample(CLASSES, r.randint(2, 5))
            rows = [{"actual": r.choice(classes), "predicted": r.choice(classes)} for _ in range(r.randint(20, 80))]
            write(folder / f"{template}_{name}.csv", rows)
            plot(f"{template}_{name}.csv", x="actual", y="predicted", template=template)
        numbers = [{"actual": r.randint(8, 12), "predicted": r.randint(8, 12)} for _ in range(31)]
        write(folder / f"{template}.json", numbers)
        plot(f"{template}.json", x="actual", y="predicted", template=template)
        # Of several files the normalized template loses the pairs that one of them lacks.
        for name in "cd":
            pairs = [{"actual": a, "predicted": p} for a in "xyz" for p in "xyz"]
            write(folder / f"{template}_{name}.csv", pairs + r.choices(pairs, k=9))
        plot(f"{template} files", x="actual", y={f"{template}_{name}.csv": "predicted" for name in "cd"}, template=template)
    for template in ["bar_horizontal", "bar_horizontal_sorted"]:
        for name in ["a", "b", "c"]:
            sign = {"a": 1, "b": -1, "c": 0}[name]
            names = r.sample(CLASSES, r.randint(1, 6))
            rows = [{"name": n, "value": abs(make.number()) * sign if sign else make.number()} for n in names]
            write(folder / f"{template}_{name}.csv", rows)
            plot(f"{template}_{name}.csv", x="value", y="name", template=template)
        twice = [{"name": r.choice("xyz"), "value": abs(make.number())} for _ in range(7)]
        write(folder / f"{template}.json", twice)
        plot(f"{template}.json", x="value", y="name", template=template)
        files = {f"{template}_{name}.csv": "name" for name in "ac"}
        plot(f"{template} files", x="value", y=files, template=template)
    classes = r.sample(CLASSES, 4)
    write(folder / "jitter.csv", [{"a": r.choice(classes), "b": r.choice(classes)} for _ in range(20)])
    plot("jitter.csv", x="a", y="b", template="scatter_jitter")
    with open(folder / "dvc.yaml", "w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump({"plots": plots}, file)


def commit(git, folder):
    present = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    tree = git.get_worktree()
    tree.stage([name.encode() for name in present])
    tree.commit(message=b"first", committer=b"t <t@example.org>", author=b"t <t@example.org>")


def marks(item, x, y, found):
    kind = item.get("marktype")
    items = item.get("items", [])
    if kind == "line":
        found["lines"].append({"name": item.get("name"), "at": [[x + i.get("x", 0), y + i.get("y", 0)] for i in items]})
    for one in items:
        at = [x + one.get("x", 0), y + one.get("y", 0)]
        if kind == "group":
            if one.get("role") in ("axis", "legend", "title") or item.get("role") in ("axis", "legend", "title"):
                continue
            for inner in one.get("items", []):
                marks(inner, *at, found)
        elif one.get("opacity", 1) == 0:
            continue
        elif kind == "symbol":
            found["points"].append(at)
        elif kind == "rect":
            found["rects"].append([*at, one.get("width", 0), one.get("height", 0)])


def main():
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    make, repository = Maker(seed), folder / "repository"
    repository.mkdir(parents=True)
    git = Git.init(str(repository))
    Repo.init(str(repository)).close()
    version(make, repository)
    commit(git, repository)
    version(make, repository)
    with Repo(str(repository)) as repo:
        data = repo.plots.diff(revs=["HEAD", "workspace"])
        drawn = {}
        for renderer, errors, failures in match_defs_renderers(data, templates_dir=repo.plots.templates_dir):
            assert not errors and not failures, (renderer.name, errors, failures)
            spec = json.dumps(renderer.get_filled_template())
            found = {"lines": [], "points": [], "rects": []}
            marks(vl_convert.vegalite_to_scenegraph(spec, "5.21")["scenegraph"], 0, 0, found)
            drawn[renderer.properties["title"]] = {"template": renderer.template.name, "spec": spec, **found}
    (folder / "plots.json").write_text(json.dumps(drawn), encoding="utf-8")


if __name__ == "__main__":
    main()
