"""RFIDs: text that names an animal.

They are matched exactly, then without leading zeros where that is unique (spreadsheets drop them), with a warning;
whatever else does not match is refused by name. `RFID_<name>` is no RFID but the tracker's word for an animal whose
chip no antenna has read: in another file, recording or cage it may be another mouse, so it is matched inside one file
and joined with nothing.
"""

import logging
import re
from collections.abc import Iterable

from lmtcnn.lmt import lmt

log = logging.getLogger("lmtcnn")

_PLACEHOLDER = re.compile(r"\s*RFID_.*", re.IGNORECASE | re.DOTALL)


def has_chip(rfid: str | None) -> bool:
    """Tell whether an RFID is that of a chip: not empty, and not the tracker's `RFID_<name>`."""
    return bool(rfid) and not _PLACEHOLDER.fullmatch(rfid or "")


def no_chip(rfid: str | None) -> str:
    """Say why nothing is known of an animal beyond its recording: `no chip read (RFID_C)`, `no RFID`."""
    return f"no chip read ({rfid})" if rfid else "no RFID"


def unnamed(recording: str, rfid: str) -> str:
    """Say who an animal is as far as its chip tells: the RFID, or, without one, somebody of this recording alone."""
    return rfid if has_chip(rfid) else f"{rfid} of {recording}".strip()


def pair_rfids(wanted: Iterable[str], there: Iterable[str]) -> dict[str, str]:
    """Return for each RFID that is wanted the one of `there` that is taken for it; those that find none are left out.

    That is the same RFID or, of those that are still free, the only one that differs from it in leading zeros alone,
    or in `.0` behind the digits, as tables of numbers write it.
    """
    wanted, there = list(dict.fromkeys(wanted)), list(there)
    pairs = {rfid: rfid for rfid in wanted if rfid in there}
    for rfid in (rfid for rfid in wanted if rfid not in pairs):
        free = [other for other in there if other not in pairs.values() and _bare(other) == _bare(rfid)]
        if len(free) == 1:
            pairs[rfid] = free[0]
    return pairs


def warn_of_numbers(database: lmt.Database) -> None:
    """Say which RFIDs are stored as numbers: their leading zeros are lost, and digits where they are rounded."""
    for animal in database.animals:
        if animal.number:
            log.warning(
                "%s: ANIMAL %d: RFID stored as the number %s, read as %s: leading zeros are lost; compare it with the "
                "chip, and write it as text into a copy of the file",
                *(database.path.name, animal.id, animal.number, animal.rfid),
            )


def _bare(rfid: str) -> str:
    """Return an RFID without what tables of numbers take from it and add: leading zeros, and `.0` behind the digits."""
    digits = rfid.removesuffix(".0")
    return (digits if digits.isdecimal() else rfid).lstrip("0")
