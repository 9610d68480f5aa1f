"""Makes a project as people have it, and writes down what DVC prints and draws of HEAD and the working copy.

dvc_projects.py FOLDER KIND: a repository FOLDER/repository whose pipelines DVC has run, and FOLDER/made.json with {"tables": as
dvc_repositories.py has them, "plots": as dvc_plots.py has them}. KIND is monorepo (three pipelines in folders), foreach (stages of a
template) or dvclive (what DVCLive wrote during a training).
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

os.environ.update(DVC_NO_ANALYTICS="1", DVC_STUDIO_OFFLINE="true")

import dvc_plots
import dvc_repositories
import vl_convert
from dulwich.repo import Repo as Git
from dvc.render.match import match_defs_renderers
from dvc.repo import Repo

# What the stages run: NAME LR writes NAME.json, NAME.csv and NAME-cm.csv.
TRAIN = """
import json, sys
name, lr = sys.argv[1], float(sys.argv[2])
losses = [1 / (1 + lr * step) for step in range(12)]
with open(name + ".json", "w") as file:
    json.dump({"loss": losses[-1], "val": {"acc": 1 - losses[-1] / 3, "best": True}}, file)
with open(name + ".csv", "w") as file:
    file.write("step,loss\\n" + "".join(f"{step},{loss}\\n" for step, loss in enumerate(losses)))
with open(name + "-cm.csv", "w") as file:
    rows = [("cat", "dog" if at * lr % 1 < 0.3 else "cat") for at in range(9)] + [("dog", "dog")] * 7 + [("dog", "cat")]
    file.write("actual,predicted\\n" + "".join(",".join(row) + "\\n" for row in rows))
"""


class Seeded:
    random = random.Random(1)


def monorepo(folder, lr):
    for at, name in enumerate(["vision", "speech", "text/ranking"]):
        home = folder / name
        home.mkdir(parents=True, exist_ok=True)
        (home / "train.py").write_text(TRAIN)
        (home / "params.yaml").write_text(f"train: {{lr: {lr + at}, epochs: 12}}\nseed: {at}\n")
        (home / "dvc.yaml").write_text(f"""
stages:
  train:
    cmd: {sys.executable} train.py model ${{train.lr}}
    deps: [train.py]
    params: [train]
    outs: [model-cm.csv]
    metrics: [model.json: {{cache: false}}]
    plots: [model.csv: {{cache: false, x: step, y: loss}}]
plots:
  - errors: {{x: actual, y: {{model-cm.csv: predicted}}, template: confusion}}
  - {name.split("/")[-1]}: {{x: step, y: {{model.csv: loss}}, template: simple, title: Loss of {name}}}
""")


def foreach(folder, lr):
    (folder / "train.py").write_text(TRAIN)
    (folder / "params.yaml").write_text(f"models:\n  cnn: {{lr: {lr}}}\n  mlp: {{lr: {lr * 3}}}\n")
    (folder / "eval").mkdir(exist_ok=True)
    (folder / "dvc.yaml").write_text(f"""
vars: [folder: eval]
stages:
  train:
    foreach: ${{models}}
    do:
      cmd: {sys.executable} train.py ${{folder}}/${{key}} ${{item.lr}}
      params:
        - models.${{key}}.lr
      metrics: ['${{folder}}/${{key}}.json': {{cache: false}}]
      plots: ['${{folder}}/${{key}}.csv': {{cache: false, x: step, y: loss}}]
  check:
    matrix: {{model: [cnn, mlp], split: [val, test]}}
    cmd: {sys.executable} train.py ${{folder}}/${{item.model}}-${{item.split}} {lr * 2}
    metrics: ['${{folder}}/${{item.model}}-${{item.split}}.json': {{cache: false}}]
    outs: ['${{folder}}/${{item.model}}-${{item.split}}-cm.csv']
plots:
  - confusion: {{x: actual, y: {{'${{folder}}/cnn-val-cm.csv': predicted}}, template: confusion}}
""")


def dvclive(folder, lr):
    from dvclive import Live

    with Live(save_dvc_exp=False, report=None) as live:
        live.log_params({"lr": lr, "optimizer": {"name": "adam", "betas": [0.9, 0.999]}})
        for step in range(8):
            live.log_metric("train/loss", 1 / (1 + lr * step))
            live.log_metric("val/acc", 1 - lr / (2 + step))
            live.next_step()
        rows = [{"actual": "a" if at % 3 else "b", "predicted": "a" if at * lr % 1 < 0.6 else "b"} for at in range(20)]
        live.log_plot("errors", rows, x="actual", y="predicted", template="confusion", title="Errors")


def commit(folder):
    run = lambda *args: subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *args], check=True, cwd=folder)
    run("add", "--all")
    run("commit", "--quiet", "--message=some")


def main(folder, kind):
    repository = folder / "repository"
    repository.mkdir(parents=True)
    git = Git.init(str(repository))
    git.refs.set_symbolic_ref(b"HEAD", b"refs/heads/main")
    Repo.init(str(repository)).close()
    git.close()
    os.chdir(repository)
    commit(repository)

    def version(lr):
        {"monorepo": monorepo, "foreach": foreach, "dvclive": dvclive}[kind](repository, lr)
        if kind != "dvclive":
            with Repo(str(repository)) as repo:
                repo.reproduce(all_pipelines=True)

    version(0.25)
    commit(repository)
    version(0.4)
    with Repo(str(repository)) as repo:
        tables = dvc_repositories.tables(Seeded, repo)
        drawn = {}
        data = repo.plots.diff(revs=["HEAD", "workspace"])
        for renderer, errors, failures in match_defs_renderers(data, templates_dir=repo.plots.templates_dir):
            assert not errors and not failures, (renderer.name, errors, failures)
            spec = json.dumps(renderer.get_filled_template())
            found = {"lines": [], "points": [], "rects": []}
            dvc_plots.marks(vl_convert.vegalite_to_scenegraph(spec, "5.21")["scenegraph"], 0, 0, found)
            title = renderer.properties["title"]
            assert title not in drawn, title
            drawn[title] = {"template": renderer.template.name, "spec": spec, **found}
    (folder / "made.json").write_text(json.dumps({"tables": tables, "plots": drawn}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
