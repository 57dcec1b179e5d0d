"""The house rules that ruff cannot say, over the files that git tracks (over all files where there is no git)."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli

ROOT = Path(__file__).parents[2]
CODE_LINES_MAX = 400
HOMES = re.compile(r"/(?:home|Users)/[a-z]\w*/|/root/\w")
REGISTRIES = re.compile(r"\bpy(?:pi|thonhosted)\.[a-z]+\b|\bdevpi\b|https?://\S+/simple\b")
ADDRESS = re.compile(r"://|--(?:index-url|extra-index-url|find-links|trusted-host)|\bfile:| @ ")


def tracked() -> list[Path]:
    """Files under version control, or what a source archive holds."""
    if (ROOT / ".git").exists():
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=30)
        return [path for name in listing.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file() and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)]


def texts() -> Iterator[tuple[str, str]]:
    """Name and text of each tracked text file."""
    for path in tracked():
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def code_lines(source: str) -> int:
    """Lines that hold code: no blank lines, comments, docstrings."""
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.ENCODING}
    lines: set[int] = set()
    statement_begins = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in ignored and not (token.type == tokenize.STRING and statement_begins):
            lines.update(range(token.start[0], token.end[0] + 1))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            statement_begins = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)
    return len(lines)


def foreign(text: str, machine: re.Pattern[str]) -> list[str]:
    """What a text says of one machine or of a package registry."""
    return [found[0] for pattern in (HOMES, REGISTRIES, machine) for found in pattern.finditer(text)]


def this_machine() -> re.Pattern[str]:
    """The checkout's own place, where it is long enough to mean something."""
    place = re.escape(str(ROOT)) if len(ROOT.parts) > 2 else r"(?!)"
    return re.compile(rf"(?<![\w.}}]){place}(?![\w-])")


def unexplained(pyproject: str) -> list[str]:
    """Requirements of a pyproject.toml without a comment that gives the reason."""
    requirement = re.compile(r'^\s*"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?\s*[<>=~!][^"]*",(\s*#\s*\S.*)?\s*$')
    found = [requirement.match(line) for line in pyproject.splitlines()]
    return [match[1] for match in found if match and not match[2]]


def test_code_lines_do_not_count_comments_docstrings_and_blanks() -> None:
    assert code_lines('"""Two\nlines."""\n\n# why\ndef f() -> int:\n    """Doc."""\n    return (\n        1\n    )\n') == 4
    assert code_lines('text = """a\nb"""\n') == 2


def test_modules_are_short() -> None:
    long = {name: count for name, text in texts() if name.endswith(".py") and (count := code_lines(text)) > CODE_LINES_MAX}
    assert not long, f"modules of more than {CODE_LINES_MAX} lines of code: {long}"


@pytest.mark.parametrize(
    "text", ["see /home/" + "ann/x", "/root/" + "x", "https://py" + "pi.org/simple", "http://10.0.0.1/" + "simple", "cd /one/two/three"]
)
def test_a_machines_paths_and_registries_are_seen(text: str) -> None:
    assert foreign(text, re.compile("/one/two/three"))
    assert not foreign("a home/ann, $HOME/x, /usr/bin/python3, a simple/ thing", re.compile("(?!)"))


def test_no_file_names_this_machine_or_a_registry() -> None:
    found = {name: hits for name, text in texts() if (hits := foreign(text, this_machine()))}
    assert not found


def test_constraints_pin_with_hashes_and_name_no_address() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert not ADDRESS.search(text)
    entries = re.split(r"\n(?=\S)", text.strip())
    loose = [entry.splitlines()[0] for entry in entries if not re.match(r"[a-z0-9-]+==\S", entry) or "--hash=sha256:" not in entry]
    assert not loose


def test_constraints_hold_every_requirement() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"], *project["build-system"]["requires"]]
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    names = {re.split(r"[<>=~!\[;\s]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    assert names <= pinned


def imports(source: str) -> set[str]:
    """Top-level names of the packages that a module imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def test_what_is_imported_is_required_and_the_other_way_round() -> None:
    sources = [text for name, text in texts() if name.startswith(("core/", "tui/")) and name.endswith(".py")]
    imported = set().union(*map(imports, sources)) - sys.stdlib_module_names - {"seatrial", "seatrial_tui"}
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    required = {re.split(r"[<>=]", requirement)[0] for requirement in (*project["dependencies"], *extras)}
    assert imported == required, "not required / not imported"


def test_an_unexplained_requirement_is_seen() -> None:
    assert unexplained('dependencies = [\n    "click>=8",\n    "tomli>=2",  # reads\n    "h11[x]>=1",\n]') == ["click", "h11"]


def test_each_requirement_has_its_reason() -> None:
    assert not unexplained((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_each_ignored_rule_has_its_reason() -> None:
    for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        if re.match(r'^\s+"[A-Z]+\d+",', line) or re.match(r'^"\S+" = \["[A-Z]+\d+"', line):
            assert "#" in line, line


def test_exceptions_in_code_name_their_rule_and_reason() -> None:
    exception = re.compile(r"#\s*(?:noqa|type:\s*ignore)")
    explained = re.compile(r"#\s*(?:noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*|type: ignore\[[\w, -]+\])\W+\w")
    bare = [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts()
        if name.endswith(".py") and name != "tests/repo/test_tidy.py"
        for number, line in enumerate(text.splitlines(), 1)
        if exception.search(line) and not explained.search(line)
    ]
    assert not bare, "give rule and reason: `# noqa: RULE  # reason`"


def test_tests_have_unique_file_names_and_no_packages() -> None:
    files = [path for path in tracked() if path.is_relative_to(ROOT / "tests") and path.suffix == ".py"]
    names = [path.name for path in files if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))
    assert not [path for path in files if path.name == "__init__.py"]


def test_no_test_sleeps() -> None:
    sleep = re.compile(r"\btime\.sleep\(|\bfrom time import\b.*\bsleep\b")
    assert not [name for name, text in texts() if name.startswith("tests/") and name != "tests/repo/test_tidy.py" and sleep.search(text)]
