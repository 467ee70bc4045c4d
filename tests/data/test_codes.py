"""Codes of outcomes and their words."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from liftnet.collect.split_lists import Entry, read_lists
from liftnet.core.command import CommandParser
from liftnet.core.errors import LiftnetError
from liftnet.data.codes import LEFT_OUT, SPLITS, ImageStatus, PairReason, split_named, words_of
from liftnet.data.split_option import add_split
from liftnet.experiments.plan import SetPlan


@pytest.mark.parametrize("table", [ImageStatus, PairReason])
def test_every_code_is_the_word_on_disk_and_has_words_for_readers(table):
    for code in table:
        assert code == code.value == code.name.lower()
        assert f"{code}" == code.value  # as CSV, logs and JSON write it
        assert code.words
        assert "_" not in code.words


def test_codes_are_plain_strings_to_arrow_pandas_numpy_and_json():
    column = pa.array(["kept", "chance", None])
    assert pc.equal(column, PairReason.KEPT).to_pylist() == [True, False, None]
    assert pa.array([PairReason.CHANCE], pa.string()).to_pylist() == ["chance"]
    assert pd.DataFrame({"reason": [PairReason.CHANCE]}).to_csv(index=False) == "reason\nchance\n"
    assert np.select([np.array([True])], [PairReason.CHANCE], PairReason.KEPT).tolist() == ["chance"]
    assert json.dumps({PairReason.KEPT: ImageStatus.OK}) == '{"kept": "ok"}'
    assert {PairReason.KEPT: 1}["kept"] == 1


def test_no_code_means_one_thing_in_one_table_and_another_in_the_other():
    assert not {*ImageStatus} & {*PairReason}
    assert set(LEFT_OUT) <= {*ImageStatus}


def test_splits_rise_from_the_lowest_to_the_highest():
    assert SPLITS == ("train", "val", "test")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("chance", "no more matches agree with a fundamental matrix than by chance"),
        ("dup_near", "a copy of another image"),
        ("http_404", "HTTP 404"),
        ("not_stated", "not stated"),
        ("colmap_no_features", "colmap no features"),
        (None, "None"),
    ],
)
def test_words_of_any_code(code, words):
    assert words_of(code) == words


@pytest.mark.parametrize("word", ["validation", "valid", "val"])
def test_validation_is_val_wherever_a_user_names_a_split(word, tmp_path):
    parser = CommandParser()
    add_split(parser, "images")
    assert split_named(word) == "val"
    assert parser.parse_command(["--split", word]).split == "val"
    assert SetPlan(title="a", folder="b", split=word).split == "val"
    (tmp_path / f"{word}_artists.txt").write_text("Rodin\n")
    assert read_lists(tmp_path).artists.entries == {Entry(("Rodin",)): "val"}


def test_a_slip_of_the_pen_is_answered_with_the_split_that_was_meant(capsys, tmp_path):
    parser = CommandParser()
    add_split(parser, "images")
    with pytest.raises(SystemExit):
        parser.parse_command(["--split", "tset"])
    assert "--split: 'tset': is not a split; did you mean 'test'? Use train, val or test" in " ".join(
        capsys.readouterr().err.replace(".", "").split()
    )
    (tmp_path / "vla_artists.txt").write_text("Rodin\n")
    with pytest.raises(LiftnetError, match=r"vla_artists.txt: names the split 'vla', which .* did you mean 'val'"):
        read_lists(tmp_path)
