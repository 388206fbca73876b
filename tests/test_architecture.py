"""The imports are those of the plan, and nothing grows too large to be read.

The rules are those of docs/architecture.md. Run as a program, this prints the sizes.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).parent.parent / "src"
PACKAGE = "aiosmtpd"

MODULE_LIMIT = 600
FUNCTION_LIMIT = 60

# Who may know whom: each row of rooms knows the rows below it. The leaves are known by everybody.
LEAVES = {"", "hooks", "late"}
ROWS = [
    {"__main__"},
    {"main"},
    {"server", "controller", "handlers"},
    {"smtp", "lmtp"},
    {"transport", "extensions", "auth", "session", "verbs", "streams"},
    {"proxy_protocol", "networks"},
    {"protocol"},
]
# Within a row, these besides.
NEIGHBOURS = {
    ("controller", "server"),  # the Controllers stand on it
    ("lmtp", "smtp"),  # LMTP is an SMTP
    ("lmtp", "verbs"),
    ("transport", "streams"),
    ("transport", "session"),
    ("verbs", "auth"),
    ("verbs", "extensions"),
    ("verbs", "session"),
    ("verbs", "streams"),
}
# The parts of a room that is too large for one module: they count as their room.
PARTS = {
    "listening": "server",
    "arguments": "main",
    "deadlines": "transport",
    "handshake": "transport",
    "receiving": "transport",
    "replying": "transport",
    "task": "transport",
    "settings": "smtp",
}

PROTOCOL_LEAVES = {"reply", "buffer", "events"}
# What the engine must not touch: it has no I/O, no clock and no log.
NOT_IN_PROTOCOL = {
    "asyncio",
    "logging",
    "select",
    "selectors",
    "socket",
    "ssl",
    "threading",
    "time",
}
# Modules of these packages whose names do not begin with "_", and which are private all the same.
PRIVATE = {"asyncio"}
WATCHED = {"asyncio", "email", "http", "socket", "ssl"}
# What exists on one kind of system only.
UNIX_ONLY = {"fcntl", "grp", "pwd", "resource", "syslog", "termios"}
# Packages that make something better if they are installed: never imported with a module.
OPTIONAL = {"argon2", "asn1crypto", "bcrypt", "scramp", "uvloop"}


@dataclass(frozen=True)
class Import:
    """One module that another imports when it runs."""

    importer: str
    imported: str
    line: int
    at_once: bool  # with the module, not only in a function
    guarded: bool  # inside try, or a condition on the system

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


@dataclass(frozen=True)
class Size:
    """How many lines something has."""

    lines: int
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.lines} lines"


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    found = {}
    for path in sorted((SOURCE / PACKAGE).rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


class _Imports(ast.NodeVisitor):
    """Collect what a module imports at run time."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.found: list[Import] = []
        self.in_function = 0
        self.guards = 0

    def _add(self, imported: str, node: ast.stmt) -> None:
        at_once, guarded = not self.in_function, bool(self.guards)
        self.found.append(Import(self.module, imported, node.lineno, at_once, guarded))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            package = self.module.split(".")
            if modules()[self.module].name != "__init__.py":
                package.pop()
            package = package[: len(package) - node.level + 1]
            base = ".".join([*package, *([base] if base else [])])
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            is_module = inner in modules() or (alias.name.startswith("_") and base in WATCHED)
            self._add(inner if is_module else base, node)

    def visit_If(self, node: ast.If) -> None:
        test = ast.unparse(node.test)
        if "TYPE_CHECKING" in test:
            for statement in node.orelse:
                self.visit(statement)
            return
        guards = "sys.platform" in test or "os.name" in test
        self.guards += guards
        self.generic_visit(node)
        self.guards -= guards

    def visit_Try(self, node: ast.Try) -> None:
        self.guards += 1
        self.generic_visit(node)
        self.guards -= 1

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.in_function += 1
        self.generic_visit(node)
        self.in_function -= 1

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)


@cache
def imports() -> tuple[Import, ...]:
    found: list[Import] = []
    for module in modules():
        visitor = _Imports(module)
        visitor.visit(tree_of(module))
        found += visitor.found
    return tuple(found)


def room_of(module: str) -> str:
    """The first part of a module's name below the package."""
    room = module.removeprefix(PACKAGE).removeprefix(".").split(".")[0]
    return PARTS.get(room, room)


def is_ours(module: str) -> bool:
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")


def may_know(importer: str, imported: str) -> bool:
    """Tell whether a room may know another."""
    if importer == imported or imported in LEAVES:
        return True
    if importer in LEAVES or imported == "testing":
        return False
    row = {room: number for number, rooms in enumerate(ROWS) for room in rooms}
    return row[importer] < row[imported] or (importer, imported) in NEIGHBOURS


def sizes() -> Iterator[Size]:
    for module, path in modules().items():
        yield Size(len(path.read_text(encoding="utf-8").splitlines()), "module", module)
        for node in ast.walk(tree_of(module)):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                kind = "class" if isinstance(node, ast.ClassDef) else "function"
                yield Size(_lines(node), kind, f"{module}.{node.name}")


def _lines(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


def largest(kind: str) -> Size:
    return max((size for size in sizes() if size.kind == kind), key=lambda size: size.lines)


def listed(wrong: Iterable[object]) -> str:
    return "".join(f"\n  {item}" for item in wrong)


# -- who may know whom ----------------------------------------------------------------------------


def test_every_room_is_in_the_plan() -> None:
    known = LEAVES.union(*ROWS) | {"testing"}
    rooms = {room_of(module) for module in modules()}
    assert rooms <= known, f"not in the plan: {rooms - known}"
    assert rooms == known, f"in the plan, but not there: {known - rooms}"


def test_arrows_point_down() -> None:
    wrong = [
        found
        for found in imports()
        if is_ours(found.imported)
        and room_of(found.importer) != "testing"  # which may know everybody
        and not may_know(room_of(found.importer), room_of(found.imported))
    ]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("main", "smtp", True),
        ("smtp", "protocol", True),
        ("controller", "server", True),
        ("protocol", "", True),
        ("protocol", "transport", False),
        ("server", "controller", False),
        ("handlers", "server", False),
        ("session", "auth", False),
        ("hooks", "session", False),
        ("main", "testing", False),
    ],
)
def test_the_rule_is_the_plan(importer: str, imported: str, expected: bool) -> None:
    assert may_know(importer, imported) is expected


def test_hooks_import_nothing_of_ours() -> None:
    wrong = [
        found
        for found in imports()
        if room_of(found.importer) == "hooks" and is_ours(found.imported)
    ]
    assert not wrong, listed(wrong)


def test_the_engine_has_no_io_no_clock_and_no_log() -> None:
    wrong = [
        found
        for found in imports()
        if room_of(found.importer) == "protocol" and found.imported.split(".")[0] in NOT_IN_PROTOCOL
    ]
    assert not wrong, listed(wrong)


def within_protocol() -> Iterator[tuple[str, str, Import]]:
    prefix = f"{PACKAGE}.protocol."
    for found in imports():
        if found.importer.startswith(prefix) and is_ours(found.imported):
            yield found.importer.removeprefix(prefix), found.imported.removeprefix(prefix), found


def test_the_leaves_of_the_engine_import_nothing_of_it() -> None:
    wrong = [found for importer, _, found in within_protocol() if importer in PROTOCOL_LEAVES]
    assert not wrong, listed(wrong)


def test_only_the_connection_knows_the_rest_of_the_engine() -> None:
    # Beside the leaves and the faults, a reader or a grammar knows at most one other module.
    wrong = []
    common = PROTOCOL_LEAVES | {"errors"}
    for module in modules():
        name = module.removeprefix(f"{PACKAGE}.protocol.")
        known = {
            imported
            for importer, imported, _ in within_protocol()
            if importer == name and imported not in common and imported != f"{PACKAGE}.protocol"
        }
        if name != "connection" and len(known) > 1:
            wrong.append(f"{module} knows {', '.join(sorted(known))}")
    assert not wrong, listed(wrong)


def test_there_are_no_circles_among_modules() -> None:
    graph: dict[str, set[str]] = {module: set() for module in modules()}
    for found in imports():
        # A module below a package may import its neighbours through the package.
        if found.imported in graph and not found.importer.startswith(found.imported):
            graph[found.importer].add(found.imported)
    while free := [module for module, needed in graph.items() if not needed & set(graph)]:
        for module in free:
            del graph[module]
    assert not graph, f"these import each other: {sorted(graph)}"


# -- what is imported from elsewhere --------------------------------------------------------------


def test_the_standard_library_is_enough() -> None:
    wrong = [
        found
        for found in imports()
        if not is_ours(found.imported)
        and (package := found.imported.split(".")[0]) not in sys.stdlib_module_names
        and (found.at_once or package not in OPTIONAL)
    ]
    assert not wrong, listed(wrong)


def test_what_one_system_lacks_is_not_taken_for_granted() -> None:
    wrong = [
        found
        for found in imports()
        if found.imported.split(".")[0] in UNIX_ONLY and found.at_once and not found.guarded
    ]
    assert not wrong, listed(wrong)


def test_no_private_modules_are_imported() -> None:
    wrong = [
        found
        for found in imports()
        if not is_ours(found.imported)
        and (
            any(part.startswith("_") for part in found.imported.split(".") if part != "__future__")
            or ("." in found.imported and found.imported.split(".")[0] in PRIVATE)
        )
    ]
    assert not wrong, listed(wrong)


def private_attributes() -> Iterator[str]:
    for module in modules():
        for node in ast.walk(tree_of(module)):
            if not isinstance(node, ast.Attribute):
                continue
            owner = ast.unparse(node.value)
            is_private = node.attr.startswith("_") and not node.attr.endswith("__")
            if owner.split(".")[0] in WATCHED and is_private:
                yield f"{module}:{node.lineno} {owner}.{node.attr}"


def test_no_private_names_of_the_library_are_used() -> None:
    assert not list(private_attributes()), listed(private_attributes())


# -- names ----------------------------------------------------------------------------------------


def public_modules() -> list[str]:
    return [
        module
        for module in modules()
        if not any(part.startswith("_") for part in module.split(".")[1:])
    ]


def load(module: str) -> ModuleType:
    return importlib.import_module(module)


@pytest.mark.parametrize("module", public_modules())
def test_all_is_explicit_and_right(module: str) -> None:
    loaded = load(module)
    exported = getattr(loaded, "__all__", None)
    assert isinstance(exported, (list, tuple)), "no __all__"
    assert len(exported) == len(set(exported)), "a name is there twice"
    missing = [name for name in exported if not hasattr(loaded, name)]
    assert not missing, f"not there: {missing}"


@pytest.mark.parametrize("module", public_modules())
def test_modules_open_with_their_theory(module: str) -> None:
    assert ast.get_docstring(tree_of(module)), "no docstring"


# -- sizes ----------------------------------------------------------------------------------------


def test_no_module_is_too_long() -> None:
    wrong = [size for size in sizes() if size.kind == "module" and size.lines > MODULE_LIMIT]
    assert not wrong, listed(wrong)


def test_no_function_is_too_long() -> None:
    wrong = [size for size in sizes() if size.kind == "function" and size.lines > FUNCTION_LIMIT]
    assert not wrong, listed(wrong)


if __name__ == "__main__":
    for kind in ("module", "class", "function"):
        print("largest", largest(kind))
