"""Writers behind an endpoint, against a server on this machine: retries, concurrency, cache, budget, keys, images."""

import base64
import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from tests.chat_server import chat_server, images_of, text_of
from vsr_kit.bridging import AnswerCache, Budget, Endpoint, Ledger, Price, Prompt
from vsr_kit.bridging.answer_cache import _hash
from vsr_kit.bridging.costs import BudgetSpent

CLIP = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)


@pytest.fixture
def server():
    with chat_server() as running:
        yield running


def prompts(count, clip=None):
    block = [] if clip is None else [{"type": "video"}]
    return [
        Prompt([{"role": "user", "content": [*block, {"type": "text", "text": "say " + "x" * i}]}], clip)
        for i in range(count)
    ]


def texts(endpoint, asked, *more):
    return [written.text for written in endpoint.write_many(asked, *more)]


def test_texts_come_in_the_order_of_the_prompts_however_fast_each_is(server):
    server.answer = lambda body: text_of(body)
    endpoint = Endpoint(server.url, "m")
    first = server.answer
    slow = prompts(6)[0].messages[0]["content"][0]["text"]

    def answer(body):
        import time

        time.sleep(0.3 if text_of(body) == slow else 0)
        return first(body)

    server.answer = answer
    assert texts(endpoint, prompts(6)) == ["say " + "x" * i for i in range(6)]


def test_as_many_are_under_way_as_allowed_and_no_more(server):
    server.seconds = 0.1
    texts(Endpoint(server.url, "m", concurrency=3), prompts(9))
    assert server.most_at_once == 3
    server.most_at_once = 0
    texts(Endpoint(server.url, "m", concurrency=1), prompts(3))
    assert server.most_at_once == 1


def test_what_fails_for_a_while_is_sent_again(server):
    server.plan = [429, 500, 503]
    assert Endpoint(server.url, "m", retries=3).write(prompts(1)[0].messages) == "answer 4"
    assert server.calls == 4


def test_what_fails_for_good_is_told_without_key_and_commands(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    server.plan = [500] * 9
    with pytest.raises(OSError, match="after 1 retries; what was answered is kept") as caught:
        Endpoint(server.url, "m", "MY_KEY", retries=1).write(prompts(1)[0].messages)
    assert server.calls == 2
    assert "Bearer sk-very-secret" in server.headers[0].values()
    assert "secret" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_a_server_that_never_answers_is_not_waited_for(server):
    server.plan = ["hang", "hang"]
    with pytest.raises(OSError, match="cannot be asked"):
        Endpoint(server.url, "m", timeout_s=0.2, retries=1).write(prompts(1)[0].messages)
    assert server.calls == 2


def test_slow_is_no_failure(server):
    server.seconds = 0.4
    assert Endpoint(server.url, "m", timeout_s=30, retries=0).write(prompts(1)[0].messages) == "answer 4"


@pytest.mark.parametrize(
    "status, told", [(401, "check the key in MY_KEY"), (403, "check the key"), (404, "check the model's name")]
)
def test_what_asking_again_cannot_mend_ends_it_at_once(server, monkeypatch, status, told):
    monkeypatch.setenv("MY_KEY", "k")
    server.plan = [status] * 5
    with pytest.raises(ValueError, match=told):
        Endpoint(server.url, "m", "MY_KEY").write(prompts(1)[0].messages)
    assert server.calls == 1


def test_a_missing_key_is_named_and_nothing_is_sent(server, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ValueError, match="NO_SUCH_KEY is not set"):
        Endpoint(server.url, "m", "NO_SUCH_KEY").write(prompts(1)[0].messages)
    assert server.calls == 0


def test_the_key_of_another_service_is_not_sent(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another")
    Endpoint(server.url, "m").write(prompts(1)[0].messages)
    assert "another" not in str(server.headers)


def test_the_package_that_is_missing_is_told_with_a_remedy(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match=r"vsr-kit\[endpoint\]"):
        Endpoint(server.url, "m").write(prompts(1)[0].messages)


@pytest.mark.parametrize(
    "url, told", [("api.example.org", "give an address"), ("http://me:pw@example.org/v1", "would be recorded")]
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused(url, told):
    with pytest.raises(ValueError, match=told) as caught:
        Endpoint(url, "m")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("image_format", ["png", "jpeg"])
def test_frames_arrive_as_data_urls_where_the_clip_stands(server, image_format):
    Endpoint(server.url, "m", image_format=image_format).write(prompts(1, CLIP)[0].messages, CLIP)
    kinds = [part["type"] for part in server.requests[0]["messages"][0]["content"]]
    assert kinds == ["image_url"] * 3 + ["text"]
    for url, frame in zip(images_of(server.requests[0]), CLIP, strict=True):
        head, data = url.split(",")
        assert head == f"data:image/{image_format};base64"
        picture = Image.open(io.BytesIO(base64.b64decode(data)))
        shown = np.asarray(picture)
        assert picture.format == image_format.upper() and shown.shape == frame.shape
        assert image_format == "jpeg" or (shown == frame).all()


def test_a_prompt_without_frames_shows_none_and_is_plain_text(server):
    Endpoint(server.url, "m").write(prompts(1, CLIP)[0].messages)
    assert server.requests[0]["messages"][0]["content"] == "say "


def test_fewer_frames_are_sent_where_that_is_asked(server):
    Endpoint(server.url, "m", most_frames=2).write(prompts(1, CLIP)[0].messages, CLIP)
    assert len(images_of(server.requests[0])) == 2


def test_settings_are_in_the_request(server):
    endpoint = Endpoint(
        server.url, "m", max_tokens=7, temperature=None, cap_name="max_completion_tokens", extra={"k": 1}
    )
    endpoint.write(prompts(1)[0].messages)
    sent = server.requests[0]
    assert (sent["model"], sent["max_completion_tokens"], sent["k"]) == ("m", 7, 1)
    assert "temperature" not in sent and "max_tokens" not in sent


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thoughts_beside_the_answer_become_one_text(server, name):
    server.answer = lambda body: {"role": "assistant", "content": "<answer>3</answer>", name: "two and one"}
    assert Endpoint(server.url, "m").write(prompts(1)[0].messages) == (
        "<think>\ntwo and one\n</think>\n<answer>3</answer>"
    )


def test_odd_answers_are_refusals_or_told(server):
    endpoint = Endpoint(server.url, "m")
    server.plan = [{"id": "1", "object": "chat.completion", "choices": []}, 400]
    first, second = endpoint.write_many(prompts(2))
    assert {first.finish, second.finish} == {"refused"} and "\x1b" not in first.detail + second.detail
    server.answer = lambda body: {"role": "assistant", "content": "half \ud800 a character"}
    assert endpoint.write(prompts(1)[0].messages) == "half \ufffd a character"
    server.answer, server.finish = lambda body: {"role": "assistant", "content": None}, "length"
    assert next(endpoint.write_many(prompts(1))).finish == "length"
    server.finish = "content_filter"
    with pytest.raises(ValueError, match="content filter"):
        endpoint.write(prompts(1)[0].messages)


# -- cache -------------------------------------------------------------------------------------------------------------


def test_nothing_is_asked_twice_not_even_within_a_run(server, tmp_path, monkeypatch):
    server.seconds = 0.05
    twice = prompts(3) + prompts(3)
    cache = AnswerCache(tmp_path)
    before = texts(Endpoint(server.url, "m"), twice, cache)
    assert server.calls == 3
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    assert texts(Endpoint(server.url, "m", "NO_SUCH_KEY"), twice, AnswerCache(tmp_path)) == before
    assert server.calls == 3


def test_another_model_cap_or_clip_is_another_question(server, tmp_path):
    cache = AnswerCache(tmp_path)
    for endpoint in (Endpoint(server.url, "m"), Endpoint(server.url, "n"), Endpoint(server.url, "m", max_tokens=9)):
        texts(endpoint, prompts(1), cache)
    assert server.calls == 3
    for clip in (CLIP, CLIP[::-1].copy(), CLIP[:2]):
        texts(Endpoint(server.url, "m"), prompts(1, clip), cache)
    assert server.calls == 6


def cut(path):
    path.write_text(path.read_text()[:40])


def reword(path):
    path.write_text(path.read_text().replace("answer", "ANSWER"))


def swap(path):
    kept = json.loads(path.read_text()) | {"key": "another"}
    path.write_text(json.dumps(kept | {"sha256": _hash(kept)}))


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [cut, reword, swap, empty])
def test_a_damaged_answer_is_told_and_asked_anew(server, tmp_path, capsys, harm):
    texts(Endpoint(server.url, "m"), prompts(1), AnswerCache(tmp_path))
    (path,) = tmp_path.rglob("*.json")
    whole = path.read_text()
    harm(path)
    cache = AnswerCache(tmp_path)
    assert texts(Endpoint(server.url, "m"), prompts(1), cache) == ["answer 4"]
    assert server.calls == 2 and cache.damaged == [path]
    assert path.name in capsys.readouterr().err and path.read_text() == whole


def test_refusals_are_not_kept(server, tmp_path):
    server.plan = [400]
    cache = AnswerCache(tmp_path)
    assert texts(Endpoint(server.url, "m"), prompts(1), cache) == [""]
    assert texts(Endpoint(server.url, "m"), prompts(1), cache) == ["answer 4"]


# -- budget ------------------------------------------------------------------------------------------------------------


def asked_until_spent(endpoint, asked, ledger, cache=None):
    found = []
    with pytest.raises(BudgetSpent):
        for written in endpoint.write_many(asked, cache, ledger):
            found.append(written.text)
    return found


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_budget_of_calls_is_used_up_and_never_exceeded(server, tmp_path, concurrency):
    server.seconds = 0.02
    endpoint = Endpoint(server.url, "m", concurrency=concurrency)
    cache = AnswerCache(tmp_path / "answers")
    asked_until_spent(endpoint, prompts(20), Ledger(tmp_path / "calls.jsonl", Budget(calls=7)), cache)
    assert server.calls == 7
    again = Ledger(tmp_path / "calls.jsonl", Budget(calls=7))
    assert again.spent.calls == 7
    asked_until_spent(endpoint, prompts(20), again, cache)
    assert server.calls == 7
    assert len(texts(endpoint, prompts(20), cache, Ledger(tmp_path / "calls.jsonl", Budget(calls=20)))) == 20
    assert server.calls == 20


def test_retries_count_as_calls(server, tmp_path):
    server.plan = [500, 500, 500]
    ledger = Ledger(tmp_path / "calls.jsonl", Budget(calls=4))
    endpoint = Endpoint(server.url, "m", concurrency=1, retries=3)
    assert asked_until_spent(endpoint, prompts(3), ledger) == ["answer 4"]
    assert server.calls == ledger.spent.calls == 4
    server.plan = [500] * 9
    ledger = Ledger(tmp_path / "more.jsonl", Budget(calls=3))
    with pytest.raises(OSError):
        texts(Endpoint(server.url, "m", retries=5), prompts(1), None, ledger)
    assert server.calls == 4 + 3, "fewer retries, since only three requests fit"


@pytest.mark.parametrize("concurrency", [1, 5])
def test_a_budget_of_money_is_never_exceeded(server, tmp_path, concurrency):
    server.usage = {"prompt_tokens": 30, "completion_tokens": 100, "total_tokens": 130}
    endpoint = Endpoint(server.url, "m", price=Price(1, 10), max_tokens=100, retries=0, concurrency=concurrency)
    each = Price(1, 10).of(30, 100)
    ledger = Ledger(tmp_path / "calls.jsonl", Budget(money=5.5 * each))
    asked_until_spent(endpoint, prompts(20), ledger)
    assert server.calls == 5
    assert ledger.spent.money == pytest.approx(5 * each) and ledger.spent.money <= 5.5 * each
    assert (ledger.spent.prompt_tokens, ledger.spent.completion_tokens) == (150, 500)


def test_what_may_have_been_billed_counts_in_full_and_what_failed_does_not(server, tmp_path):
    endpoint = Endpoint(server.url, "m", price=Price(0, 10), max_tokens=100, timeout_s=0.3, retries=1)
    most = Price(0, 10).of(0, 100)
    server.plan = [500]
    ledger = Ledger(tmp_path / "a.jsonl")
    texts(endpoint, prompts(1), None, ledger)
    assert ledger.spent.money == pytest.approx(Price(0, 10).of(0, 5))
    server.plan = ["hang"]
    ledger = Ledger(tmp_path / "b.jsonl")
    texts(endpoint, prompts(1), None, ledger)
    assert ledger.spent.money == pytest.approx(most + Price(0, 10).of(0, 5))
    server.usage = None
    ledger = Ledger(tmp_path / "c.jsonl")
    texts(endpoint, prompts(1), None, ledger)
    assert ledger.spent.money == pytest.approx(most), "an answer that reports no tokens"


def test_requests_of_a_killed_process_count_in_full(tmp_path):
    ledger = Ledger(tmp_path / "calls.jsonl", Budget(money=1.0))
    ledger.reserve(lambda: 0.25, attempts=2)
    ledger.settle(ledger.reserve(lambda: 0.1), 1, 0.05, (3, 4))
    after = Ledger(tmp_path / "calls.jsonl", Budget(money=1.0))
    assert (after.spent.calls, after.spent.money) == (3, pytest.approx(0.55))
    after.reserve(lambda: 0.25)
    with pytest.raises(BudgetSpent):
        Ledger(tmp_path / "calls.jsonl", Budget(money=1.0)).reserve(lambda: 0.21)


def test_the_first_request_with_frames_goes_alone_and_teaches_what_they_take(server, tmp_path):
    server.seconds = 0.05
    server.usage = {"prompt_tokens": 9000, "completion_tokens": 1, "total_tokens": 9001}
    endpoint = Endpoint(server.url, "m", price=Price(1, 0), max_tokens=1, retries=0, concurrency=4)
    seen = []
    meet = server.meet
    server.meet = lambda *given: (meet(*given), seen.append(server._now))[0]
    ledger = Ledger(tmp_path / "calls.jsonl", Budget(money=Price(1, 0).of(5 * 9100, 0)))
    asked_until_spent(endpoint, prompts(20, CLIP), ledger)
    assert seen[:2] == [1, 1] and server.most_at_once > 1
    assert server.calls == 5 and ledger.spent.money == pytest.approx(0.045)
