"""The house rules that a machine can keep: style, types, imports, size and names."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for folder in ("services/outcry", "operators/outcry_operator") for path in (ROOT / folder).rglob("*.py")
)
ALL_PYTHON = sorted(
    path
    for folder in ("services", "load-tests", "operators", "charts", "infra")
    for path in (ROOT / folder).rglob("*.py")
)
VAGUE = re.compile(r"(Manager|Handler|Helper|Util|Utils|Data|Info|Base|Common)$")
MAX_FUNCTION_LINES = 40
MAX_MODULE_LINES = 400
MAX_POSITIONAL = 4

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    assert run("ruff", "check", ".") == ""


def test_the_code_is_formatted() -> None:
    assert run("ruff", "format", "--check", ".") == ""


def test_types_are_strict() -> None:
    assert run("mypy") == ""


def test_imports_point_inwards() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'operators'}", "PATH": str(linter.parent)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_functions_fit_the_eye() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{f.lineno} {f.name} has {f.end_lineno - f.lineno + 1} lines"
        for path in ALL_PYTHON
        for f in functions_of(path)
        if f.end_lineno is not None and f.end_lineno - f.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_modules_fit_the_eye() -> None:
    long = [
        f"{path.relative_to(ROOT)} has {lines} lines"
        for path in ALL_PYTHON
        if (lines := path.read_text().count("\n")) > MAX_MODULE_LINES
    ]
    assert long == []


def test_functions_take_few_positional_parameters() -> None:
    many = [
        f"{path.relative_to(ROOT)}:{f.lineno} {f.name}"
        for path in SOURCES
        for f in functions_of(path)
        if len([a for a in [*f.args.posonlyargs, *f.args.args] if a.arg not in ("self", "cls")]) > MAX_POSITIONAL
    ]
    assert many == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in ALL_PYTHON
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_class_names_say_something() -> None:
    vague = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and VAGUE.search(node.name)
    ]
    assert vague == []


def test_the_market_knows_no_float() -> None:
    floats = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "services/outcry/market").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
        or (isinstance(node, ast.Name) and node.id == "float")
    ]
    assert floats == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_a_supervisor_catches_everything(path: Path) -> None:
    """A role's supervisor says so in its own name: the function is called ``supervise...``."""
    for function in functions_of(path):
        if function.name.startswith("supervise"):
            continue
        own = [n for n in ast.walk(function) if isinstance(n, ast.ExceptHandler)]
        names = [ast.unparse(handler.type) if handler.type else "bare" for handler in own]
        assert not {"Exception", "BaseException", "bare"} & set(names), f"{path}:{function.lineno} {function.name}"


def test_requirements_carry_hashes_and_no_addresses() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "--hash=sha256:" in text, path
        assert "http://" not in text and "https://" not in text, path
