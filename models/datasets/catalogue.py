"""The data sets by name: what they are called, whom to cite, what their licence allows.

What must hold: only pixels that may be published are ever drawn into a report (`may_be_shown`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class DataSet:
    """`licence`: as its source states it. `research_only`: weights trained on it inherit that."""

    title: str
    citation: str
    licence: str
    research_only: bool = True
    may_be_shown: bool = False


SETS: Mapping[str, DataSet] = MappingProxyType(
    {
        "phantoms": DataSet(
            "synthetic phantoms of this project",
            "`sentinode phantom`",
            "Apache-2.0",
            research_only=False,
            may_be_shown=True,
        ),
        "busi": DataSet(
            "BUSI breast ultrasound images",
            "Al-Dhabyani et al., Data in Brief 28 (2020) 104863, doi 10.1016/j.dib.2019.104863",
            "CC0 or CC BY 4.0, as stated by those who re-host it",
            research_only=False,
            may_be_shown=True,
        ),
        "mini_mias": DataSet(
            "mini-MIAS film mammograms",
            "Suckling et al., Exerpta Medica International Congress Series 1069 (1994) 375-378",
            "for research purposes only; may not be sold or leased",
        ),
        "rsna": DataSet(
            "RSNA screening mammography challenge",
            "RSNA Screening Mammography Breast Cancer Detection (2022)",
            "non-commercial, academic research and education; no redistribution",
        ),
        "cbis_ddsm": DataSet(
            "CBIS-DDSM",
            "Lee et al., Scientific Data 4 (2017) 170177, doi 10.1038/sdata.2017.177",
            "CC BY 3.0, as stated by TCIA",
            research_only=False,
        ),
        "inbreast": DataSet(
            "INbreast",
            "Moreira et al., Academic Radiology 19 (2012) 236-248, doi 10.1016/j.acra.2011.09.014",
            "on request from its authors",
        ),
        "ddsm": DataSet(
            "DDSM patches as TFRecords",
            "kaggle.com/datasets/skooch/ddsm-mammography",
            "as stated there",
        ),
        "via": DataSet("pictures annotated with VIA", "their owner", "their owner's"),
        "coco": DataSet("pictures annotated in COCO's format", "their owner", "their owner's"),
    }
)
