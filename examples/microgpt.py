"""Trains a GPT in which every number is a scalar node: it learns from names and generates new ones.

python examples/microgpt.py [FILE] [--steps 2000] [--compile] [--samples 20] [--temperature 0.5]

It takes a few seconds, and needs `pip install '.[demo]'`.

FILE is a text file with one document per line; the default is names.txt, 1,000 given names. The model follows Andrej
Karpathy's microgpt: RMSNorm instead of LayerNorm, no biases, ReLU instead of GELU, one document per step. With
--compile, the first document of each length is recorded as a Program, which then runs for all documents of that length.
"""

import argparse
import random
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import pygrad
from pygrad import functional as F
from pygrad import nn, optim

WIDTH, HEADS, LAYERS, CONTEXT = 16, 4, 1, 16


class Tokens:
    """Converts documents to lists of tokens and back: a token for each character, and one for the start and the end."""

    def __init__(self, documents):
        self.characters = sorted(set("".join(documents)))
        self.end = len(self.characters)
        self.number = {character: i for i, character in enumerate(self.characters)}

    def encode(self, document):
        return [self.end, *(self.number[character] for character in document), self.end]

    def decode(self, tokens):
        return "".join(self.characters[token] for token in tokens)


def matrix(rows, columns):
    """A matrix of parameters with small random values."""
    return pygrad.array([[random.gauss(0, 0.08) for _ in range(columns)] for _ in range(rows)])


def norm(x):
    return F.rms_norm(x, WIDTH, eps=1e-5)


class Block(nn.Module):
    """A transformer block: attention, which mixes positions, and an MLP, which transforms each position."""

    def __init__(self):
        self.query, self.key, self.value, self.output = (matrix(WIDTH, WIDTH) for _ in range(4))
        self.widen, self.narrow = matrix(4 * WIDTH, WIDTH), matrix(WIDTH, 4 * WIDTH)

    def __call__(self, x):
        x = self.attend(norm(x)) + x
        return F.linear(F.linear(norm(x), self.widen).relu(), self.narrow) + x

    def attend(self, x):
        query, key, value = (F.linear(x, w) for w in (self.query, self.key, self.value))
        future = np.triu(np.full((len(x), len(x)), -np.inf), 1)  # later positions get weight 0
        heads = []
        for columns in np.split(np.arange(WIDTH), HEADS):
            scores = query[:, columns] @ key[:, columns].T / len(columns) ** 0.5 + future
            heads.append(F.softmax(scores) @ value[:, columns])
        return F.linear(pygrad.concatenate(heads, axis=1), self.output)


class GPT(nn.Module):
    """Maps the tokens of a document to scores for the token after each of them."""

    def __init__(self, vocabulary):
        self.token, self.position = matrix(vocabulary, WIDTH), matrix(CONTEXT, WIDTH)
        self.blocks = [Block() for _ in range(LAYERS)]
        self.scores = matrix(vocabulary, WIDTH)

    def __call__(self, tokens):
        x = norm(self.token[tokens] + self.position[: len(tokens)])
        for block in self.blocks:
            x = block(x)
        return F.linear(x, self.scores)


def cost(model, document):
    """The mean cross-entropy of the model's prediction of each token from the tokens before it."""
    return F.cross_entropy(model(document[:-1]), document[1:])


def train(model, tokens, documents, steps, advance, compiled=False):
    """Train on one document per step, and call `advance(loss)` after each."""
    optimizer = optim.Adam(model.parameters(), lr=optim.linear(0.01, steps), betas=(0.85, 0.99))
    programs = {}
    for step in range(steps):
        document = tokens.encode(documents[step % len(documents)])[: CONTEXT + 1]
        optimizer.zero_grad()
        if compiled:
            if len(document) not in programs:
                programs[len(document)] = pygrad.compile(lambda x: cost(model, x), pygrad.index(document))
            loss, _ = programs[len(document)].value_and_grad(document)
        else:
            root = cost(model, document)
            root.backward()
            loss = root.item()
        optimizer.step()
        advance(loss)


def generate(model, tokens, temperature):
    """Sample a document token by token. A lower temperature prefers likelier tokens."""
    document = [tokens.end]
    while len(document) <= CONTEXT:
        probabilities = F.softmax(model(document)[-1] / temperature)
        (token,) = random.choices(range(tokens.end + 1), probabilities.data)
        if token == tokens.end:
            break
        document.append(token)
    return tokens.decode(document[1:])


def main():
    parser = argparse.ArgumentParser(description="train a GPT made of scalars and generate names")
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=Path(__file__).with_name("names.txt"),
        help="a text file with a document on each line (default names.txt)",
    )
    parser.add_argument("--steps", type=int, default=2000, help="the number of training steps (default 2000)")
    parser.add_argument("--compile", action="store_true", help="record the graphs and run them without Python")
    parser.add_argument("--samples", type=int, default=20, help="the number of names to generate (default 20)")
    parser.add_argument(
        "--temperature", type=float, default=0.5, help="how far samples stray from the likeliest (default 0.5)"
    )
    parser.add_argument("--seed", type=int, default=42, help="the seed of the weights and the samples (default 42)")
    options = parser.parse_args()

    random.seed(options.seed)
    documents = [line.strip() for line in options.file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not documents:
        raise SystemExit(f"{options.file} has no documents; it must have one per line")
    random.shuffle(documents)
    tokens = Tokens(documents)
    model = GPT(tokens.end + 1)
    size = sum(p.size for p in model.parameters())
    console = Console()
    console.print(f"{len(documents):,} documents, {tokens.end} characters, {size:,} parameters")

    columns = [TextColumn("loss {task.fields[loss]:.3f}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    start = time.perf_counter()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=options.steps, loss=np.log(tokens.end + 1))
        recent = []

        def advance(loss):
            recent.append(loss)
            progress.update(task, advance=1, loss=np.mean(recent[-100:]))

        train(model, tokens, documents, options.steps, advance, options.compile)
    seconds = time.perf_counter() - start
    nodes = pygrad.memory_stats().peak_live_nodes - size
    console.print(
        f"{1e3 * seconds / options.steps:.2f} ms per step of up to {nodes:,} nodes; mean loss of the last "
        f"{len(recent[-100:])} steps {np.mean(recent[-100:]):.3f} (random guessing: {np.log(tokens.end + 1):.3f})"
    )

    known = set(documents)
    console.print(
        f"\n{options.samples} generated names (those in [dim]grey[/dim] are in the training data):", highlight=False
    )
    for _ in range(options.samples):
        document = generate(model, tokens, options.temperature)
        console.print(document, style="dim" if document in known else "bold", highlight=False, markup=False)


if __name__ == "__main__":
    main()
