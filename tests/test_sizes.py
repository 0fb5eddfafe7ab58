"""The project stays small: lines of code, without blank ones, comments and docstrings (README, Layout)."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST = {"panda_core": 4_600, "ui": 3_165, "app.py": 300}
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def lines_of_code(path: Path) -> int:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return sum(
            bool(line) and not line.startswith(("//", "/*", "<!--")) for line in map(str.strip, text.split("\n"))
        )
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {n for t in tokens if t.type not in SILENT for n in range(t.start[0], t.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


@pytest.mark.parametrize("name", MOST)
def test_it_stays_small(name):
    found = [ROOT / name] if name.endswith(".py") else sorted((ROOT / name).rglob("*"))
    code = [path for path in found if path.suffix in (".py", ".js", ".css", ".html")]
    assert 0 < sum(map(lines_of_code, code)) <= MOST[name]
