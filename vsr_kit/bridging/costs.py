"""What paid writers cost: an estimate before anything is asked, and a ledger that keeps a budget while they are asked.

A budget is never exceeded. Before a request leaves, the most that it can cost is set aside: the prompt's tokens, of
which text has at most one a byte, and the cap on the answer; for each retry again. When the answer is there, what it
really cost takes that place. A request that came back with an error status costs a call and no money; one that was sent
and never answered (a time-out, a broken line) may have been billed, and counts in full. What does not fit is not sent.

Both are written to calls.jsonl before and after each request, so that the budget is one of a folder, however often a
command is killed and given again: requests whose end is not recorded count in full.

How many tokens a frame takes is the server's affair. The first request with frames therefore goes alone, and if it took
more than was assumed, so much is set aside for all that follow; only this first one can cost more than was set aside.
Left out: currencies (money is in whatever the prices are in), discounts for cached prompts, and taxes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from vsr_kit.files import append_lines, drop_torn_line, read_lines
from vsr_kit.validation import real, whole

_MILLION = 1_000_000


class BudgetSpent(Exception):
    """What is left of the budget does not pay for one more request."""


@dataclass(frozen=True)
class Price:
    """Prices per million tokens, in one currency. prompt: of what is asked; completion: of what is written."""

    prompt: float
    completion: float

    def __post_init__(self) -> None:
        real("price of prompt tokens", self.prompt)
        real("price of completion tokens", self.completion)

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Money for so many tokens."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / _MILLION


@dataclass(frozen=True)
class Budget:
    """Upper limits over all that a folder ever asks; None is no limit.

    Attributes:
        money: in the currency of the prices.
        calls: requests sent, retries included.
    """

    money: float | None = None
    calls: int | None = None

    def __post_init__(self) -> None:
        if self.money is not None:
            real("budget in money", self.money)
        if self.calls is not None:
            whole("budget in calls", self.calls, 0)


@dataclass
class Estimate:
    """What a run may cost, before it is begun.

    Attributes:
        calls: requests without retries; texts that are kept already are not counted.
        prompt_tokens, completion_tokens: expected; four bytes a token, and half of the cap for an answer.
        most_tokens: prompt and completion together, if every answer runs to its cap.
        money, most_money: for these tokens; None without prices.
    """

    calls: int = 0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    most_tokens: float = 0.0
    money: float | None = 0.0
    most_money: float | None = 0.0

    def add(self, likely: tuple[float, float], most: tuple[float, float], price: Price | None) -> None:
        """Count one more call with (prompt, completion) tokens, expected and at most."""
        self.calls += 1
        self.prompt_tokens += likely[0]
        self.completion_tokens += likely[1]
        self.most_tokens += sum(most)
        if price is None or self.money is None or self.most_money is None:
            self.money = self.most_money = None
            return
        self.money += price.of(*likely)
        self.most_money += price.of(*most)

    def told(self) -> str:
        """One line for whoever decides."""
        if not self.calls:
            return "nothing has to be asked of a paid writer: cost 0"
        tokens = (
            f"about {self.prompt_tokens:,.0f} prompt and {self.completion_tokens:,.0f} completion tokens, at most "
            f"{self.most_tokens:,.0f} in all without retries"
        )
        money = "no prices were given, so the money is not known"
        if self.money is not None and self.most_money is not None:
            money = f"about {self.money:.4g} in money, at most {self.most_money:.4g}"
        return f"at most {self.calls} calls: {tokens}; {money}"


@dataclass
class Ticket:
    """A request that may leave. attempts: how often it may be sent; most_money: what each may cost."""

    number: int
    attempts: int
    most_money: float
    alone: bool = False


@dataclass
class Spent:
    """Totals of a folder. calls: requests sent; money in the prices' currency; tokens as servers reported them."""

    calls: int = 0
    money: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass
class Ledger:
    """The record of a folder's paid requests, which keeps its budget; used by many threads.

    Attributes:
        path: calls.jsonl.
        budget: the limits.
        spent: what is recorded as ended; requests of a killed process count in full.
    """

    path: Path
    budget: Budget = Budget()
    spent: Spent = field(default_factory=Spent)

    def __post_init__(self) -> None:
        drop_torn_line(self.path)
        begun: dict[int, dict] = {}
        lines = read_lines(self.path, {"call": int, "what": str, "requests": int, "money": (int, float)})
        for line in lines:
            if line["what"] == "begun":
                begun[line["call"]] = line
            else:
                begun.pop(line["call"], None)
                self._count(line)
        for line in begun.values():
            self._count(line)
        self._next = max((line["call"] for line in lines), default=0) + 1
        self._open: dict[int, Ticket] = {}
        self._probed = False
        self._over = False
        self._change = threading.Condition()

    def _count(self, line: dict) -> None:
        self.spent.calls += line["requests"]
        self.spent.money += line["money"]
        self.spent.prompt_tokens += line.get("prompt_tokens") or 0
        self.spent.completion_tokens += line.get("completion_tokens") or 0

    def reserve(self, most: Callable[[], float], attempts: int = 1, probe: bool = False) -> Ticket:
        """Wait until a request fits the budget, and set aside what it may cost.

        Args:
            most: f() -> the most money that one attempt may cost, by what is known when it may leave.
            attempts: how many are wanted; fewer are granted where only fewer fit.
            probe: the cost of its frames is not known before one such request was answered.

        Raises:
            BudgetSpent: it does not fit, and nothing that is under way can make room for it.
        """
        with self._change:
            while True:
                if self._over:
                    raise BudgetSpent
                alone = probe and not self._probed
                if alone and self._open:
                    self._change.wait()
                    continue
                if not alone and any(ticket.alone for ticket in self._open.values()):
                    self._change.wait()
                    continue
                most_money = most()
                granted = min(attempts, self._fits(most_money))
                if granted >= 1:
                    return self._begin(granted, most_money, alone)
                if not self._open:
                    self._over = True
                    self._change.notify_all()
                    raise BudgetSpent
                self._change.wait()

    def _fits(self, most_money: float) -> int:
        """How many attempts fit beside what is spent and set aside."""
        aside = [(ticket.attempts, ticket.attempts * ticket.most_money) for ticket in self._open.values()]
        fits = 10**6
        if self.budget.calls is not None:
            fits = self.budget.calls - self.spent.calls - sum(calls for calls, _ in aside)
        if self.budget.money is not None and most_money > 0:
            left = self.budget.money - self.spent.money - sum(money for _, money in aside)
            fits = min(fits, int(left / most_money * (1 + 1e-12)))
        return fits

    def _begin(self, attempts: int, most_money: float, alone: bool) -> Ticket:
        ticket = Ticket(self._next, attempts, most_money, alone)
        self._next += 1
        line = {"call": ticket.number, "what": "begun", "requests": attempts, "money": attempts * most_money}
        append_lines(self.path, [line])
        self._open[ticket.number] = ticket
        return ticket

    def settle(
        self, ticket: Ticket, requests: int, money: float, tokens: tuple[int | None, int | None] = (None, None)
    ) -> None:
        """Put what a request cost in the place of what was set aside. tokens: prompt and completion, if reported."""
        line = {"call": ticket.number, "what": "ended", "requests": requests, "money": money}
        line |= {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
        with self._change:
            append_lines(self.path, [line])
            self._open.pop(ticket.number, None)
            self._count(line)
            self._probed = self._probed or (ticket.alone and tokens[0] is not None)
            self._change.notify_all()
