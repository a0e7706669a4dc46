"""A table in any form gives the same columns, and what is none is told, without a server."""

import json
from typing import Any

import pytest

from conftest import told
from lmtcnn.core.errors import DataError
from lmtcnn.serve import forms

COLUMNS = ["recording", "animal_id", "start_s", "duration_s", "x_cm", "y_cm"]
ROWS = [["a", 1, 1.0, 1.5, 10.0, 20.0], ["b", 2, 26.0, 1.5, 10.5, 20.0]]
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
TABLE = {name: [row[name] for row in RECORDS] for name in COLUMNS}
FORM = "an object with one key of dataframe_split, dataframe_records, instances, inputs"


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_split": {"columns": COLUMNS, "data": ROWS}},
        {"dataframe_records": RECORDS},
        {"instances": [{**row, "rfid": "001"} for row in RECORDS]},
        {"inputs": TABLE},
    ],
)
def test_each_form_in_json_gives_the_same_columns(document: Any) -> None:
    assert forms.table(json.dumps(document).encode(), "application/json") == TABLE


def test_csv_gives_the_same_columns_and_what_is_no_number_stays_text() -> None:
    lines = [",".join(COLUMNS), *(",".join(map(str, row)) for row in ROWS), "c,1,nan,true,0x1,1e2"]
    expected = zip(TABLE.items(), ("c", 1, "nan", "true", "0x1", 100.0), strict=True)
    found = forms.table("\n".join(lines).encode(), "text/csv")
    assert found == {name: [*values, last] for (name, values), last in expected}


def test_a_document_that_is_no_table_is_told() -> None:
    assert told(DataError, forms.table, b"{}", "application/json") == (
        f"the body: expected {FORM}, found []; correct it",
    )
