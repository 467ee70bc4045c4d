"""The page in a real browser, as a person uses it: by keyboard, with a reload on the way, until the file is saved."""

import json

import numpy as np
import pytest
from devtools import BROWSER, Browser
from PIL import Image
from study_items import SMALL, built_study

from liftnet.core.settings import changed
from liftnet.reconstruct.study.analyse import analyse_study
from liftnet.reconstruct.study.answers import Outcome, read_participations
from liftnet.reconstruct.study.order import showings
from liftnet.reconstruct.study.plan import read_plan

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on PATH")
HOSTILE = "</script><script>window.owned=1</script><img src=x onerror='window.owned=1'>"
TITLE = "Shapes </script><img src=x onerror='window.owned=1'>"
OPEN = "!document.getElementById('question').hidden && !document.body.classList.contains('locked')"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    settings = changed(SMALL, title=TITLE, contact=HOSTILE)
    built_study(folder, settings, classes=("ball " + HOSTILE, "box"))
    return folder


@pytest.fixture(scope="module")
def opened(study, tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser"), (study / "ps1.html").as_uri()) as browser:
        yield browser


@pytest.fixture
def browser(opened):
    """The page as somebody opens it for the first time, on a desktop."""
    opened.run("localStorage.clear()")
    opened.size(1280, 800)
    opened.events.clear()
    opened.reload()
    return opened


def click(browser, name):
    browser.run(f"document.getElementById('{name}').click()")


def saved(browser):
    return json.loads(browser.run("localStorage.getItem(Object.keys(localStorage)[0])") or "null")


def begin(browser):
    """Consent, and the practice question, whose right answer is the second shape."""
    click(browser, "agree")
    browser.wait(OPEN)
    browser.press("2")
    browser.wait("document.getElementById('which').textContent.startsWith('Question 1 ')")
    return saved(browser)["participant"]


def answer(browser, key, number):
    """Choose for the question of this number, as soon as the page lets one."""
    browser.wait(f"{OPEN} && document.getElementById('which').textContent.startsWith('Question {number} ')")
    browser.press(key)


def key_for(showing, question):
    """The key of DR-KFS's shape, or of the truth."""
    wanted = question.letter("truth" if question.check else "drkfs")
    return "1" if showing.left == wanted else "2"


def test_a_study_from_consent_to_the_table(study, browser, tmp_path):
    browser.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "sent"))
    plan, key = read_plan(study / "ps1-plan.json", study / "ps1-key.json")
    participant = begin(browser)
    order = showings(plan.trials, participant, plan.page_seed)
    script = f"showings({json.dumps(plan.trials)}, {participant}, {plan.page_seed})"
    assert browser.run(script) == [vars(one) for one in order]
    for number, showing in enumerate(order, start=1):
        if number == 4:
            browser.reload()
            assert len(saved(browser)["answers"]) == 3
        wanted = key_for(showing, key.trials[showing.trial])
        arrows = {"1": "ArrowLeft", "2": "ArrowRight"}
        answer(browser, arrows[wanted] if number % 2 else wanted, number)
    browser.wait("document.getElementById('thanks').textContent === 'Thank you'")
    click(browser, "save")
    browser.wait("document.getElementById('said').textContent.startsWith('Saved as ')")
    file = tmp_path / "sent" / f"{plan.study}-{participant}.json"
    browser.wait("true")
    for _ in range(200):
        if file.exists() and file.stat().st_size:
            break
        browser.wait("new Promise((done) => setTimeout(() => done(true), 20))")
    assert file.read_text() == browser.run("document.getElementById('text').value")
    assert sorted(json.loads(file.read_text())) == ["answers", "participant", "returns", "study", "version"]
    (found,) = read_participations(tmp_path / "sent", plan, key)
    assert found.given.returns == 1
    assert min(one.ms for one in found.given.answers) >= 300
    # nobody needs a second for a box and a ball here: the rule would exclude the test
    lenient = plan.model_copy(update={"exclusion": changed(plan.exclusion, least_median_s=0.3)})
    (study / "lenient.json").write_text(lenient.model_dump_json())
    (judged,) = read_participations(tmp_path / "sent", lenient, key)
    assert judged.outcome is Outcome.COUNTED
    assert judged.checks_right == 1
    table = analyse_study(study / "lenient.json", study / "ps1-key.json", tmp_path / "sent", tmp_path / "study_ps1")
    assert table.loc[0, ["participants", "votes", "share"]].tolist() == [1, 6, 1.0]


def test_nothing_is_loaded_nothing_fails_and_no_name_becomes_a_script(study, browser):
    begin(browser)
    click(browser, "stop")
    asked = {event["params"]["request"]["url"] for event in browser.events if "request" in event.get("params", {})}
    assert {url for url in asked if not url.startswith("data:image/jpeg")} == {(study / "ps1.html").as_uri()}
    faults = [event for event in browser.events if event["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]
    assert faults == []
    assert browser.run("typeof window.owned") == "undefined"
    assert browser.run("document.title") == TITLE
    assert browser.run("document.querySelector('h1').textContent") == TITLE


def test_the_page_itself_stops_requests_and_foreign_scripts(browser):
    """What the policy is for: a request and a script that somebody slipped in."""
    browser.run("""
        new Image().src = 'https://example.org/x.png';
        fetch('https://example.org/').catch(() => 0);
        const script = document.createElement('script');
        script.textContent = 'window.owned = 1';
        document.body.append(script)
    """)
    browser.wait("typeof window.owned === 'undefined'")
    texts = " ".join(
        event["params"]["entry"]["text"] for event in browser.events if event["method"] == "Log.entryAdded"
    )
    assert texts.count("Content Security Policy") >= 3


def test_nobody_can_click_through(browser):
    begin(browser)
    flood = "for (let n = 0; n < 200; n++) dispatchEvent(new KeyboardEvent('keydown', { key: '1' }))"
    for number in range(1, 4):
        browser.run(flood)
        browser.wait(f"{OPEN} && document.getElementById('which').textContent.startsWith('Question {number} ')")
        browser.run(flood)  # one answer, and the next question is locked again
    assert len(saved(browser)["answers"]) == 3
    assert min(one["ms"] for one in saved(browser)["answers"]) >= 300
    browser.wait(OPEN)
    browser.press("1", autoRepeat=True)
    browser.press("1", modifiers=2)  # Ctrl+1 changes the tab
    assert len(saved(browser)["answers"]) == 3
    browser.press("1")
    assert len(saved(browser)["answers"]) == 4


def test_practice_has_a_right_answer_and_does_not_count(browser):
    click(browser, "agree")
    browser.wait(OPEN)
    browser.press("1")
    assert "Look again" in browser.run("document.getElementById('hint').textContent")
    assert browser.run("document.getElementById('which').textContent") == "Practice"
    browser.press("2")
    browser.wait("document.getElementById('which').textContent === 'Question 1 of 8'")
    assert saved(browser)["answers"] == []


def test_tab_and_enter_reach_both_shapes_with_a_visible_focus_and_names(browser):
    begin(browser)
    browser.wait(OPEN)
    names = []
    for _ in range(2):
        browser.press("Tab")
        names.append(browser.run("document.activeElement.getAttribute('aria-label')"))
        assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert names == ["Shape 1, on the left", "Shape 2, on the right"]
    left = browser.run("document.getElementById('choice-2').dataset.letter")
    browser.press("Enter")
    browser.wait("document.getElementById('which').textContent === 'Question 2 of 8'")
    assert saved(browser)["answers"][0]["chosen"] == left


def test_whoever_stops_can_save_go_on_or_delete_everything(browser):
    begin(browser)
    answer(browser, "1", 1)
    click(browser, "stop")
    assert len(json.loads(browser.run("document.getElementById('text').value"))["answers"]) == 1
    click(browser, "go-on")
    answer(browser, "2", 2)
    click(browser, "delete")
    browser.run("document.querySelector('#sure [value=keep]').click()")
    browser.wait("!document.getElementById('sure').open")
    assert len(saved(browser)["answers"]) == 2
    click(browser, "delete")
    browser.run("document.querySelector('#sure [value=delete]').click()")
    browser.wait("!document.getElementById('removed').hidden")
    assert browser.run("localStorage.length") == 0


def test_what_is_answered_in_another_tab_is_answered_here(browser):
    begin(browser)
    answer(browser, "1", 1)
    browser.wait(f"{OPEN} && document.getElementById('which').textContent === 'Question 2 of 8'")
    browser.run("""
        const key = Object.keys(localStorage)[0], record = JSON.parse(localStorage.getItem(key));
        record.answers = [];
        localStorage.setItem(key, JSON.stringify(record));
        dispatchEvent(new StorageEvent('storage', { key: key }));
    """)
    browser.wait("document.getElementById('which').textContent === 'Question 1 of 8'")


def test_without_storage_the_page_says_so_and_goes_on(browser):
    browser.run("Storage.prototype.setItem = () => { throw new Error('full') }")
    click(browser, "agree")
    browser.wait(OPEN)
    assert browser.run("document.getElementById('unkept').hidden") is False
    browser.press("2")
    answer(browser, "1", 1)
    browser.wait("document.getElementById('which').textContent === 'Question 2 of 8'")


@pytest.mark.parametrize(("width", "height", "phone"), [(360, 640, True), (844, 390, True), (1280, 800, False)])
def test_picture_and_both_shapes_are_seen_without_scrolling(browser, width, height, phone):
    browser.size(width, height, phone=phone)
    begin(browser)
    boxes = browser.run("""
        Array.from(document.querySelectorAll('#question img'), (image) => {
          const box = image.getBoundingClientRect();
          return [box.left, box.top, box.right, box.bottom, image.naturalWidth];
        })
    """)
    assert len(boxes) == 5
    left, top, right, bottom, natural = np.array(boxes).T
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (right <= width).all()
    assert (bottom <= height).all()
    assert (natural == 64).all()
    assert ((right - left) >= 80).all()
    assert browser.run("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_dark_page_is_dark_and_shapes_stay_on_white(browser, tmp_path):
    browser.size(400, 800, dark=True, phone=True)
    begin(browser)
    browser.wait(f"{OPEN} && getComputedStyle(document.querySelector('.views')).opacity === '1'")
    browser.picture(tmp_path / "dark.png")
    pixels = np.asarray(Image.open(tmp_path / "dark.png").convert("L"))
    assert np.median(pixels[:, :10]) < 40
    assert (pixels == 255).mean() > 0.05
