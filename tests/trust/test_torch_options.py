"""How many of PyTorch's options agree, by the table of docs/torch.md."""

from support import figures
from support.torch_table import ROWS


def test_most_options_of_torch_agree():
    rows = [row for row in ROWS if row.has_options]
    options = [(row, name) for row in rows for name in row.options()]
    agree = sum(name not in row.differing() for row, name in options)
    figures.note("options of PyTorch's modules, functions and optimizers in the table of torch.md", f"{len(options)}")
    figures.note("of these, with the same name, place and default", f"{agree}")
    assert agree > 0.75 * len(options)
