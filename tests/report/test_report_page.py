"""The page: what stands on it, that it loads nothing, and that names from the web stay text."""

import re
from html.parser import HTMLParser

import pytest
from pydantic import ValidationError

from liftnet.__main__ import main
from liftnet.core.errors import LiftnetError
from liftnet.data.schemas import MANIFEST, write_table
from liftnet.report.figures import chosen_kept, chosen_rejected
from liftnet.report.page import _plotly, write_report
from liftnet.report.results import RunResults
from liftnet.report.settings import ReportSettings
from liftnet.report.tables import DATASET, KNOWN, funnel_view, table_views


class Elements(HTMLParser):
    """Every element with its attributes, and the text outside scripts and styles."""

    def __init__(self):
        super().__init__()
        self.elements, self.text, self.inside = [], [], []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data):
        if not self.inside:
            self.text.append(data)


def parse(page):
    parser = Elements()
    parser.feed(page)
    return parser


@pytest.fixture(scope="module")
def page(made_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    config = out.parent / "config.yaml"
    config.write_text("collect:\n  source: '</pre><script>alert(1)</script>'\n")
    write_report(made_run.root, out, ReportSettings(), seed=3, config=config)
    return out.read_text()


def test_sections_stand_in_order(page):
    ids = re.findall(r'<section id="(\w+)">', page)
    assert ids == ["dataset", "tables", "funnel", "pairs", "masks", "depth", "surfaces", "credits", "settings"]
    text = " ".join(" ".join(parse(page).text).split())
    for words in ("The dataset by split.", "1,234,567", "Something else", "Not there in this run", "the only image"):
        assert words in text
    assert "Masks of held-out works" in text
    assert "kept" in text
    assert "too few putative matches" in text


def test_tables_of_the_dataset_come_with_their_figures(tmp_path):
    (tmp_path / "figures").mkdir()
    head = "quantity,split,n,mean,q05,q95,iqr"
    lines = [f"images per work,{split},3,12.5,1,30,7" for split in ("train", "val", "test", "all")]
    (tmp_path / "images_per_work.csv").write_text("\n".join([head, *lines, *lines]) + "\n")
    (tmp_path / "figures" / "images_per_work.svg").write_text("<svg><script>alert(1)</script></svg>")
    (tmp_path / "licences.csv").write_text("licence,all\nCC0-1.0,4\n")
    (tmp_path / "funnel_by_source.csv").write_text("unit,source,reason,count\nimages,met,http_404,2\n")
    (tmp_path / "own.csv").write_text("a\n1\n")
    views, missing = table_views(tmp_path, DATASET)
    assert [view.name for view in views] == ["licences", "images_per_work"]
    assert (views[0].figure, views[0].folded) == (None, False)
    assert views[1].figure.startswith("data:image/svg+xml;base64,")
    assert "<" not in views[1].figure
    assert views[1].folded
    assert views[1].columns == ["quantity", "split", "n", "mean"]
    assert "Splits" in dict(missing)
    assert [view.name for view in table_views(tmp_path, KNOWN, others=True)[0]] == ["own"]
    assert funnel_view(tmp_path).rows == [["images", "met", "HTTP 404", "2"]]
    assert funnel_view(tmp_path / "figures") is None


def test_no_address_outside_the_page(page):
    elements = parse(page).elements
    for tag, attributes in elements:
        for name in ("src", "href", "action", "srcset", "poster", "data", "xlink:href", "formaction", "background"):
            value = attributes.get(name, "data:")
            assert value.startswith(("data:", "#")), (tag, name, value[:80])
        assert tag not in ("iframe", "object", "embed", "base", "form")
        assert "url(" not in attributes.get("style", "")
    own = page.replace(_plotly(), "")
    assert own != page
    assert "url(" not in own
    assert "@import" not in own
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", re.sub(r"data:image/jpeg;base64,[\w+/=]+", "", own))


def test_hostile_names_stay_text(page):
    elements = parse(page)
    scripts = [attributes for tag, attributes in elements.elements if tag == "script"]
    assert len(scripts) == 4  # errors, meshes, library, page
    assert not [a for _, a in elements.elements if any(name.startswith("on") for name in a)]
    assert not [
        a for tag, a in elements.elements if tag == "img" and not a["src"].startswith("data:image/jpeg;base64,")
    ]
    assert "<script>document.title='owned'</script>" in "".join(elements.text)
    assert not [a for tag, a in elements.elements if tag == "a" and not a["href"].startswith("#")]


def test_every_script_is_in_the_policy(page):
    import base64
    import hashlib

    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'")
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.S)
    assert len(scripts) == 3
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"sha256-{digest}" in policy
    assert "unsafe-inline'" not in policy.split("script-src")[1]


def test_page_is_small_and_repeatable(made_run, page, tmp_path):
    assert len(page.encode()) < 15e6
    for name in ("a.html", "b.html"):
        write_report(made_run.root, tmp_path / name, ReportSettings(), seed=3)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_samples_depend_on_ids_not_on_order(made_run):
    pairs = RunResults(made_run.root).pairs
    shuffled = pairs.sample(frac=1, random_state=1)
    for choose in (chosen_kept, chosen_rejected):
        assert choose(pairs, 2, 5)["pair_id"].tolist() == choose(shuffled, 2, 5)["pair_id"].tolist()
    assert chosen_kept(pairs, 3, 5)["work_id"].nunique() == 3
    assert chosen_rejected(pairs, 1, 5)["reason"].tolist() == sorted(set(pairs["reason"]) - {"kept"})
    orders = {tuple(chosen_kept(pairs, 3, seed)["pair_id"]) for seed in range(8)}
    assert len(orders) > 1


def test_a_run_that_only_collected_says_what_is_missing(tmp_path):
    write_table(tmp_path / "results" / "manifest.parquet", [{"status": "http_404"}], MANIFEST)
    write_report(tmp_path / "results", tmp_path / "report.html", ReportSettings())
    assert list((tmp_path / "tables").glob("funnel.*"))
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["manifest.parquet"]  # only where --out says
    text = " ".join(" ".join(parse((tmp_path / "report.html").read_text()).text).split())
    for words in (
        "No tables of pairs yet",
        "No pairs to show",
        "No masks to show",
        "without hand-made masks",
        "No predictions to show",
        "No surfaces to show",
        "No images are shown",
        "only the built-in museum has a true depth",
    ):
        assert words in text
    assert len((tmp_path / "report.html").read_bytes()) < 60_000  # no library without surfaces


def test_a_lost_picture_leaves_the_rest(own_run, tmp_path, caplog):
    for work in own_run.images.values():
        (own_run.root / "images" / f"{work[0]}.jpg").write_bytes(b"<html>not a picture</html>")
    write_report(own_run.root, tmp_path / "report.html", ReportSettings())
    assert "is not shown" in caplog.text
    assert "Wave" in (tmp_path / "report.html").read_text()


def test_damaged_files_are_named(own_run, tmp_path):
    out, settings = tmp_path / "report.html", ReportSettings()
    index = own_run.root / "predictions" / "index.json"
    sound = index.read_text()
    first = own_run.images["wave-000001"][0]
    (own_run.root / "predictions" / f"{first}.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(LiftnetError, match=rf"{first}\.npz"):
        write_report(own_run.root, out, settings)
    index.write_text('{"rows": 1}')
    with pytest.raises(LiftnetError, match=r"index\.json: is not a list"):
        write_report(own_run.root, out, settings)
    index.write_text(sound[:-5])
    with pytest.raises(LiftnetError, match="not valid JSON"):
        write_report(own_run.root, out, settings)
    index.unlink()
    (own_run.root / "tables" / "depth_demo.csv").write_bytes(b"")
    with pytest.raises(LiftnetError, match=r"depth_demo\.csv"):
        write_report(own_run.root, out, settings)
    assert not out.exists()
    with pytest.raises(LiftnetError, match="cannot be read"):
        (own_run.root / "tables" / "depth_demo.csv").unlink()
        write_report(own_run.root, out, settings, config=tmp_path / "none.yaml")


def test_command_and_its_settings(made_run, tmp_path, caplog):
    import argparse

    from liftnet.report.cli import add_commands

    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    out = tmp_path / "page.html"
    given = ["--root", str(made_run.root), "--out", str(out), "--depths.surfaces", "0", "--title", "Wave & King"]
    arguments = parser.parse_args(["report", *given])
    with caplog.at_level("INFO"):
        arguments.run(arguments)
    assert "Wave &amp; King</h1>" in out.read_text()
    assert "from 15 manifest rows" in caplog.text
    with pytest.raises(ValidationError):
        ReportSettings(depths={"surfaces": 5})


def test_the_page_of_a_run_is_made_once_named_and_opened(own_run, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    page = own_run.root / "report.html"
    page.unlink(missing_ok=True)
    words = ["report", str(own_run.root), "--depths.surfaces", "0"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{page}\n"
    page.write_text("kept")
    assert main([*words, "--open"]) == 0
    assert (page.read_text(), opened) == ("kept", [page.as_uri()])
    assert main(["report", "--root", str(own_run.root), "--depths.surfaces", "0"]) == 0
    assert page.read_text() != "kept"


def test_a_folder_without_a_run_has_no_page(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "holds no run that has collected anything" in capsys.readouterr().err
