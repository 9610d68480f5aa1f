"""Fit a line by gradient descent, with nothing but Python; write model.json, metrics.json and loss.csv."""
import csv
import json
import random
import tomllib
from pathlib import Path


def main() -> None:
    params = tomllib.loads(Path("params.toml").read_text())["train"]
    random.seed(0)
    points = [(x, 3 * x + 1 + random.gauss(0, 0.2)) for x in (random.random() for _ in range(200))]
    train, test = points[:150], points[150:]
    slope = intercept = 0.0
    history = []
    for epoch in range(1, params["epochs"] + 1):
        errors = [(slope * x + intercept - y, x) for x, y in train]
        slope -= params["rate"] * sum(error * x for error, x in errors) / len(train)
        intercept -= params["rate"] * sum(error for error, _ in errors) / len(train)
        history.append((epoch, round(loss(train, slope, intercept), 5)))
    Path("model.json").write_text(json.dumps({"slope": slope, "intercept": intercept}) + "\n")
    Path("metrics.json").write_text(json.dumps({"loss": round(loss(test, slope, intercept), 4)}) + "\n")
    with open("loss.csv", "w", newline="") as file:
        csv.writer(file).writerows([("epoch", "loss"), *history])


def loss(points: list[tuple[float, float]], slope: float, intercept: float) -> float:
    """Return the mean squared error."""
    return sum((slope * x + intercept - y) ** 2 for x, y in points) / len(points)


if __name__ == "__main__":
    main()
