"""Makes repositories of random metrics and parameters, and writes down what DVC prints of them.

dvc_repositories.py FOLDER COUNT SEED: for each number a repository FOLDER/NUMBER, and FOLDER/NUMBER.json with a list of
{"args", "markdown", "json"}. Files are sorted, where DVC leaves them in the order of a set.
"""

import json
import os
import random
import sys
from pathlib import Path

from dulwich.repo import Repo as Git
from dvc.compare import diff_table
from dvc.repo import Repo
from dvc.ui.table import plain_table
from ruamel.yaml import YAML
import tomlkit

WORDS = ["acc", "loss", "train", "f1_score", "auc", "精度", "größe", "a b", "per-class", "Ünïcode", "p|q", "*", "_x_", "🙂", "0", "top-5"]
TEXTS = ["adam", "it's", 'say "hi"', "both '\"", "", " padded ", "a\nb", "one\r\ntwo\nthree", "tab\there", "精度 😀", "null", "1e5", "True", "x|y", "\u200b", "e\u0301", "C:\\dir", "é" * 30]
SCALARS = ["1_000", "0x1f", "0o17", "017", ".5", "1e-7", "1E+300", "+3", "-.inf", ".NaN", "yes", "~", "True", "1.", "1.5e3", "12:30", "0b11", "-0", "0.1e1", "null", "off", "1e400", "'5'", "\"5\""]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def number(self):
        choose = self.random
        return choose.choice([
            lambda: choose.randint(-10, 10),
            lambda: choose.randint(-10**25, 10**25),
            lambda: choose.random(),
            lambda: choose.uniform(-1, 1) * 10.0 ** choose.randint(-300, 300),
            lambda: choose.uniform(-1, 1) * 10.0 ** choose.randint(-8, 8),
            lambda: round(choose.random(), choose.randint(0, 6)),
            lambda: float(choose.randint(-100, 100)),
            lambda: choose.choice([float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1e16, 1e-5, 1e22, 5e-324, 2.675, 0.000005, 0.00001499]),
        ])()

    def leaf(self, is_toml):
        kind = self.random.random()
        if kind < 0.55:
            number = self.number()
            return number if not is_toml or isinstance(number, float) or abs(number) < 2**62 else 7
        if kind < 0.65:
            return self.random.random() < 0.5
        if kind < 0.8:
            return self.random.choice(TEXTS)
        if kind < 0.9:
            return [self.leaf(is_toml) for _ in range(self.random.randint(0, 3))]
        return 1 if is_toml else None

    def table(self, depth, is_toml):
        keys = self.random.sample(WORDS, self.random.randint(1 if depth else 0, 5))
        return {key: self.value(depth, is_toml) for key in keys}

    def value(self, depth, is_toml):
        return self.table(depth - 1, is_toml) if depth and self.random.random() < 0.3 else self.leaf(is_toml)

    def change(self, value, is_toml):
        """The same with some of it changed, removed and added."""
        if isinstance(value, dict):
            kept = {key: self.change(inner, is_toml) for key, inner in value.items() if self.random.random() < 0.9}
            return self.table(1, is_toml) | kept if self.random.random() < 0.3 else kept
        return value if self.random.random() < 0.5 else self.leaf(is_toml)

    def plain(self):
        return "".join(f"k{at}: {self.random.choice(SCALARS)}\n" for at in range(self.random.randint(0, 6)))

    def write(self, path, value):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            text = json.dumps(value, ensure_ascii=self.random.random() < 0.5, indent=self.random.choice([None, 2]))
        elif path.suffix == ".toml":
            text = tomlkit.dumps(value)
        elif path.suffix == ".txt":
            text = self.random.choice(["0.93", "0.5", "17", "label", "'5'", "[1]", "[1, 2]", "a: 1"]) + "\n"
        elif self.random.random() < 0.3:
            text = self.plain()
        else:
            with open(path, "w", encoding="utf-8", newline="") as file:
                YAML(typ="safe", pure=True).dump(value, file)
            return
        path.write_text(text, encoding="utf-8", newline="")


def version(make, folder, old):
    """Writes a version: files, and what declares them. Returns values by path, for the next one."""
    values, pipelines = {}, {}
    endings = [".json", ".json", ".yaml", ".toml", ".txt"]
    for base in [""] + make.random.sample(["sub/", "sub/deep/", "other/"], make.random.randint(0, 2)):
        metrics = [f"{make.random.choice('mnx')}{at}{make.random.choice(endings)}" for at in range(make.random.randint(0, 3))]
        params = [f"p{at}{make.random.choice(endings[:4])}" for at in range(make.random.randint(0, 2))]
        for name in metrics + params + (["params.yaml"] if make.random.random() < 0.7 else []):
            path, is_toml = base + name, name.endswith(".toml")
            known = old.get(path)
            values[path] = make.table(2, is_toml) if known is None else make.change(known, is_toml)
        pipelines[base] = (metrics, params)
    for path, value in values.items():
        make.write(folder / path, value)
    for base, (metrics, params) in pipelines.items():
        document = {}
        here = make.random.random() < 0.5
        if here and metrics:
            document["metrics"] = metrics
        elif metrics:
            outs = [{metric: {"cache": False}} for metric in metrics]
            document["stages"] = {"train": {"cmd": "true", "metrics": outs}}
        if params and make.random.random() < 0.5:
            document["params"] = params
        elif params:
            stage = document.setdefault("stages", {}).setdefault("train", {"cmd": "true"})
            keys = lambda name: make.random.sample([k for k in values[base + name] if k != "*"] + ["acc", "train"], 1) if make.random.random() < 0.5 else None
            stage["params"] = [{name: keys(name)} for name in params]
        if metrics and make.random.random() < 0.2:
            document.setdefault("stages", {})["each"] = {
                "foreach": ["a", "b"],
                "do": {"cmd": "true ${item}", "metrics": [{"each-${item}.json": {"cache": False}}]},
            }
            for item in "ab":
                make.write(folder / f"{base}each-{item}.json", {"acc": make.number()})
        path = folder / base / "dvc.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(document, file)
    return values


def clear(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        inside = path.relative_to(folder).parts[0]
        if inside not in (".git", ".dvc", ".dvcignore"):
            path.rmdir() if path.is_dir() else path.unlink()


def commit(git, folder, message):
    present = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    tracked = [name.decode() for name in git.open_index()]
    tree = git.get_worktree()
    tree.stage([name.encode() for name in {*present, *tracked}])
    tree.commit(message=message, committer=b"t <t@example.org>", author=b"t <t@example.org>")


def markdown(diff, title, show_changes, **options):
    class Console:
        text = ""

        def write(self, text, **_):
            self.text += text + "\n"

    table = diff_table(diff, title=title, show_changes=show_changes, a_rev="HEAD", b_rev="workspace", **options)
    console = Console()
    plain_table(console, table, headers=table.keys(), markdown=True)
    return console.text


def tables(make, repo):
    found = []
    for command in ["metrics", "params"]:
        is_all = make.random.random() < 0.3
        result = getattr(repo, command).diff(a_rev="HEAD", b_rev="workspace", all=is_all)
        errors = {rev: files for rev, files in result.get("errors", {}).items() if files}
        diff = {path: result.get("diff", {})[path] for path in sorted(result.get("diff", {}))}
        args, options = [command, "diff", "HEAD"] + (["--all"] if is_all else []), {}
        if command == "metrics":
            precision = make.random.choice([None, 1, 3, 8])
            options = {"precision": precision or 5, "round_digits": True}
            args += ["--precision", str(precision)] if precision else []
        if make.random.random() < 0.2:
            options["no_path"] = True
            args.append("--no-path")
        text = markdown(diff, "Metric" if command == "metrics" else "Param", command == "metrics", **options)
        found.append({"args": args, "markdown": text, "json": json.dumps(diff), "errors": str(errors) if errors else ""})
    return found


def main(folder, count, seed):
    for number in range(count):
        make, path = Maker(f"{seed}/{number}"), folder / str(number)
        path.mkdir(parents=True)
        git = Git.init(str(path))
        git.refs.set_symbolic_ref(b"HEAD", b"refs/heads/main")
        (path / ".dvc").mkdir()
        (path / ".dvc/config").write_text("")
        (path / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
        old = version(make, path, {})
        commit(git, path, b"first")
        clear(path)
        version(make, path, old)
        git.close()
        os.chdir(path)
        with Repo(str(path)) as repo:
            found = tables(make, repo)
        (folder / f"{number}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
