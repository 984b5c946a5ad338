"""A server of chat completions on this machine: it counts requests, and fails, waits and answers as a test says."""

import json
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ChatServer:
    """What a test sees of the server.

    Attributes:
        url: its base_url.
        requests: bodies in the order of arrival, as JSON.
        headers: of each request.
        answer: f(body) -> text, or the whole `message`; exchange it at will.
        plan: what the next requests meet instead of an answer: a status, "hang" (1.5 s), or a whole reply.
        seconds: that every answer takes.
        most_at_once: the most requests that were ever under way together.
        usage: what every answer reports; None reports nothing.
        finish: the finish_reason of every answer.
    """

    def __init__(self):
        self.requests, self.headers, self.plan = [], [], []
        self.answer = lambda body: f"answer {len(text_of(body))}"
        self.seconds, self.finish = 0.0, "stop"
        self.usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        self.most_at_once = self._now = 0
        self.lock = threading.Lock()

    @property
    def calls(self) -> int:
        """Requests that arrived."""
        return len(self.requests)

    def meet(self, body, headers):
        """Note a request; what it is to meet."""
        with self.lock:
            self.requests.append(body)
            self.headers.append(headers)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            return self.plan.pop(0) if self.plan else None

    def leave(self):
        with self.lock:
            self._now -= 1


def text_of(body) -> str:
    """The words of a request."""
    parts = []
    for message in body["messages"]:
        content = message["content"]
        parts += [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    return "\n".join(parts)


def images_of(body) -> list[str]:
    """The images of a request, as it has them."""
    blocks = [b for m in body["messages"] if not isinstance(m["content"], str) for b in m["content"]]
    return [block["image_url"]["url"] for block in blocks if block["type"] == "image_url"]


def _handler(server: ChatServer):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            meets = server.meet(body, dict(self.headers))
            time.sleep(1.5 if meets == "hang" else server.seconds)
            server.leave()  # before the reply, after which the next may arrive at once
            with suppress(ConnectionError):  # whoever asked did not wait
                self._meet(body, None if meets == "hang" else meets)

        def _meet(self, body, meets):
            if isinstance(meets, int):
                said = f"Bearer {self.headers.get('Authorization')} \x1b[31mfails\x1b[0m"
                self._reply(meets, {"error": {"message": said}})
            elif meets is not None:
                self._reply(200, meets)
            else:
                said = server.answer(body)
                message = {"role": "assistant", "content": said} if isinstance(said, str) else said
                choice = {"index": 0, "message": message, "finish_reason": server.finish}
                self._reply(200, {"id": "1", "object": "chat.completion", "choices": [choice], "usage": server.usage})

        def _reply(self, status, reply):
            data = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("retry-after-ms", "10")
            self.end_headers()
            self.wfile.write(data)

    return Handler


@contextmanager
def chat_server():
    """A running server, stopped at the end."""
    seen = ChatServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(seen))
    server.daemon_threads = True
    seen.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
