"""The rollout browser's file as a visitor uses it: opened from a disk in a headless Chromium without any network."""

import re

import pytest

from tests.lab import CHROMIUM, DRIVER, MISSING, Page, until
from tests.test_rollout_page import HOSTILE, rows, with_tokens
from vsr_kit.data.rows import room_named
from vsr_kit.inspection import SIGNS, Filter, RolloutTable
from vsr_kit.inspection.table import without
from vsr_kit.pages.browser import Shown, link_to, write_browser
from vsr_kit.plots.answer_marks import answer_marks
from vsr_kit.plots.style import task_name
from vsr_kit.plots.token_colours import ABOUT, NAMES, scale_of, token_color

NOT_HERE = [part for part in MISSING.split(", ") if part and part != "JupyterLab"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(NOT_HERE), reason=f"not here: {', '.join(NOT_HERE)}")]


TOKENS_OF = [16, 17, 18, 20, 21, 22, 23]  # rows of step 2: of q0 all rollouts but one, of q1 all, one of them hostile


def both():
    """Rollouts about two rooms and two types, with a long chain and a hostile one; and answers of two models."""
    asked = {"question": "What is the size of this room?", "question_type": "room_size_estimation"}
    more = [row | asked | {"id": f"size {row['id']}", "scene_name": "train-0-00300"} for row in rows(3, 2)]
    trained = with_tokens(RolloutTable([*rows(3, 4), *more], "trained"), TOKENS_OF)
    kept = [
        {k: v for k, v in row.items() if k not in ("step", "advantage", "accuracy_reward")} for row in rows(1, 6, 1)
    ]
    before = [row | {"label": "base", "completion": "3"} for row in kept]
    after = [row | {"label": HOSTILE, "completion": "2" if at % 2 else HOSTILE} for at, row in enumerate(kept)]
    return trained, RolloutTable([*before, *after], "answers & more")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A page of both."""
    tables = both()
    path = tmp_path_factory.mktemp("page") / "rollouts.html"
    return write_browser([Shown(table) for table in tables], path, title="Two runs"), tables


@pytest.fixture(scope="module")
def page():
    assert CHROMIUM and DRIVER
    page = Page("file://")
    yield page
    page.close()


def opened(page, path, fragment=""):
    page.emulate("light", 1400)
    page.open(path, fragment)
    until(lambda: page.all("#all:not([hidden])") or page.text("#trouble"), "the page did not open")
    return page


def facets(page):
    """Counts beside every facet, as they are shown: {"outcome=wrong": 3, …}."""
    return page.driver.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('#facets button')]"
        ".map(b => [b.dataset.value, Number(b.dataset.count)]))"
    )


def bars(page):
    return [int(bar.get_attribute("data-count")) for bar in page.all("#bars button")]


def of_table(table, chosen):
    """The same counts by the table."""
    found = {}
    for name, part in (("question_type", "type"), ("outcome",) * 2, ("change",) * 2, ("label",) * 2):
        counts = table.facet(name, table.select(without(chosen, name)))
        found |= {f"{part}={value}": n for value, n in counts.items() if len(counts) > 1 or getattr(chosen, name)}
    rows = table.select(without(chosen, "sign"))
    counts = {f"sign={sign}": int(table.sign(sign)[rows].sum()) for sign in SIGNS}
    return found | {name: n for name, n in counts.items() if n}


def test_a_deep_link_opens_exactly_that_group(page, made):
    path, _ = made
    opened(page, path, link_to("", "trained", "q2", 2)[1:])
    assert page.text("#rollouts h2") == "How many chair(s) are in this room? 2"
    assert "step 2" in page.text("#rollouts > p.soft") and len(page.all("#rollouts article")) == 4
    assert page.text("#questions [aria-selected=true]").endswith("2")
    assert page.text("#trouble") == ""
    found = page.driver.execute_script("return decodeURIComponent(location.hash)")
    assert found == "#run=trained&step=2&id=q2"


def test_a_link_to_what_is_not_there_says_so(page, made):
    opened(page, made[0], "run=trained&step=77&id=no+such")
    assert "no step 77 of trained" in page.text("#trouble") and "no question no such" in page.text("#trouble")
    assert page.all("#rollouts article")  # something is shown all the same
    opened(page, made[0], "run=nothing")
    assert "no run nothing on this page" in page.text("#trouble")


def test_counts_bars_and_rows_agree_with_the_table(page, made):
    path, (trained, answers) = made
    opened(page, path, "run=trained&step=2")
    chosen = Filter(step=2)
    shown = {name: n for name, n in facets(page).items() if not name.startswith("advantage")}
    assert shown == of_table(trained, chosen)
    assert bars(page) == [n for *_, n in trained.histogram(trained.select(chosen), trained.measures[0])]
    assert len(page.all("#questions [role=option]")) == len(trained.groups(trained.select(chosen), "advantage"))
    opened(page, path, "run=trained&step=all&search=think&outcome=partly+right")
    chosen = Filter(search="think", outcome="partly right")
    shown = {name: n for name, n in facets(page).items() if not name.startswith("advantage")}
    assert shown == of_table(trained, chosen)
    assert page.text("#status").startswith(f"{len(trained.select(chosen))} rollout")
    opened(page, path, "run=answers+%26+more&change=became+right")
    chosen = Filter(change="became right")
    assert facets(page) == of_table(answers, chosen)


def test_the_sign_of_the_advantage_divides_as_the_numbers_do(page, made):
    path, (trained, _) = made
    opened(page, path, "run=trained&step=all")
    values = trained.values("advantage")
    assert facets(page)["advantage=above its group"] == int((values > 0).sum())
    assert facets(page)["advantage=below its group"] == int((values < 0).sum())


def test_a_bar_and_a_facet_narrow_everything_and_let_go(page, made):
    path, (trained, _) = made
    opened(page, path, "run=trained&step=1")
    every = page.text("#status")
    last = len(bars(page)) - 1
    page.all("#bars button")[last].click()
    low, _, count = trained.histogram(trained.select(Filter(step=1)), trained.measures[0])[last]
    assert page.text("#status").startswith(f"{count} rollout") and sum(bars(page)) > count
    assert page.all("#bars button")[last].get_attribute("aria-pressed") == "true"
    assert f"low={low:g}" in page.driver.execute_script("return location.hash")
    page.all("#bars button")[last].click()
    assert page.text("#status") == every
    facet = next(b for b in page.all("#facets button") if b.get_attribute("data-value") == "type=room_size_estimation")
    assert facet.text.split("\n")[0] == task_name("room_size_estimation")
    facet.click()
    assert len(page.all("#questions [role=option]")) == 2
    page.all("#reset")[0].click()
    assert page.text("#status").startswith("24 rollouts at this step, 72 at all steps")


def test_the_search_marks_what_it_finds_and_the_link_keeps_it(page, made):
    opened(page, made[0], "run=trained&step=2&id=q1")
    page.press("/")
    page.press(*"so so")
    until(lambda: page.all("#rollouts mark"), "nothing is marked")
    assert {mark.text for mark in page.all("#rollouts mark")} == {"so so"}
    assert "search=so+so" in page.driver.execute_script("return location.hash")
    page.press("Escape")
    assert not page.all("#rollouts mark") and page.driver.execute_script("return document.activeElement.id") == ""


def test_rollouts_are_ordered_as_the_table_orders_them(page, made):
    path, (trained, _) = made
    for order in ("highest first", "lowest first", "longest first"):
        opened(page, path, f"run=trained&step=1&id=q0&order={order.replace(' ', '+')}")
        groups = trained.groups(trained.select(Filter(step=1)), trained.measures[0], order)
        group = next(group for group in groups if group.id == "q0")
        texts = [trained.row(at)["completion"] for at in group.rows]
        assert [pre.text for pre in page.all("#rollouts pre")] == texts, order


def test_everything_goes_by_the_keyboard(page, made):
    opened(page, made[0], "run=trained&step=1&id=q0")
    page.press("Arrow_Right", "Arrow_Right")
    assert "id=q2" in page.driver.execute_script("return location.hash")
    page.press("Arrow_Left")
    assert "id=q1" in page.driver.execute_script("return location.hash")
    page.press("]")
    assert "step=2&id=q1" in page.driver.execute_script("return location.hash")
    page.press("[")
    page.focus(page.all("#questions")[0])
    page.press("End")
    assert "id=size+q1" in page.driver.execute_script("return location.hash")
    page.press("Arrow_Up", "Home")
    assert "id=q0" in page.driver.execute_script("return location.hash")
    page.focus(page.all("#facets button")[0])
    page.press("Enter")
    assert page.driver.execute_script("return document.activeElement.getAttribute('aria-pressed')") == "true"
    unreached = page.driver.execute_script(
        "return [...document.querySelectorAll('[onclick], button, select, input, [role=listbox]')]"
        ".filter(e => e.tabIndex < 0 && e.checkVisibility()).length"
    )
    assert unreached == 0


def test_the_link_is_copied_or_shown(page, made):
    opened(page, made[0], "run=trained&step=1&id=q0")
    page.all("#copy")[0].click()
    until(lambda: page.text("#said"), "nothing was said")
    assert page.all("#link")[0].get_attribute("value").endswith("#run=trained&step=1&id=q0")


def test_what_models_wrote_stays_what_they_wrote(page, made):
    opened(page, made[0], "run=answers+%26+more&id=q0")
    shown = page.driver.execute_script("return [...document.querySelectorAll('#rollouts pre')].map(p => p.textContent)")
    assert shown == ["3", HOSTILE]
    assert HOSTILE in page.driver.execute_script("return document.querySelector('#facets').textContent")
    assert not page.all("#rollouts img, #facets img, #questions img")
    assert page.text("#rollouts b.read").split() == ["3", "2"]


def test_tokens_are_coloured_by_what_was_recorded_and_by_nothing_else(page, made):
    path, (trained, _) = made
    opened(page, path, "run=answers+%26+more&id=q0")
    assert page.all("#colour-label[hidden]")  # nothing was recorded there
    opened(page, path, "run=trained&step=2&id=q1")
    assert not page.all("#rollouts .tokens") and not page.all("#legend")
    for name in ("grounding", "entropy"):
        page.focus(page.all("#colour")[0])
        page.driver.execute_script(
            "const c = document.querySelector('#colour'); c.value = arguments[0]; c.dispatchEvent(new Event('change'))",
            name,
        )
        assert f"colour={name}" in page.driver.execute_script("return location.hash")
        known = [trained.token_measures[at] for at in (20, 21, 22, 23)]
        scale = scale_of((v for one in known for v in one.values[name]), name)
        shown = page.driver.execute_script(
            "return [...document.querySelectorAll('#rollouts .tokens')].map(pre => [...pre.children].map("
            "s => [s.textContent, getComputedStyle(s).backgroundColor, s.title]))"
        )
        assert len(shown) == 4
        for one, spans in zip(known, shown, strict=True):
            assert len(spans) == len(one.tokens)
            for token, value, (text, ground, title) in zip(one.tokens, one.values[name], spans, strict=True):
                wanted = token_color(value, name, scale).lstrip("#")
                rgb = [int(part) for part in re.findall(r"\d+", ground)]
                assert max(abs(a - b) for a, b in zip(rgb, bytes.fromhex(wanted), strict=True)) <= 1, (title, ground)
                assert token in text or not token or token.isspace()
        assert NAMES[name].split(",")[0] in page.text("#legend") and ABOUT[name] in page.text("#legend")
    assert HOSTILE in "".join(one[0] for one in shown[1]) and not page.all("#rollouts pre img")
    assert "<|im_end|>" in page.text("#rollouts") and "highest:" in page.text("#rollouts .extremes")


def test_a_group_without_tokens_leads_to_one_with_them(page, made):
    path, _ = made
    opened(page, path, "run=trained&step=1&id=q0&colour=grounding")
    leads = page.all("#legend button")
    assert [lead.text for lead in leads] == [f"step 2: How many chair(s) are in this room? {at}" for at in (0, 1)]
    leads[1].click()
    assert "step=2&id=q1&colour=grounding" in page.driver.execute_script("return location.hash")
    assert len(page.all("#rollouts .tokens")) == 4
    opened(page, path, "run=trained&step=2&id=q0&colour=grounding")
    assert "of 1 rollout nothing was recorded" in page.text("#legend")
    opened(page, path, "run=trained&step=2&id=q1&colour=entropy&search=so+so")
    outlined = "".join(one.text for one in page.all("#rollouts .hit"))
    assert "so" in outlined.replace("␣", " ")
    opened(page, path, "run=trained&step=2&id=q1&colour=advantage")
    assert "no advantage of tokens of trained" in page.text("#trouble")


def lines(page):
    """What is written at the lines of the plan."""
    return page.driver.execute_script("return [...document.querySelectorAll('.plan svg text')].map(t => t.textContent)")


def test_the_plan_s_lines_are_of_the_answers_that_the_filter_leaves(page, tmp_path):
    room = room_named("train-0-00013")
    names = list(room.unique)[:2]
    about = {"question": f"What is the distance between the {names[0]} and the {names[1]} (in meters)?", "id": "far"}
    about |= {"question_type": "object_abs_distance", "scene_name": room.name, "ground_truth": "2.0", "step": 1}
    said = ["1.5", "2.0", "1.5", "hmm 3", "4", "4", "4", "nothing"]
    paid = [{"completion": text, "accuracy_reward": at / 8, "advantage": at - 3.5} for at, text in enumerate(said)]
    path = write_browser([RolloutTable([about | one for one in paid], "r")], tmp_path / "far.html")
    asked = about | {"objects": names}
    for fragment, left in (("", said), ("&search=hmm", ["hmm 3"]), ("&advantage=below+its+group", said[:4])):
        opened(page, path, "run=r" + fragment)
        assert lines(page) == [mark.text for mark in answer_marks(asked, room, left)], fragment
    assert lines(page)[1:] == ["1.5 m ×2", "2 m", "3 m"]
    opened(page, path, "run=r&order=lowest+first&advantage=above+its+group")  # as they were recorded, however sorted
    assert lines(page)[1:] == ["4 m ×3 (cut off)"]


def test_a_question_stands_beside_its_room_once_drawn(page, made):
    opened(page, made[0], "run=trained&step=1&id=q0")
    until(
        lambda: page.driver.execute_script(
            "return [...document.querySelectorAll('#room img')].every(i => i.complete && i.naturalWidth > 100)"
        ),
        "the pictures do not load",
    )
    plan, strip = (image.get_attribute("alt") for image in page.all("#room img"))
    assert "Floor plan of room train-0-00013" in plan and "8 frames of the clip of room train-0-00013" in strip
    page.driver.execute_script("document.querySelector('#q5').click()")
    assert "train-0-00300" in page.all("#room img")[0].get_attribute("alt")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_are_legible_at_both_widths_and_nothing_scrolls_sideways(page, made, theme):
    for width in (1400, 420, 360):
        page.emulate(theme, width)
        for shown in ("run=answers+%26+more&id=q0&search=2", "run=trained&step=2&id=q1&colour=grounding&search=so"):
            page.open(made[0], shown)
            until(lambda: page.all("#rollouts article"), "the page did not open", 20)
            page.driver.execute_script("document.getElementById('facets').open = true")
            assert page.faint("body") == [], (theme, width)
            assert page.wider_than_seen() <= 0, (theme, width)
            assert page.cut() == [] and page.nameless() == [], (theme, width)
    background = page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[theme]


def test_nothing_is_asked_outside_and_the_console_is_silent(page, made):
    page.complaints()  # those of earlier pages
    opened(page, made[0])
    for key in ("Arrow_Right", "]", "Arrow_Left"):
        page.press(key)
    assert page.complaints() == [] and page.asked_outside() == []


def test_an_old_browser_is_told_what_it_lacks(page, made, tmp_path):
    old = made[0].read_text().replace("'use strict';", "'use strict'; delete window.DecompressionStream;", 1)
    (tmp_path / "old.html").write_text(old)
    opened(page, tmp_path / "old.html")
    assert "too old to unpack the page" in page.text("#trouble")


def test_a_damaged_page_says_so(page, made, tmp_path):
    text = made[0].read_text()
    at = text.index('id="data">') + 200
    (tmp_path / "cut.html").write_text(text[:at] + "AAAA" + text[at + 4 :])
    opened(page, tmp_path / "cut.html")
    assert "damaged" in page.text("#trouble")
