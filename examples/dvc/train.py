"""Learn to read handwritten-looking digits, with nothing but Python; write model.json, metrics.json, loss.csv and predictions.csv."""
import csv
import json
import math
import random
import tomllib
from pathlib import Path

# Seven rows of five pixels for each digit.
GLYPHS = [
    "01110 10001 10011 10101 11001 10001 01110", "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00110 01000 10000 11111", "01110 10001 00001 00110 00001 10001 01110",
    "00010 00110 01010 10010 11111 00010 00010", "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110", "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110", "01110 10001 10001 01111 00001 00010 01100",
]


def main() -> None:
    params = tomllib.loads(Path("params.toml").read_text())["train"]
    random.seed(0)
    digits = [draw(label, params["noise"]) for label in range(10) for _ in range(40)]
    random.shuffle(digits)
    train, test = digits[:300], digits[300:]
    weights = [[0.0] * len(train[0][0]) for _ in range(10)]
    history = []
    for epoch in range(1, params["epochs"] + 1):
        for pixels, label in train:
            for digit, share in enumerate(softmax(weights, pixels)):
                step = params["rate"] * (share - (digit == label))
                weights[digit] = [weight - step * pixel for weight, pixel in zip(weights[digit], pixels)]
        history.append((epoch, round(loss(weights, train), 5), round(loss(weights, test), 5)))
    predicted = [(label, max(range(10), key=softmax(weights, pixels).__getitem__)) for pixels, label in test]
    accuracy = sum(actual == guess for actual, guess in predicted) / len(predicted)
    Path("model.json").write_text(json.dumps(weights) + "\n")
    Path("metrics.json").write_text(json.dumps({"accuracy": round(accuracy, 4), "loss": history[-1][2]}) + "\n")
    write("loss.csv", [("epoch", "train", "test"), *history])
    write("predictions.csv", [("actual", "predicted"), *predicted])


def draw(label: int, noise: float) -> tuple[list[float], int]:
    """Return the pixels of a digit as somebody in a hurry draws it, with a constant for the bias."""
    pixels = [float(pixel) for pixel in GLYPHS[label] if pixel != " "]
    return [*(pixel + random.gauss(0, noise) for pixel in pixels), 1.0], label


def softmax(weights: list[list[float]], pixels: list[float]) -> list[float]:
    """Return how likely each digit is."""
    scores = [sum(weight * pixel for weight, pixel in zip(row, pixels)) for row in weights]
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def loss(weights: list[list[float]], digits: list[tuple[list[float], int]]) -> float:
    """Return the cross entropy."""
    return -sum(math.log(max(softmax(weights, pixels)[label], 1e-12)) for pixels, label in digits) / len(digits)


def write(path: str, rows: list[tuple]) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()
