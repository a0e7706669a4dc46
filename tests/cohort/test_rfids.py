"""RFIDs, and what is none."""

import pytest

from lmtcnn.cohort.recording import Sample
from lmtcnn.cohort.rfids import has_chip, pair_rfids


@pytest.mark.parametrize(
    ("rfid", "read"),
    [("001039500001", True), ("RFID_C", False), ("rfid_c", False), (" RFID_", False), ("", False), (None, False)],
)
def test_what_the_tracker_writes_before_a_chip_is_read_is_no_rfid(rfid: str | None, read: bool) -> None:
    assert has_chip(rfid) is read
    sample = Sample("r1", rfid or "", "c1", {}, "AM")
    assert (sample.animal == rfid) is read
    assert sample.animal != Sample("r2", rfid or "", "c1", {}, "AM").animal or read
    assert not sample.is_named


def test_rfids_are_paired_exactly_and_then_without_zeros_where_one_is_left() -> None:
    assert pair_rfids(["1", "002", "03", "4"], ["001", "2", "002", "3", "4", "04"]) == {
        "002": "002",
        "4": "4",
        "1": "001",
        "03": "3",
    }
    assert pair_rfids(["1"], ["01", "001"]) == {}
