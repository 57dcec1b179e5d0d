"""Tables as files: whole, harmless, and never in the place of another file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.clock import VirtualClock
from seatrial.errors import SeatrialError
from seatrial_tui.export import FORMULA, fresh_path, write_csv, write_json
from seatrial_tui.panes.pane import Exported, Value

Write = Callable[[Exported, Path], None]
TABLE = Exported(name="clients", columns=["client", "bytes", "p95"], rows=[["a,b", 5, 0.25], ['say "x"', -1, None], ["漢\nz", 0, True]])


def _read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_csv_has_a_line_of_names_and_one_for_each_row(tmp_path: Path) -> None:
    path = tmp_path / "new" / "t.csv"
    write_csv(TABLE, path)
    assert _read(path) == [["client", "bytes", "p95"], ["a,b", "5", "0.25"], ['say "x"', "-1", ""], [r"漢\nz", "0", "True"]]


def test_json_keeps_kinds_and_texts_also_of_names_that_are_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    write_json(Exported(name="files", columns=["path", "size"], rows=[["caf\udce9\x1b", 3], ["=1+1", None]]), path)
    document = json.loads(path.read_text(encoding="ascii"))
    assert document == {
        "table": "files",
        "columns": ["path", "size"],
        "rows": [{"path": "caf\udce9\x1b", "size": 3}, {"path": "=1+1", "size": None}],
    }


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "＝1", "＠x"])
def test_a_text_that_a_spreadsheet_would_compute_stands_behind_an_apostrophe(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    write_csv(Exported(name="t", columns=["a"], rows=[[text]]), path)
    assert _read(path)[1] == [f"'{text}"]


@given(text=st.text(min_size=1))
def test_no_text_begins_like_a_formula_or_drives_a_terminal(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    write_csv(Exported(name="t", columns=["a"], rows=[[text]]), path)
    rows = _read(path)
    assert len(rows) == 2
    assert not rows[1][0].lstrip().startswith(FORMULA)
    assert rows[1][0].isprintable()


@pytest.mark.parametrize("write", [write_csv, write_json])
def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "t"
    path.write_text("mine")
    with pytest.raises(SeatrialError) as refused:
        write(TABLE, path)
    assert path.read_text() == "mine"
    assert refused.value.where == str(path)
    assert refused.value.remedy


def test_a_file_that_could_not_be_written_to_its_end_is_not_left(tmp_path: Path) -> None:
    def rows() -> Iterator[list[Value]]:
        yield ["first"]
        raise OSError(28, "No space left on device")

    class Breaking(list[list[Value]]):
        def __iter__(self) -> Iterator[list[Value]]:
            return rows()

    path = tmp_path / "t.csv"
    with pytest.raises(SeatrialError, match="No space left"):
        write_csv(Exported(name="t", columns=["a"], rows=Breaking()), path)
    assert not path.exists()


def test_a_directory_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SeatrialError) as refused:
        write_csv(TABLE, tmp_path / "file" / "t.csv")
    assert str(tmp_path / "file") in refused.value.where


def test_a_name_tells_run_table_and_time_and_is_free(tmp_path: Path) -> None:
    clock = VirtualClock()
    first = fresh_path(tmp_path, "run-1", "clients", "csv", clock)
    assert first == tmp_path / "run-1-clients-20231114_221320.csv"
    write_csv(TABLE, first)
    second = fresh_path(tmp_path, "run-1", "clients", "csv", clock)
    assert second.name == "run-1-clients-20231114_221320-2.csv"


def test_a_name_of_foreign_origin_leads_nowhere_else(tmp_path: Path) -> None:
    path = fresh_path(tmp_path, "../../run", "a/b\n\x1b[31m", "csv", VirtualClock())
    assert path.parent == tmp_path
    assert path.name.isprintable()
