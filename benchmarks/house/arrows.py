"""`python -m benchmarks.house.arrows` counts files at the root of `service/`, and imports of a higher layer."""

import tomllib
from pathlib import Path

import grimp

from benchmarks.results import row, save

COMMAND = "python -m benchmarks.house.arrows"
ROOT = Path(__file__).parents[2]


def main() -> None:
    """Computes, prints and saves both figures."""
    files = len([path for path in (ROOT / "service").glob("*.py") if path.name != "__init__.py"])
    arrows = back_arrows()
    print(f"{files} files at the root of service/, {arrows} arrows back up")
    save(
        [
            row("house.service_files_at_root", [files], "files", "50 before the move", COMMAND),
            row("house.back_arrows", [arrows], "imports", "the floors in pyproject.toml; 4 before", COMMAND),
        ]
    )


def back_arrows() -> int:
    """How many imports within `service/` go from a layer to a higher one, or to another package of the same layer."""
    floors = floors_of_service()
    rank = {room: number for number, rooms in enumerate(floors) for room in rooms}
    graph = grimp.build_graph("service")
    arrows = 0
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            start, end = room_of(importer), room_of(imported)
            arrows += start != end and rank.get(start, -1) >= rank.get(end, len(floors))
    return arrows


def floors_of_service() -> list[list[str]]:
    """The packages of each layer, highest layer first, from the import-linter contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    [layers] = [each["layers"] for each in contracts if each.get("containers") == ["service"]]
    return [[room.strip() for room in layer.split("|")] for layer in layers]


def room_of(module: str) -> str:
    """The module's package within `service`; empty for the entry point of a process, which nothing imports."""
    return "" if module.endswith(".__main__") else module.partition(".")[2].partition(".")[0]


if __name__ == "__main__":
    main()
