"""Lists of catalogues, from recorded answers served by a real server on this machine."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from werkzeug import Response

from liftnet.collect.catalogues.artic import Artic, ArticSettings
from liftnet.collect.catalogues.cleveland import Cleveland, ClevelandSettings
from liftnet.collect.catalogues.commons import Commons, CommonsSettings
from liftnet.collect.catalogues.met import Met, MetSettings
from liftnet.collect.catalogues.smithsonian import Smithsonian, SmithsonianSettings
from liftnet.collect.listing import make_list
from liftnet.collect.sources.client import Client
from liftnet.collect.sources.lists import read_list
from liftnet.collect.web.transport import FetchError
from liftnet.core.errors import LiftnetError

RECORDED = Path(__file__).parent / "recorded"


class Replay:
    """Answers as recorded; keeps what was asked."""

    def __init__(self, server, kind):
        self.base = server.url_for("").rstrip("/")
        self.recorded = [json.loads(path.read_text()) for path in sorted((RECORDED / kind).glob("*.json"))]
        self.asked = []
        self.changes = {}
        for path in {record["path"] for record in self.recorded}:
            server.expect_request(path).respond_with_handler(self.answer)

    def answer(self, request):
        self.asked.append(request)
        if (change := self.changes.get(request.path)) is not None:
            return change(request)
        fitting = [
            record
            for record in self.recorded
            if record["path"] == request.path and record["ask"].items() <= request.args.to_dict().items()
        ]
        if not fitting:
            return Response(f"nothing recorded for {request.url}", status=501)
        record = max(fitting, key=lambda record: len(record["ask"]))
        answers = record["answers"]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return Response(json.dumps(answer.get("body", {})), answer.get("status", 200), answer.get("headers"))

    def paths(self):
        return [request.path for request in self.asked]


@pytest.fixture
def replay(httpserver):
    return lambda kind: Replay(httpserver, kind)


@pytest.fixture
def listed(quick):
    """The rows of a source, by address or file name, and the client that asked."""

    def make(source, **changes):
        with Client(quick(contact="me@example.org", **changes), 300) as client:
            rows = list(source.rows(client))
        return {row.image.given.rpartition("/")[2]: row for row in rows}, client

    return make


@pytest.fixture
def commons(replay):

    def make(**options):
        server = replay("commons")
        settings = {
            "categories": ["Sculptures_by Auguste Rodin"],
            "api": f"{server.base}/w/api.php",
            "wikidata_api": f"{server.base}/wikidata/api.php",
            "skip": ["drawings"],
            "lag_wait_s": 0,
        }
        return Commons(CommonsSettings(**settings | options)), server

    return make


def test_commons_gives_artist_work_and_licence_of_every_file(commons, listed):
    source, server = commons()
    rows, client = listed(source)
    front = rows["1280px-Thinker_front.jpg"]
    assert (front.artist, front.artist_wikidata, front.artist_died) == ("Auguste Rodin", "Q30755", 1917)
    assert (front.work, front.work_wikidata, front.work_rights) == ("The Thinker", "Q900003", "FoP-France")
    assert (front.license, front.attribution, front.credit) == ("CC BY-SA 4.0", "Anna", "Own work")
    assert (front.source, front.source_id, front.problem) == ("commons", "11", None)
    assert front.expected_bytes == round(4_000_000 * 0.32**2)
    details = rows["1280px-Hand.jpg"]  # a category below a work is of that work
    assert (details.work, details.work_wikidata) == ("The Thinker", "Q900003")
    kiss = rows["1280px-Kiss.tif"]  # a category without an item and without any below it is a work
    assert (kiss.artist, kiss.work, kiss.work_wikidata) == ("Auguste Rodin", "The Kiss", None)
    assert client.skipped["the category has a word of `skip` in its name"] == 1
    assert client.skipped["the file stands in several categories; listed once"] == 1
    assert all(
        "liftnet/" in r.headers["User-Agent"] and "me@example.org" in r.headers["User-Agent"] for r in server.asked
    )
    assert all(r.args["maxlag"] == "5" and r.args["formatversion"] == "2" for r in server.asked)


def test_commons_merges_the_answers_of_a_batch_and_waits_out_the_lag(commons, listed):
    source, server = commons()
    rows, _ = listed(source)
    side = rows["Thinker_side.jpg"]  # came first without its properties; no wider than asked for, so the original
    assert (side.license, side.attribution, side.expected_bytes) == ("Public domain", None, 90_000)
    lagged = [r for r in server.asked if r.args.get("cmtitle") == "Category:Sculptures by Auguste Rodin"]
    assert len(lagged) == 3


def test_commons_takes_nothing_on_trust(commons, listed):
    rows, _ = listed(commons()[0])
    back = rows["1280px-Thinker_back.jpg"]
    assert (back.license, back.license_url, back.attribution) == ("7", None, "<B> & Sons")
    assert rows["1280px-Thinker.svg"].problem[0] == "unsupported_format"
    assert rows["File:Thinker lost.jpg"].problem == ("set_aside", "Wikimedia Commons tells nothing of the file")
    assert "several works" in rows["1280px-Overview.jpg"].problem[1]


def test_commons_walks_no_deeper_than_told(commons, listed):
    rows, client = listed(commons(depth=0)[0])
    assert list(rows) == ["1280px-Overview.jpg"]
    assert client.skipped["the category is deeper than `depth`"] == 3


def test_commons_without_wikidata_needs_an_artist(commons, listed):
    source, server = commons(wikidata=False)
    rows, _ = listed(source)
    assert rows["1280px-Kiss.tif"].problem[0] == "bad_row"
    assert "/wikidata/api.php" not in server.paths()
    rows, _ = listed(commons(wikidata=False, artist="Rodin")[0])
    assert (rows["1280px-Kiss.tif"].artist, rows["1280px-Kiss.tif"].artist_wikidata) == ("Rodin", None)


def test_commons_needs_a_contact_and_a_category(commons, quick):
    with Client(quick()) as client, pytest.raises(LiftnetError, match=r"--politeness\.contact"):
        next(commons()[0].rows(client))
    with pytest.raises(LiftnetError, match="categories"):
        commons(categories=[])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"code": "badvalue", "info": "Unrecognized value"}}, "Unrecognized value"),
        ([1], "no object"),
        ({"batchcomplete": True, "query": {"pages": [{"title": "Category:X", "missing": True}]}}, "is no category"),
        ({"continue": {"cmcontinue": "a"}, "query": {}}, "continues where it was"),
        ({"error": {"code": "maxlag", "info": "Waiting for db1: 9 seconds lagged"}}, "9 seconds lagged"),
    ],
)
def test_commons_answers_that_lead_nowhere_are_told(commons, listed, body, message):
    source, server = commons()
    server.changes["/w/api.php"] = lambda request: Response(json.dumps(body))
    with pytest.raises(LiftnetError, match=message):
        listed(source)
    assert len(server.asked) <= 20


def test_commons_without_an_end_is_given_up(commons, listed):
    source, server = commons()

    def onward(request):
        pages = [{"title": f"File:{len(server.asked)}.jpg", "ns": 6}]
        again = {"gcmcontinue": str(len(server.asked)), "continue": "gcmcontinue||"}
        return Response(json.dumps({"continue": again, "query": {"pages": pages}}))

    server.changes["/w/api.php"] = onward
    with pytest.raises(LiftnetError, match="asked 300 times"):
        listed(source)


def test_commons_follows_items_that_were_merged(commons, listed):
    source, server = commons()
    for record in server.recorded:
        if record["ask"].get("ids") == "Q900003":
            entities = record["answers"][0]["body"]["entities"]
            entities["Q900004"] = entities.pop("Q900003") | {"redirects": {"from": "Q900003", "to": "Q900004"}}
    rows, _ = listed(source)
    assert rows["1280px-Thinker_front.jpg"].artist_wikidata == "Q30755"


@pytest.fixture
def met(replay):

    def make(**options):
        server = replay("met")
        return Met(MetSettings(api=f"{server.base}/met", **options)), server

    return make


def test_met_gives_every_image_of_an_object(met, listed):
    source, _ = met()
    rows, client = listed(source)
    assert sorted(rows) == ["1.jpg", "1b.jpg", "2.jpg", "3.jpg"]
    canova = rows["1b.jpg"]
    assert (canova.artist, canova.artist_wikidata, canova.artist_died) == ("Antonio Canova", "Q5547", 1822)
    assert (canova.work, canova.work_wikidata) == ("Head (10.1)", "Q900010")
    assert (canova.license, canova.work_rights, canova.credit) == ("CC0 1.0", "Public domain", "Rogers Fund, 1910")
    roman = rows["2.jpg"]
    assert (roman.artist, roman.artist_died, roman.work) == ("Unknown (Roman)", None, "Head & Bust (10.2)")
    assert rows["3.jpg"].artist is None
    assert dict(client.skipped) == {
        "the object is not in the public domain": 1,
        "the object is of another classification": 1,
        "the museum has removed the object": 1,
        "the object has no image": 1,
        "the address of the image is none": 2,
    }


def test_met_reads_the_numbers_from_its_table(met, listed, tmp_path):
    table = tmp_path / "MetObjects.csv"
    table.write_text(
        "\ufeffObject Number,Is Public Domain,Object ID,Classification,Title\n"
        '10.1,True,1,Sculpture-Stone,"A\nhead"\n10.2,False,2,Sculpture,B\n10.5,True,5,Paintings,C\n'
    )
    source, server = met(dump=str(table))
    rows, _ = listed(source)
    assert sorted(rows) == ["1.jpg", "1b.jpg"]
    assert server.paths() == ["/met/objects/1"]
    table.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(LiftnetError, match="git lfs pull"):
        listed(source)
    table.write_text("Object ID,Title\n1,x\n")
    with pytest.raises(LiftnetError, match="lacks the column Is Public Domain, Classification"):
        listed(source)


def test_met_asks_department_by_department(met, listed):
    source, server = met(departments=[12, 13])
    server.changes["/met/search"] = lambda request: Response(json.dumps({"total": 0, "objectIDs": None}))
    rows, _ = listed(source)
    assert not rows
    assert [request.args["departmentId"] for request in server.asked] == ["12", "13"]


@pytest.fixture
def cleveland(replay):

    def make(**options):
        server = replay("cleveland")
        return Cleveland(ClevelandSettings(api=f"{server.base}/cma", **options)), server

    return make


def test_cleveland_pages_to_the_end(cleveland, listed):
    source, server = cleveland()
    rows, client = listed(source)
    assert sorted(rows) == ["10_alt1_print.jpg", "10_print.jpg", "11_print.jpg"]
    rodin = rows["10_print.jpg"]
    assert (rodin.artist, rodin.artist_died, rodin.work) == ("Auguste Rodin", 1917, "Torso (1910.1)")
    assert (rodin.work_wikidata, rodin.expected_bytes) == ("Q900020", 50_000)
    assert (rows["11_print.jpg"].artist, rows["10_alt1_print.jpg"].expected_bytes) == ("Unknown (Italy, Rome)", 7)
    assert client.skipped == {"the object is not open access": 1, "the image does not come in the size print": 2}
    assert [request.args["skip"] for request in server.asked] == ["0", "2"]


def test_cleveland_reads_its_dump(cleveland, listed, tmp_path):
    pages = [json.loads(path.read_text()) for path in sorted((RECORDED / "cleveland").glob("*.json"))]
    records = [record for page in pages for record in page["answers"][0]["body"]["data"]]
    dump = tmp_path / "data.json"
    dump.write_text(json.dumps([*records, {"type": "Painting"}, None]))
    source, server = cleveland(dump=str(dump), size="web")
    rows, client = listed(source)
    assert sorted(rows) == ["10_alt2_web.jpg", "10_web.jpg", "11_web.jpg"]
    assert not server.asked
    assert client.skipped["the object is of another type"] == 2


def test_a_catalogue_that_sends_one_page_for_ever_is_given_up(cleveland, listed):
    source, server = cleveland()
    page = {"info": {"total": 10**9}, "data": [{"id": 1}]}
    server.changes["/cma/artworks/"] = lambda request: Response(json.dumps(page))
    with pytest.raises(LiftnetError, match="same page again"):
        listed(source)
    assert len(server.asked) == 2


def test_a_catalogue_without_an_end_is_given_up(cleveland, listed):
    source, server = cleveland()
    server.changes["/cma/artworks/"] = lambda request: Response(json.dumps({"data": [{"id": request.args["skip"]}]}))
    with pytest.raises(LiftnetError, match="asked 300 times"):
        listed(source)
    assert len(server.asked) == 300


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"data": "gone"}', "data should be list, and is str"),
        ('{"info": {}}', "data should be list, and is NoneType"),
        ("[]", "no object but list"),
        ('{"data": [{"id": 1', "not JSON"),
        ("<html>", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_answers_of_another_form_are_told(cleveland, listed, body, message):
    source, server = cleveland()
    server.changes["/cma/artworks/"] = lambda request: Response(body)
    with pytest.raises(LiftnetError, match=message):
        listed(source)


@pytest.fixture
def artic(replay):

    def make(**options):
        server = replay("artic")
        return Artic(ArticSettings(api=f"{server.base}/aic", **options)), server

    return make


def test_artic_builds_the_addresses_of_iiif_and_asks_when_artists_died(artic, listed):
    source, server = artic()
    rows, client = listed(source)
    by_image = {row.image.given: row for row in (*rows.values(),)}
    assert list(by_image) == ["https://www.artic.edu/iiif/2/img-2/full/843,/0/default.jpg"]  # all end alike
    with Client(client.settings, 10) as again:
        rows = {row.image.given.split("/")[5]: row for row in source.rows(again)}
    assert sorted(rows) == ["img-1", "img-1b", "img-2"]
    assert (rows["img-1"].artist, rows["img-1"].artist_died, rows["img-1"].work) == (
        "Auguste Rodin",
        1917,
        "Figure (1925.1)",
    )
    assert (rows["img-2"].artist, rows["img-2"].artist_died) == ("Unknown (Ancient Roman)", None)
    assert again.skipped == {"the artwork has no image": 1}
    query = json.loads(server.asked[0].args["params"])
    assert {"term": {"artwork_type_title.keyword": "Sculpture"}} in query["query"]["bool"]["filter"]
    assert server.asked[0].headers["AIC-User-Agent"] == "liftnet (me@example.org)"


def test_artic_refuses_a_search_that_cannot_be_paged_through(artic, listed):
    source, server = artic()
    page = {"pagination": {"total": 10_001}, "data": [{"id": 1}]}
    server.changes["/aic/artworks/search"] = lambda request: Response(json.dumps(page))
    with pytest.raises(LiftnetError, match="--dump"):
        listed(source)


def test_artic_reads_its_dump(artic, quick, tmp_path):
    body = json.loads((RECORDED / "artic" / "search_1.json").read_text())["answers"][0]["body"]
    for folder, records in (("artworks", body["data"]), ("agents", [{"id": 77, "death_date": 1917}])):
        (tmp_path / "json" / folder).mkdir(parents=True)
        for record in records:
            (tmp_path / "json" / folder / f"{record['id']}.json").write_text(json.dumps(record))
    source, server = artic(dump=str(tmp_path), width=1686)
    with Client(quick()) as client:
        rows = list(source.rows(client))
    assert [row.image.given.split("/")[5] for row in rows] == ["img-1", "img-1b", "img-2"]
    assert "/full/1686,/" in rows[0].image.given
    assert rows[0].artist_died == 1917
    assert not server.asked


@pytest.fixture
def smithsonian(replay):

    def make(**options):
        server = replay("smithsonian")
        return Smithsonian(SmithsonianSettings(api=f"{server.base}/si", **options)), server

    return make


def test_smithsonian_keeps_open_images_and_reads_names(smithsonian, listed, monkeypatch):
    monkeypatch.setenv("SMITHSONIAN_API_KEY", "secret")
    source, server = smithsonian(units=["SAAM"])
    rows, client = listed(source)
    assert sorted(rows) == ["a", "b", "e"]
    powers = rows["a"]
    assert (powers.artist, powers.artist_died, powers.work) == ("Hiram Powers", 1873, "Greek Slave (saam_1)")
    assert (powers.attribution, powers.credit) == ("Smithsonian American Art Museum", "Gift of the artist")
    assert (rows["e"].artist, rows["e"].artist_died) == ("Unknown (American)", None)
    assert client.skipped == {"the object has no image": 1, "the image is not CC0": 1}
    assert server.asked[0].headers["X-Api-Key"] == "secret"
    assert all("secret" not in request.url for request in server.asked)
    assert "unit_code:(SAAM)" in server.asked[0].args["q"]


def test_a_key_is_not_told_to_whom_a_redirect_leads(smithsonian, listed, monkeypatch):
    monkeypatch.setenv("SMITHSONIAN_API_KEY", "secret")
    source, server = smithsonian()
    elsewhere = f"{server.base}/si/search?start=2".replace("localhost", "127.0.0.1")
    rows = server.recorded[1]["answers"][0]["body"]["response"]["rows"]

    def redirect(request):
        if request.host.startswith("localhost"):
            return Response(status=302, headers={"Location": elsewhere})
        return Response(json.dumps({"response": {"rowCount": 1, "rows": rows}}))

    server.changes["/si/search"] = redirect
    listed(source)
    assert [request.headers.get("X-Api-Key") for request in server.asked] == ["secret", None]


def test_smithsonian_divides_what_is_too_much_to_page_through(smithsonian, listed):
    source, server = smithsonian()

    def answer(request):
        count = 20_000 if "hash" not in request.args["q"] else 0
        return Response(json.dumps({"response": {"rowCount": count, "rows": []}}))

    server.changes["/si/search"] = answer
    rows, _ = listed(source)
    assert not rows
    assert [request.args["q"][-7:] for request in server.asked[1:]] == [f"hash:{d}*" for d in "0123456789abcdef"]


def test_smithsonian_reads_packed_lines(smithsonian, listed, tmp_path):
    import bz2

    records = json.loads((RECORDED / "smithsonian" / "search_1.json").read_text())["answers"][0]["body"]["response"]
    lines = "\n".join(json.dumps(record) for record in records["rows"])
    (tmp_path / "saam").mkdir()
    (tmp_path / "saam" / "00.txt.bz2").write_bytes(bz2.compress(lines.encode()))
    (tmp_path / "saam" / "01.txt").write_text(lines.splitlines()[1] + "\n\n")
    (tmp_path / "saam" / "index.txt").write_text("https://...")
    source, server = smithsonian(dump=str(tmp_path))
    rows, _ = listed(source)
    assert sorted(rows) == ["a", "b", "e"]
    assert not server.asked
    (tmp_path / "saam" / "02.txt.bz2").write_bytes(bz2.compress(lines.encode())[:-20])
    with pytest.raises(LiftnetError, match=r"02.txt.bz2: is damaged"):
        listed(source)


def left_in(folder):
    """Names of files; a folder holds whose turn it is to ask a host."""
    return [path.name for path in folder.iterdir() if path.is_file()]


def test_a_list_is_written_with_its_problems_and_within_its_limits(met, quick, tmp_path):
    source, _ = met()
    out = tmp_path / "lists" / "met.parquet"
    made = make_list(source.settings, out, quick())
    rows = read_list(out).rows
    assert (made.rows, made.usable, dict(made.problems)) == (4, 3, {"bad_row": 1})
    assert [row.problem for row in rows if row.problem] == [("bad_row", "the source names no artist")]
    assert "the museum has removed the object" in made.summary()
    assert left_in(out.parent) == ["met.parquet"]
    made = make_list(source.settings.model_copy(update={"max_per_work": 1}), out, quick())
    assert dict(made.problems) == {"set_aside": 1, "bad_row": 1}
    assert "max_per_work = 1" in read_list(out).rows[1].problem[1]
    made = make_list(source.settings.model_copy(update={"limit": 2}), out, quick())
    assert (made.rows, made.usable) == (2, 2)


def test_a_list_that_was_broken_off_goes_on_where_it_was(met, quick, tmp_path):
    source, server = met()
    out = tmp_path / "met.parquet"
    server.changes["/met/objects/5"] = lambda request: Response(status=503)
    with pytest.raises(LiftnetError, match="run it again"):
        make_list(source.settings, out, quick(retries=0))
    assert not out.exists()
    (answers,) = left_in(tmp_path)
    with open(tmp_path / answers, "ab") as file:  # a killed run leaves half a line
        file.write(b'0123456789abcdef {"objectID": 5, "isPub')
    del server.changes["/met/objects/5"]
    server.asked.clear()
    make_list(source.settings, out, quick())
    assert server.paths() == ["/met/objects/5", "/met/objects/6", "/met/objects/7", "/met/objects/7"]
    whole = out.read_bytes()
    make_list(source.settings, out, quick())
    assert out.read_bytes() == whole


def test_a_list_that_was_killed_goes_on_where_it_was(met, tmp_path):
    source, server = met()
    out = tmp_path / "met.parquet"
    reached = threading.Event()

    def hang(request):
        reached.set()
        time.sleep(3)
        return Response(status=503)

    server.changes["/met/objects/3"] = hang
    asking = [
        "--permissions.allow-host",
        "localhost",
        "--politeness.retries",
        "1",
        "--politeness.backoff-s",
        "0",
        "--api",
        source.settings.api,
        "--out",
        str(out),
    ]
    command = [sys.executable, "-m", "liftnet", "collect", "list", "met", *asking]
    with subprocess.Popen(command) as process:
        assert reached.wait(60)
        process.kill()
    assert left_in(tmp_path) == [".met.parquet.answers"]
    del server.changes["/met/objects/3"]
    server.asked.clear()
    assert subprocess.run(command, check=False).returncode == 0
    assert server.paths()[0] == "/met/objects/3"
    assert len(read_list(out).rows) == 4


def test_answers_that_are_refused_are_not_kept(cleveland, quick, tmp_path):
    source, server = cleveland()
    server.changes["/cma/artworks/"] = lambda request: Response('{"data": 5}')
    for _ in range(2):
        with pytest.raises(LiftnetError, match="not known"):
            make_list(source.settings, tmp_path / "l.parquet", quick())
    assert len(server.asked) == 2
    assert not left_in(tmp_path)


def test_a_list_of_nothing_is_refused(met, quick, tmp_path):
    source, _ = met()
    settings = source.settings.model_copy(update={"classifications": ["puppet"]})
    with pytest.raises(LiftnetError, match=r"would be empty.*of another classification"):
        make_list(settings, tmp_path / "l.parquet", quick())
    with pytest.raises(LiftnetError, match=r"\.parquet"):
        make_list(settings, tmp_path / "l.txt", quick())


def test_a_rate_limit_is_waited_out_and_a_refusal_ends_the_list(met, listed):
    source, server = met()
    listed(source)
    assert server.paths().count("/met/objects/7") == 2
    server.changes["/met/search"] = lambda request: Response(status=403)
    with pytest.raises(FetchError, match="HTTP 403"):
        listed(source)
