"""Telling a year through the public API, on the test clock, with a progress bar."""

import time
from collections import Counter
from datetime import datetime, timedelta
from random import Random

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api import clock
from api.demo import story, year
from api.demo.play import Answer, DemoError, client_of, read
from api.demo.story import Call, Person

PATIENCE_SECONDS = 300.0
WEEK = timedelta(weeks=1)


class Narrator:
    """Who is there, and how often what happened."""

    def __init__(self, client: httpx.Client, *, began: datetime) -> None:
        self._client = client
        self._draw = Random(year.SEED + 1)  # noqa: S311 - a story, not a secret
        self._now = began
        self._plans: dict[str, str] = {}
        self._there: dict[str, tuple[Person, str]] = {}  # reference → who, and their subscription
        self.did: Counter[str] = Counter()

    def begin(self) -> None:
        """The clock goes back first: what is made afterwards bears the date of the story."""
        self._advance(self._now, starts_at=self._now)
        for call in year.opening():
            self._do(call)
        plans = read(self._client.get("plans", params={"limit": 100}))["data"]
        self._plans = {plan["id"]: plan["reference"] for plan in plans}

    def live(self, arrivals: list[Person]) -> None:
        """One week: those who are there do what they do, others come, and then the week passes."""
        for person, subscription in list(self._there.values()):
            self._live(person, subscription)
        for person in arrivals:
            answer = self._do(story.signup(person))
            if answer is not None:
                self._there[person.reference] = (person, answer["subscription"]["id"])
                self.did["signed up"] += 1
        self._advance(self._now + WEEK)

    def _live(self, person: Person, subscription: str) -> None:
        if year.mended(person, self._draw):
            read(
                self._client.patch(f"customers/{person.reference}", json={"payment_method": "pm_sandbox_ok"})
            )
            self.did["gave another card"] += 1
        wish = year.wish(self._draw)
        if wish is None:
            return
        plan = self._plans[read(self._client.get(f"subscriptions/{subscription}"))["plan_id"]]
        resume_at = (self._now + 4 * WEEK).isoformat()
        doing = year.doing(wish, person, plan, self._draw, resume_at=resume_at)
        if doing is not None:
            answer = self._do(
                Call(about=doing.about, path=f"subscriptions/{subscription}/{doing.path}", body=doing.body)
            )
            self.did[doing.path if answer is not None else "was refused"] += 1
            self._give_back_by_hand(answer)

    def _give_back_by_hand(self, answer: Answer | None) -> None:
        for note in (answer or {}).get("credit_notes", ()):
            promised = note["settlement"]["promised"]
            for call in story.parts_by_hand(note["id"], promised["minor"], promised["currency"]):
                self._do(call)
                self.did["given back by hand"] += 1

    def _do(self, call: Call) -> Answer | None:
        """None where it is refused: a story asks for what cannot be had as well."""
        response = self._client.post(call.path, json=call.body)
        return None if response.status_code == httpx.codes.CONFLICT else read(response)

    def _advance(self, to: datetime, *, starts_at: datetime | None = None) -> None:
        body = {"to": to.isoformat(), **({"starts_at": starts_at.isoformat()} if starts_at else {})}
        there = read(self._client.post("test_clock/advance", json=body))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while there["status"] == "advancing":
            if time.monotonic() > deadline:
                raise DemoError("worker_away", "The clock does not arrive: is the worker running?")
            time.sleep(0.1)
            there = read(self._client.get("test_clock"))
        self._now = to


def tell(base_url: str, api_key: str, console: Console, *, weeks: int) -> None:
    """The first `weeks` of the year, which end today.

    Raises DemoError when the tenant has customers already: their time is not moved.
    """
    began = clock.now().replace(hour=6, minute=0, second=0, microsecond=0) - weeks * WEEK
    with client_of(base_url, api_key) as client, _progress(console) as progress:
        if read(client.get("customers", params={"limit": 1}))["data"]:
            raise DemoError(
                "demo_needs_empty_tenant",
                "The year is told in a tenant without customers: start a stack of its own with "
                "`make up DATA=.year PORT=8100`, and then `ristourne demo --year --data .year`.",
            )
        narrator = Narrator(client, began=began)
        task = progress.add_task("a year passes", total=weeks)
        narrator.begin()
        for arrivals in year.people()[:weeks]:
            narrator.live(arrivals)
            progress.advance(task)
    for what, times in narrator.did.most_common():
        console.print(f"{times:5} {what}")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("weeks"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
