"""View Position (PS3.3 C.8.11.1) by the code of a mammographic view.

PS3.16 CID 4014 "View for Mammography" with its ACR MQCM 1999 equivalents: SNOMED CT, and the
retired SNOMED RT values that older devices still send.
"""

from __future__ import annotations

from typing import Final

VIEW_BY_CODE: Final = {
    "399162004": "CC",
    "R-10242": "CC",
    "399368009": "MLO",
    "R-10226": "MLO",
    "399260004": "ML",
    "R-10224": "ML",
    "399352003": "LM",
    "R-10228": "LM",
    "399099002": "LMO",
    "R-10230": "LMO",
    "399196006": "FB",
    "R-10244": "FB",
    "399188001": "SIO",
    "R-102D0": "SIO",
    "441555000": "ISO",
    "399192008": "XCCL",
    "R-1024A": "XCCL",
    "399101009": "XCCM",
    "R-1024B": "XCCM",
}
