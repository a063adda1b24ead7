"""A headless LibreOffice: workbooks recalculated by a program that did not write them, in any locale."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import openpyxl

SECONDS = 1800  # that a conversion of several workbooks may take
SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse">
<value>0</value></prop></item>
<item oor:path="/org.openoffice.Setup/L10N"><prop oor:name="ooSetupSystemLocale" oor:op="fuse">
<value>{locale}</value></prop></item>
</oor:items>
"""


def find() -> str | None:
    """Path of a LibreOffice of this machine."""
    return shutil.which("soffice") or shutil.which("libreoffice")


def convert(books: list[Path], folder: Path, form: str = "xlsx", locale: str = "en-US") -> list[Path]:
    """Have LibreOffice open the books, recalculate them and save them in `folder`; their paths there."""
    profile = folder / "profile"
    (profile / "user").mkdir(parents=True, exist_ok=True)
    (profile / "user" / "registrymodifications.xcu").write_text(SETTINGS.format(locale=locale))
    command = [find(), f"-env:UserInstallation={profile.as_uri()}", "--headless", "--norestore"]
    command += ["--convert-to", form, "--outdir", str(folder), *map(str, books)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    made = [folder / f"{book.stem}.{form.split(':')[0]}" for book in books]
    missing = [path.name for path in made if not path.exists()]
    assert not missing, f"{missing}: {done.stdout}{done.stderr}"
    return made


def without_values(book: Path, to: Path) -> Path:
    """The workbook with its formulas and none of the values that were stored with them."""
    with zipfile.ZipFile(book) as given, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as taken:
        for name in given.namelist():
            content = given.read(name)
            if name.startswith("xl/worksheets/sheet"):
                content = re.sub(rb"(</f>)<v>[^<]*</v>", rb"\1", content)
            taken.writestr(name, content)
    return to


def edited(book: Path, to: Path, changes: dict[tuple[str, str], Any]) -> Path:
    """The workbook with other values in some cells, (sheet, address) → value; no stored value is left."""
    changed = openpyxl.load_workbook(book)
    for (sheet, address), value in changes.items():
        changed[sheet][address] = value
    changed.save(to)
    return to


def values(book: Path) -> dict[tuple[str, str], Any]:
    """(sheet, address) → the stored value of each cell that has one."""
    return {
        (sheet.title, cell.coordinate): cell.value
        for sheet in openpyxl.load_workbook(book, data_only=True)
        for row in sheet.iter_rows()
        for cell in row
        if cell.value not in (None, "")
    }


def formulas(book: Path) -> set[tuple[str, str]]:
    """(sheet, address) of each cell that has a formula."""
    return {
        (sheet.title, cell.coordinate)
        for sheet in openpyxl.load_workbook(book)
        for row in sheet.iter_rows()
        for cell in row
        if cell.data_type == "f"
    }


def header_row(sheet: str) -> int:
    """Row of a table's header, from 1."""
    return 14 if sheet == "Summary" else 4


class Table:
    """A table of a sheet, by its headers without their units."""

    def __init__(self, book: Path, sheet: str, data_only: bool = True) -> None:
        self.name = sheet
        self.sheet = openpyxl.load_workbook(book, data_only=data_only)[sheet]
        header = self.sheet[header_row(sheet)]
        self.columns = {column_name(cell.value): cell.column_letter for cell in header if cell.value is not None}

    def address(self, column: str, **where: Any) -> tuple[str, str]:
        """Sheet and address of a cell in the first row that has these values in other columns."""
        number = header_row(self.name) + 1
        while any(self.sheet[f"{self.columns[name]}{number}"].value is not None for name in self.columns):
            if all(self.sheet[f"{self.columns[name]}{number}"].value == value for name, value in where.items()):
                return self.name, f"{self.columns[column]}{number}"
            number += 1
        raise KeyError(f"{self.name}: no row with {where}")

    def column(self, column: str) -> list[Any]:
        """Its values, down to the first row that is empty."""
        number, found = header_row(self.name) + 1, []
        while any(self.sheet[f"{self.columns[name]}{number}"].value is not None for name in self.columns):
            found.append(self.sheet[f"{self.columns[column]}{number}"].value)
            number += 1
        return found


def column_name(header: Any) -> Any:
    """A column's name, from a header that may have its unit: "median (s)"."""
    return re.sub(r" \([^()]*\)$", "", header) if isinstance(header, str) else header
