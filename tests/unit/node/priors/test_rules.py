"""Rules for priors: what is written decides who is asked; what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import ConfigurationError
from node.peers import Peer
from node.priors.rules import PriorRule, load_priors
from node.priors.storage import MOST_CONTEXTS, STORAGE_BY_MODALITY, storage_contexts

PEERS = {"ARCHIVE": Peer(ae_title="ARCHIVE", host="127.0.0.1", port=104)}
GOOD = {
    "name": "mammograms",
    "match": {"Modality": "MG"},
    "source": "ARCHIVE",
    "modalities": ["MG"],
    "within_days": 1500,
}


def load(tmp_path: Path, text: str) -> tuple[PriorRule, ...]:
    """Load rules from a file with this content."""
    path = tmp_path / "priors.yaml"
    path.write_text(text)
    return load_priors(path, PEERS)


def test_no_file_asks_for_nothing() -> None:
    """Without a priors file there are no rules."""
    assert load_priors(None, PEERS) == ()


def test_rules_of_the_configuration_page_are_valid(tmp_path: Path) -> None:
    """The example of the documentation loads, in order, with its values."""
    page = Path(__file__).resolve().parents[4] / "docs" / "configuration.md"
    example = page.read_text(encoding="utf-8").split("## Priors")[1].split("```")[1]
    rules = load(tmp_path, example.removeprefix("yaml\n"))
    assert [rule.name for rule in rules] == ["previous mammograms", "ultrasound of the same visit"]
    assert rules[0].wants({"Modality": "MG"})
    assert not rules[0].wants({"Modality": "US"})
    assert rules[1].retrieve == "c-get"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("peers: []", "key `priors`"),
        ("priors:\n- {name: x}", r"entry 1 \(x\).*source.*modalities.*within_days"),
        (f"priors:\n- {GOOD | {'source': 'OTHER'}}", "source OTHER of mammograms"),
        (f"priors:\n- {GOOD}\n- {GOOD}", "mammograms is used twice"),
        (f"priors:\n- {GOOD | {'match': {'PatientName': 'X'}}}", "cannot match on"),
        (f"priors:\n- {GOOD | {'modalities': ['M*']}}", "is not a modality"),
        (f"priors:\n- {GOOD | {'modalities': ['XX'], 'retrieve': 'c-get'}}", "use c-move"),
        (
            f"priors:\n- {GOOD | {'modalities': ['MG', 'US', 'MR', 'CT'], 'retrieve': 'c-get'}}",
            "make two rules",
        ),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, text: str, named: str) -> None:
    """The error says which entry to change, and what is wrong with it."""
    with pytest.raises(ConfigurationError, match=named):
        load(tmp_path, text)


def test_contexts_of_mammography_with_ultrasound_fit_one_association() -> None:
    """Both modalities of the combined assessment can be got at once, each syntax as it is kept."""
    contexts = storage_contexts(("MG", "US"))
    assert len(contexts) <= MOST_CONTEXTS
    assert {uid for uid, _ in contexts} == {
        *STORAGE_BY_MODALITY["MG"],
        *STORAGE_BY_MODALITY["US"],
    }
