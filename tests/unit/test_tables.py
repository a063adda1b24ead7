"""Reading the tables of `results/`: types, empties, and what is refused."""

import csv

import pandas as pd
import pytest
from example_tables import FIVE, example

from vitbench import tables
from vitbench.errors import UserError


def test_tables_come_back_as_they_were_written(tmp_path):
    run = example(FIVE, failed={("sparknlp/onnx", 16): "oom", "sparknlp/tensorflow": "skipped"})
    paths = run.write(tmp_path)
    for name in ("runs", "summary", "best", "parity", "speedup"):
        frame = tables.read(paths[name])
        pd.testing.assert_frame_equal(frame, getattr(run, name), check_dtype=name != "parity")
    assert tables.read(paths["parity"])["passed"].dtype == bool
    assert tables.read_context(paths["context"]) == run.context


def test_words_that_look_like_missing_values_stay_words(tmp_path):
    run = example()
    run.runs.loc[0, ["reason", "setting"]] = ["NA", "007"]
    frame = tables.read(run.write(tmp_path)["runs"])
    assert list(frame.loc[0, ["reason", "setting"]]) == ["NA", "007"] and frame.loc[1, "reason"] == ""


def test_no_text_is_a_formula_in_the_file_and_all_come_back(tmp_path):
    texts = ["=1+1", "+1", "-1", "@sum", "\tx", "'quoted", "''", "plain", "", "<b>", "two\nlines"]
    path = tmp_path / "images.csv"
    frame = pd.DataFrame(
        {"dataset": "full", "name": "mine", "used": False, "what": texts, "images": -3, "first": texts}
    )
    path.write_text(tables.as_csv(frame))
    with open(path, newline="") as handle:
        cells = [cell for row in csv.reader(handle) for cell in (row[3], row[5])]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    read = tables.read(path)
    assert read["what"].tolist() == read["first"].tolist() == texts and not read["used"].any()
    path.write_text(tables.as_csv(frame.assign(what="one\rtwo\r\nthree")))
    assert set(tables.read(path)["what"]) == {"one\ntwo\nthree"}
    assert read["images"].tolist() == [-3.0] * len(texts)


def test_broken_tables_are_refused_in_one_line(tmp_path):
    run = example()
    path = run.write(tmp_path)["summary"]
    with pytest.raises(UserError, match="is missing"):
        tables.read(tmp_path / "speedup" / "speedup.csv")
    path.write_text(path.read_text().replace("median", "middle"))
    with pytest.raises(UserError, match="lacks the columns median"):
        tables.read(path)
    run.summary.assign(median="fast").to_csv(path, index=False)
    with pytest.raises(UserError, match="line 2, column median: 'fast' is not a number"):
        tables.read(path)
    path.write_text("")
    with pytest.raises(UserError, match="not a readable CSV"):
        tables.read(path)
    (tmp_path / "context.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        tables.read_context(tmp_path / "context.json")
