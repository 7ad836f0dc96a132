"""Telling the demo's story through the public API, with progress. Telling it twice changes nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from api.demo import story
from api.demo.story import Call
from kernel.errors import DomainError

PATIENCE_SECONDS = 30.0

Answer = dict[str, Any]


class DemoError(DomainError):
    """The story could not be told; the sentence says where it stopped."""


class Storyteller:
    """One client, one progress bar."""

    def __init__(self, client: httpx.Client, told: Callable[[str], None]) -> None:
        self._client = client
        self._told = told

    def play(self) -> None:
        for call in story.opening():
            self._do(call)
        signups = {person.reference: self._signup(person) for person in story.PEOPLE}
        for reference in story.TRANSFERS:
            self._do(story.transfer(reference, signups[reference]["invoice"]["id"]))
        for ending in story.ENDINGS:
            self._end(ending, signups[ending.reference])

    def _signup(self, person: story.Person) -> Answer:
        """Repeated, it answers with the first one; without an offer only while that is not over."""
        earlier = self._earlier(person.reference)
        if earlier is not None:
            self._told(f"{person.name} signed up before")
            return earlier
        answer = self._do(story.signup(person))
        assert answer is not None, "a signup is never refused for having been done"
        return answer

    def _earlier(self, reference: str) -> Answer | None:
        """The subscription and first invoice of a customer who is there already."""
        found = self._client.get(f"customers/{reference}")
        if found.status_code == httpx.codes.NOT_FOUND:
            return None
        of_customer = {"customer_id": read(found)["id"]}
        subscriptions = read(self._client.get("subscriptions", params=of_customer))["data"]
        invoices = read(self._client.get("invoices", params=of_customer))["data"]
        if not subscriptions:
            return None
        return {"subscription": subscriptions[-1], "invoice": invoices[-1] if invoices else None}

    def _end(self, ending: story.Ending, signup: Answer) -> None:
        """The money must be there before it can go back: the worker may still be charging."""
        self._until_settled(signup["invoice"]["id"])
        answer = self._do(story.cancellation(ending, signup["subscription"]["id"]))
        for note in answer["credit_notes"] if answer else ():
            promised = note["settlement"]["promised"]
            for call in story.parts_by_hand(note["id"], promised["minor"], promised["currency"]):
                self._do(call)

    def _until_settled(self, invoice_id: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while read(self._client.get(f"invoices/{invoice_id}"))["settlement"]["status"] != "settled":
            if time.monotonic() > deadline:
                raise DemoError("worker_away", "An invoice is not being charged: is the worker running?")
            time.sleep(0.2)

    def _do(self, call: Call) -> Answer | None:
        """None when it had been done before."""
        self._told(call.about)
        response = self._client.post(call.path, json=call.body)
        if response.is_error and response.json().get("code") in call.unless:
            return None
        return read(response)


def read(response: httpx.Response) -> Answer:
    """What was answered. Raises DemoError with what was refused."""
    answer: Answer = response.json()
    if response.is_error:
        raise DemoError(str(answer.get("code")), f"{response.request.url.path}: {answer.get('detail')}")
    return answer


def play(base_url: str, api_key: str, console: Console) -> None:
    """Raises DemoError when an answer is not what the story needs."""
    with client_of(base_url, api_key) as client, _progress(console) as told:
        Storyteller(client, told).play()


@contextmanager
def client_of(base_url: str, api_key: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {api_key}"}
    try:
        with httpx.Client(base_url=f"{base_url}/v1/", headers=headers, timeout=30) as client:
            yield client
    except httpx.TransportError as error:
        raise DemoError("api_away", f"{base_url} does not answer ({error}). Is `make up` running?") from error


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str], None]]:
    steps = len(story.PLANS) + len(story.OFFERS) + len(story.PEOPLE)
    steps += len(story.TRANSFERS) + len(story.ENDINGS) + 2
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=steps)

        def told(about: str) -> None:
            progress.update(task, advance=1, description=about)

        yield told
        progress.update(task, completed=steps, description="The story is told.")
