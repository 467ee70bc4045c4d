"""Settings as people write them: read by their dotted names, and handed to Snakemake so that it reads the same."""

import pytest
from snakemake.cli import parse_config

from liftnet.core.errors import LiftnetError
from liftnet.launch.words import settings_of_words, words_of_settings
from liftnet.workflow.configuration import read_schema
from liftnet.workflow.home import workflow_home
from liftnet.workflow.user_paths import words_as_written

SCHEMA = read_schema(workflow_home() / "workflow" / "schemas" / "config.schema.yaml")


def test_dotted_names_are_nested_and_typed():
    words = [
        "match.search.ratio=0.7",
        "match.search.mutual=false",
        "photos=007",
        "collect={splits: {val_artists: [A, B]}}",
    ]
    assert settings_of_words(words, SCHEMA) == {
        "match": {"search": {"ratio": 0.7, "mutual": False}},
        "photos": "007",
        "collect": {"splits": {"val_artists": ["A", "B"]}},
    }


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("match.search.ratoi=0.7", "unknown key 'ratoi'; did you mean 'ratio'"),
        ("mach.search.ratio=0.7", "unknown key 'mach'; did you mean 'match'"),
        ("match.search.ratio=high", "'high' is not of type 'number'"),
        ("results", "is not KEY=VALUE"),
        ("match={search: [", "is not valid YAML"),
    ],
)
def test_what_is_wrong_is_named(word, said):
    with pytest.raises(LiftnetError, match=said.replace("(", r"\(")):
        settings_of_words([word], SCHEMA)


@pytest.mark.parametrize(
    "settings",
    [
        {"photos": "my photos/a=b", "results": "out"},
        {"photos": "{artist}", "results": "a: b"},
        {"photos": "[x] # y", "seed": 3},
        {"photos": "007"},
        {"photos": "b\u00fcste \u96d5"},
        {"match": {"search": {"ratio": 0.7, "mutual": False}}, "collect": {"splits": {"val_artists": ["A b", "1"]}}},
    ],
)
def test_snakemake_reads_the_words_as_they_were_meant(settings):
    words = words_of_settings(settings)
    assert words_as_written(parse_config(words), SCHEMA, words) == settings
