"""The layers of the code: a module imports, and a C file includes, only what is below it."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE, CSRC = ROOT / "pygrad", ROOT / "csrc"

# From the bottom up: a module may import those listed before it. A package that is listed as one name is one layer.
ORDER = """
    _core _distribution _lib _locks _system
    _numbers _replacing _pressure memory _cut _handles _holders _bulk _runs _ops _sweep engine
    index array.nodes array.making array.creation array.elementwise array.shaping array.reductions array.products
    array.copying array.functions array.moves array.protocol array.arrays
    array functional checkpoint _parameters optim _mlp nn
    program.structures program.custom program.arguments program.signature program.graph program.recorded program.trace
    program.native program.executor program.derivatives program.c_source program.compose program.files program.pure
    program.weighted program.objective program.program program
    checking
    dropin reference
    pygrad
    viz dask bench _children __main__
"""
MODULES = ORDER.split()

# In csrc/, a file may include those of its own folder and of the folders before it.
FOLDERS = [".", "os", "graph", "program", "routine", "python"]


def name_of(path: Path) -> str:
    """The module of a file: `program.trace`; that of pygrad/__init__.py is `pygrad`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "pygrad"


def layer_of(module: str) -> int:
    """The place in the order of a module, or of the listed package that it is in."""
    while module not in MODULES and "." in module:
        module = module.rpartition(".")[0]
    return MODULES.index(module)


def imports_of(path: Path) -> set[tuple[str, str]]:
    """Each module of the package that a file imports, with the name that it takes from there; but for types."""
    found = set()
    for node in ast.walk(_WithoutTypes().visit(ast.parse(path.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {
                (f"{node.module}.{alias.name}", "")
                if is_module(f"{node.module}.{alias.name}")
                else (node.module, alias.name)
                for alias in node.names
            }
    return {(re.sub(r"^pygrad\.", "", module), name) for module, name in found if re.match(r"pygrad(\.|$)", module)}


class _WithoutTypes(ast.NodeTransformer):
    """Removes what only type checkers read."""

    def visit_If(self, node):
        return node.orelse if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or path.is_dir()


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_only_what_is_below_it(module):
    for imported, _ in imports_of(FILES[module]):
        same_package = layer_of(imported) == layer_of(module) and imported != module
        assert layer_of(imported) < layer_of(module) or same_package, f"{module} imports {imported}"


def test_no_modules_import_each_other():
    graphlib.TopologicalSorter({m: {i for i, _ in imports_of(path)} for m, path in FILES.items()}).prepare()


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_no_private_name(module):
    private = [(imported, name) for imported, name in imports_of(FILES[module]) if re.match(r"_[^_]", name)]
    assert not private, f"{module} imports {private}"


def test_only_lib_imports_the_core():
    assert [module for module, path in FILES.items() if "_core" in {i for i, _ in imports_of(path)}] == ["_lib"]


def test_only_files_of_os_include_the_system_s_headers():
    system = re.compile(r"#include <(pthread|sched|unistd|windows|sys/.*)\.h>")
    calling = {path.parent.name for path in CSRC.rglob("*.[chdi]*") if system.search(path.read_text(encoding="utf-8"))}
    assert calling == {"os"}


@pytest.mark.parametrize("path", sorted(CSRC.rglob("*.[chdi]*")), ids=lambda path: path.relative_to(CSRC).as_posix())
def test_a_file_of_the_core_includes_only_what_is_below_it(path):
    rank = FOLDERS.index(path.parent.relative_to(CSRC).as_posix())
    for included in re.findall(r'#include "(.*)"', path.read_text(encoding="utf-8")):
        assert FOLDERS.index(Path(included).parent.as_posix()) <= rank, f"{path.name} includes {included}"
        assert (CSRC / included).exists(), f"{included} is included by its whole path"
