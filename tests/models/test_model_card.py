"""The card of a model: a block of metadata that a YAML reader understands, and Markdown below it."""

import pytest
import yaml

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import Settings
from liftnet.models.folder import Card, paragraph, settings_table, table


def test_a_card_is_metadata_and_markdown(tmp_path):
    card = Card("A title: with a colon", "apache-2.0", ("one", "two"), summary="Text.", data="More.")
    path = card.write(tmp_path / "model")
    assert path == tmp_path / "model" / "README.md"
    _, head, body = path.read_text().split("---\n", 2)
    assert yaml.safe_load(head) == {"license": "apache-2.0", "library_name": "liftnet", "tags": ["one", "two"]}
    assert body == "\n# A title: with a colon\n\nText.\n\n## Data\n\nMore.\n"
    assert body.count("\n\n\n") == 0


def test_a_card_that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(LiftnetError):
        Card("A title", "mit", ()).write(tmp_path / "file")


def test_paragraphs_have_one_width_and_keep_their_words():
    given = "some   words\n    of a text " * 30
    lines = paragraph(given).split("\n")
    assert max(map(len, lines)) <= 110
    assert " ".join(lines).split() == given.split()


def test_tables_show_numbers_and_settings_by_their_dotted_names():
    assert table([{"weights": "trained", "fpr95": 0.25, "pairs": 3}]).split("\n")[-1] == "| trained | 0.2500 | 3 |"
    rows = settings_table({"points": 5, "train": {"optimiser": {"name": "sgd"}, "iterations": 2}}).split("\n")
    assert rows[2:] == ["| `points` | 5 |", "| `train.optimiser.name` | sgd |", "| `train.iterations` | 2 |"]


class Network(Settings):
    width: int = 3


class Tree(Settings):
    network: Network = Network()
    steps: int = 10


def test_sections_with_text_stand_in_one_order_and_settings_beside_their_defaults(tmp_path):
    card = Card(
        title="A line",
        licence="other",
        tags=["line"],
        limits="It is straight.",
        training="Ten steps.",
        settings={"network": {"width": 4}, "steps": 10},
        defaults=Tree(),
        front={"pipeline_tag": "other"},
    )
    text = card.write(tmp_path).read_text()
    _, front, body = text.split("---\n", 2)
    expected = {"license": "other", "library_name": "liftnet", "tags": ["line"], "license_name": "as-its-trainer-says"}
    assert yaml.safe_load(front) == expected | {"pipeline_tag": "other"}
    headings = [line for line in body.splitlines() if line.startswith("#")]
    assert headings == ["# A line", "## Training", "## Limits", "## Settings"]
    assert "| `network.width` | 4 | 3 |" in body
    assert "| `steps` | 10 |  |" in body
    assert "\n\n\n" not in body
    assert text.endswith("|\n")
