"""A writer behind any server that speaks OpenAI's chat completions: a company's, vLLM's, llama.cpp's, one of your own.

The `openai` package does the asking: connections, time-outs, retries with growing pauses, the server's Retry-After. It
is an optional extra and is imported when the first question leaves. Several requests are under way at once, and their
texts come in the order of the prompts. The cache is asked before, and filled after, each of them; the ledger is asked
before any leaves. Frames travel as data URLs inside the message.

A reasoner's chain comes as `reasoning_content` or `reasoning` beside the answer (DeepSeek, vLLM, OpenRouter) or inside
it in `<think>` tags; both become one text. What goes wrong for good ends the run with one line: no key, a wrong key, an
unknown model, a server that fails after all retries. What a server refuses about one request (400, 413, 422, a content
filter) is that request's answer, `refused`. The key is read from the environment, and is in no record and no message.
Left out: OpenAI's Responses and batch interfaces, streaming, uploads of video files, and sampling several answers.
"""

from __future__ import annotations

import base64
import io
import os
import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from vsr_kit.bridging.answer_cache import AnswerCache
from vsr_kit.bridging.asking import LENGTH, REFUSED, STOP, Prompt, Written, safe_text
from vsr_kit.bridging.costs import Ledger, Price
from vsr_kit.bridging.writers import prompt_key
from vsr_kit.files import in_a_line
from vsr_kit.validation import one_line, one_of, real, whole
from vsr_kit.videos import sample_frame_indices

FORMATS = ("png", "jpeg")
CAPS = ("max_tokens", "max_completion_tokens")
FRAME_TOKENS, LIKELY_FRAME_TOKENS = 1024, 256  # set aside for a frame until a server has told; expected of one
_ABOUT_ONE = (400, 413, 422)  # statuses that say something about one request, not about the server
_AROUND = 16  # tokens that a chat template puts around a message, at most


class _Sent(threading.local):
    """Requests of this thread's call: how many were sent, and how many came back with an error status."""

    requests = 0
    errors = 0


class Endpoint:
    """A model behind an OpenAI-compatible server.

    Args:
        base_url: up to and with the version, such as `https://api.example.org/v1`.
        model: its name there.
        key_env: name of the environment variable that holds the key; None for a server that asks for none.
        price: per million tokens; None where you do not know, and then a budget in money cannot be kept.
        concurrency: requests under way at once.
        retries: times that a request is sent again after 408, 409, 429, 5xx, a time-out or a broken line.
        timeout_s: seconds that one request may take.
        max_tokens: cap of an answer, a reasoner's hidden thoughts included.
        cap_name: how the server calls that cap, one of CAPS.
        temperature: None leaves it to the server, as some models ask for.
        most_frames: of a clip that are sent, evenly spaced; None sends all.
        image_format: png or jpeg.
        extra: more fields of the request's body.
    """

    paid = True

    def __init__(
        self,
        base_url: str,
        model: str,
        key_env: str | None = None,
        *,
        price: Price | None = None,
        concurrency: int = 8,
        retries: int = 5,
        timeout_s: float = 120.0,
        max_tokens: int = 1024,
        cap_name: str = "max_tokens",
        temperature: float | None = 0.0,
        most_frames: int | None = None,
        image_format: str = "png",
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        _check_url(base_url)
        for name, value, least in (("concurrency", concurrency, 1), ("retries", retries, 0)):
            whole(name, value, least)
        whole("max_tokens", max_tokens)
        real("timeout_s", timeout_s, above=True)
        one_of("cap_name", cap_name, CAPS)
        one_of("image_format", image_format, FORMATS)
        if temperature is not None:
            real("temperature", temperature, remedy="0 is greedy, None leaves it to the server")
        if most_frames is not None:
            whole("most_frames", most_frames)
        self.base_url, self.model, self.key_env, self.price = base_url.rstrip("/"), model, key_env, price
        self.concurrency, self.retries, self.timeout_s = concurrency, retries, timeout_s
        self.max_tokens, self.cap_name, self.temperature = max_tokens, cap_name, temperature
        self.most_frames, self.image_format, self.extra = most_frames, image_format, dict(extra or {})
        self._client: Any = None
        self._guard = threading.Lock()
        self._sent = _Sent()
        self._frame_tokens = FRAME_TOKENS

    def identity(self) -> dict:
        """Server, model and settings of its texts; neither key nor price, which change no text."""
        names = ("base_url", "model", "max_tokens", "temperature", "most_frames", "image_format", "extra")
        return {"writer": "endpoint"} | {name: getattr(self, name) for name in names}

    def write(self, messages: list[dict], images: np.ndarray | None = None) -> str:
        """The text for one chat; images are uint8 frames (F, H, W, 3), put in the place of {"type": "video"}.

        Raises:
            ValueError: the key is missing or wrong, the model unknown, or the server refuses this request.
            OSError: the server fails, or cannot be reached, after all retries.
        """
        written = self._answer(Prompt(messages, images), None, None)
        if written.finish == REFUSED:
            raise ValueError(f"{self.model} at {self.base_url} refuses this request: {written.detail}")
        return written.text

    def write_many(
        self, prompts: Sequence[Prompt], cache: AnswerCache | None = None, ledger: Ledger | None = None
    ) -> Generator[Written]:
        """The texts of many prompts, in their order, `concurrency` of them asked at once.

        Raises:
            BudgetSpent: by the ledger. What was under way is still answered and kept.
            ValueError, OSError: as `write`; likewise.
        """
        pool = ThreadPoolExecutor(self.concurrency, "vsr-endpoint")
        try:
            for answer in [pool.submit(self._answer, prompt, cache, ledger) for prompt in prompts]:
                yield answer.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def tokens(self, prompt: Prompt) -> tuple[tuple[float, float], tuple[float, float]]:
        """(prompt, completion) tokens of a request: as expected, and at most (a text has at most one a byte)."""
        size = sum(len(text.encode("utf-8", "replace")) for text in _texts(prompt.messages))
        count, around = self._count_frames(prompt), _AROUND * (1 + len(prompt.messages))
        likely = size / 4 + LIKELY_FRAME_TOKENS * count + around
        return (likely, self.max_tokens / 2), (size + self._frame_tokens * count + around, self.max_tokens)

    def _count_frames(self, prompt: Prompt) -> int:
        count = 0 if prompt.frames_FHW3 is None else len(prompt.frames_FHW3)
        return count if self.most_frames is None else min(count, self.most_frames)

    def _answer(self, prompt: Prompt, cache: AnswerCache | None, ledger: Ledger | None) -> Written:
        if cache is None:
            return self._paid(prompt, ledger)
        key = prompt_key(self, prompt)
        with cache.only(key):
            found = cache.get(key)
            if found is None:
                found = self._paid(prompt, ledger)
                cache.put(key, found)
        return found

    def _paid(self, prompt: Prompt, ledger: Ledger | None) -> Written:
        """Ask, with what it may cost set aside before and settled after."""
        client = self._open()
        if ledger is None:
            return self._ask(client, prompt, self.retries)[0]
        price = self.price
        most_now = (lambda: price.of(*self.tokens(prompt)[1])) if price else lambda: 0.0
        ticket = ledger.reserve(most_now, 1 + self.retries, probe=self._count_frames(prompt) > 0)
        self._sent.requests = self._sent.errors = 0
        most, answered = ticket.most_money, 0
        tokens: tuple[int | None, int | None] = (None, None)
        try:
            written, tokens = self._ask(client, prompt, ticket.attempts - 1)
            answered = written.finish != REFUSED or tokens != (None, None)
            return written
        finally:
            known = None not in tokens
            own = self.price.of(*tokens) if self.price and known else most * answered  # type: ignore[arg-type]
            lost = max(0, self._sent.requests - self._sent.errors - answered)
            self._learn(prompt, tokens[0])
            ledger.settle(ticket, self._sent.requests, own + lost * most, tokens)

    def _learn(self, prompt: Prompt, prompt_tokens: int | None) -> None:
        """Frames that took more tokens than were assumed are from now on assumed to."""
        if prompt_tokens is not None and (count := self._count_frames(prompt)):
            with self._guard:
                self._frame_tokens = max(self._frame_tokens, -(-prompt_tokens // count))

    def _open(self) -> Any:
        with self._guard:
            if self._client is None:
                self._client = self._new_client()
            return self._client

    def _new_client(self) -> Any:
        try:
            import openai
        except ImportError:
            raise ImportError(
                "asking an endpoint needs the package openai: pip install 'vsr-kit[endpoint]', or pip install openai"
            ) from None
        hooks: Any = {"request": [self._on_request], "response": [self._on_response]}
        http = openai.DefaultHttpxClient(event_hooks=hooks)
        return openai.OpenAI(api_key=self._key(), base_url=self.base_url, timeout=self.timeout_s, http_client=http)

    def _key(self) -> str:
        if self.key_env is None:
            return "none"  # the client wants one, a server without keys does not read it
        key = os.environ.get(self.key_env, "").strip()
        if not key:
            raise ValueError(
                f"the environment variable {self.key_env} is not set: put the key of {self.base_url} there, "
                f"export {self.key_env}=…, or name another variable"
            )
        return key

    def _on_request(self, request) -> None:
        self._sent.requests += 1

    def _on_response(self, response) -> None:
        self._sent.errors += response.status_code >= 400

    def _ask(self, client, prompt: Prompt, retries: int) -> tuple[Written, tuple[int | None, int | None]]:
        """What the server wrote, and the (prompt, completion) tokens that it reports."""
        import openai

        body = {"model": self.model, "messages": self._messages(prompt), self.cap_name: self.max_tokens}
        body |= {} if self.temperature is None else {"temperature": self.temperature}
        try:
            reply = client.with_options(max_retries=retries).chat.completions.create(**body, extra_body=self.extra)
        except openai.APIStatusError as error:
            if error.status_code in _ABOUT_ONE:
                return Written("", REFUSED, self._told(error)), (None, None)
            raise self._explained(error) from None
        except openai.OpenAIError as error:
            raise OSError(f"{self._where()} cannot be asked ({self._told(error)}); {_AGAIN}") from None
        return self._read(reply)

    def _read(self, reply) -> tuple[Written, tuple[int | None, int | None]]:
        if not hasattr(reply, "choices"):
            raise ValueError(f"{self._where()} does not answer in chat completions: base_url mostly ends with /v1")
        usage = getattr(reply, "usage", None)
        tokens = _whole(getattr(usage, "prompt_tokens", None)), _whole(getattr(usage, "completion_tokens", None))
        if not reply.choices:
            return Written("", REFUSED, "an answer without choices"), tokens
        choice = reply.choices[0]
        if choice.finish_reason == "content_filter" or choice.message is None:
            return Written("", REFUSED, "the server's content filter"), tokens
        return Written(_text_of(choice.message), LENGTH if choice.finish_reason == "length" else STOP), tokens

    def _explained(self, error) -> Exception:
        """What a status means for whoever asked, in one line."""
        told = f"{self._where()} answers {error.status_code} ({self._told(error)})"
        if error.status_code in (401, 403):
            return ValueError(f"{told}: check the key in {self.key_env or 'an environment variable, and name it'}")
        if error.status_code == 404:
            return ValueError(f"{told}: check the model's name, and that base_url ends as its makers say, mostly /v1")
        return OSError(f"{told}, after {self.retries} retries; {_AGAIN}")

    def _where(self) -> str:
        return one_line(f"{self.model} at {self.base_url}")

    def _told(self, error: Exception) -> str:
        """A server's words as they may be shown: in a line, without commands to a terminal, without the key."""
        key = os.environ.get(self.key_env or "", "").strip()
        text = str(error).replace(key, "…") if key else str(error)
        return one_line(in_a_line(ValueError(safe_text(text))))

    def _messages(self, prompt: Prompt) -> list[dict]:
        """The chat with every frame as a data URL where the clip stands; without frames its place is left out."""
        frames = [] if prompt.frames_FHW3 is None else list(prompt.frames_FHW3)
        if self.most_frames is not None and len(frames) > self.most_frames:
            frames = [frames[i] for i in sample_frame_indices(len(frames), self.most_frames)]
        urls = [{"type": "image_url", "image_url": {"url": data_url(f, self.image_format)}} for f in frames]
        found = []
        for message in prompt.messages:
            content = message["content"]
            if not isinstance(content, str):
                content = [part for block in content for part in (urls if block["type"] == "video" else [block])]
                if all(part["type"] == "text" for part in content):  # what every server reads
                    content = "\n".join(part["text"] for part in content)
            found.append({**message, "content": content})
        return found


_AGAIN = "what was answered is kept, and the same command goes on"


def data_url(frame_HW3: np.ndarray, image_format: str = "png") -> str:
    """A frame (uint8) as `data:image/png;base64,…`."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(frame_HW3).save(stream, image_format.upper(), **({"quality": 90} if image_format != "png" else {}))
    return f"data:image/{image_format};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"base_url is {url!r}: give an address such as http://localhost:8000/v1")
    if parts.username or parts.password or parts.query:
        raise ValueError(
            "base_url holds a name, a password or a query, which would be recorded: put the key in key_env"
        )


def _texts(messages: list[dict]) -> list[str]:
    blocks = [[{"text": m["content"]}] if isinstance(m["content"], str) else m["content"] for m in messages]
    return [block.get("text", "") for content in blocks for block in content]


def _whole(value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text_of(message) -> str:
    """Thoughts and answer as one text, the thoughts in `<think>` tags."""
    content = safe_text(message.content)
    beside = message.model_extra or {}
    thoughts = next((t for name in ("reasoning_content", "reasoning") if (t := safe_text(beside.get(name)))), "")
    if thoughts and "<think>" not in content:
        return f"<think>\n{thoughts}\n</think>\n{content}"
    return content
