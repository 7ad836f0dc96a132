"""Which passwords are guessed first, however long they are. Pure.

A password is common when little is left of it once we take away what everybody knows: words of the list
below, words about whoever it is for, what it repeats, and runs along the alphabet or the keyboard.
"""

import re
from collections.abc import Iterable

NEW_ENOUGH = 6  # letters and digits that nobody could have known
SHORTEST_REPEATED = 12  # to say a short word again makes it no harder
RUNS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "1234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "qwertzuiop",
    "yxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "a1b2c3d4e5f6g7h8i9j0",
)
SHORTEST_RUN = 4

# Whole passwords, letters and digits only.
COMMON = frozenset(
    """
    adminadminadmin administrateur administration administrator administrator1 allyouneedislove
    areyoukidding asdfasdfasdf basketball12 billingbilling bonjourbonjour bonjourtoutlemonde
    breakingbad12 butterfly123 californication cestlavie1234 changeitplease changemechangeme
    changemenow12 chocolate1234 christopher1 computercomputer correcthorsebatterystaple davidbowie12
    deadmentellnotales defaultpassword doudoudoudou elizabeth1234 enterthematrix everythingisawesome
    football1234 forgotpassword frenchfries12 gameofthrones ghostbusters godblessamerica
    goldeneye007 harrypotter1 harrypotter12 hellohellohello helloworld12 helloworld123 iamironman123
    idontknow1234 ihatepasswords iloveyou1234 iloveyou12345 iloveyoubaby iloveyouforever
    iloveyousomuch internet1234 jesuischarlie jesuslovesme jetaime12345 justdoitnow12
    keepcalmandcarryon letmein12345 letmeinletmein letmeinplease livelaughlove liverpool1234
    longpassword lordoftherings loulououlou1 manchesterunited masterofpuppets maythe4thbewithyou
    maytheforcebewithyou michaeljackson mickeymouse1 mondemotdepasse monmotdepasse motdepasse123
    motdepasse1234 motdepassemotdepasse mypassword12 mypassword123 mysecretpassword nevergiveup12
    newpassword12 newpassword123 nopassword12 onceuponatime opensesame12 openthedoor1 p4ssw0rd1234
    parisparisparis passw0rd1234 password1234 password12345 password123456 passwordpassword
    pokemonpokemon princess1234 queenelizabeth qwertyuiop123 redhotchilipeppers rockandroll12
    rootrootroot secretpassword secretsecret soleilsoleil stairwaytoheaven starwars1234 sunshine1234
    superman1234 supersecret1 supersecret12 temporarypassword temppassword testpassword testtesttest
    thankyouverymuch thebeatles12 thepassword12 thisisapassword thisismypassword tobeornottobe
    trustno1trustno1 twinkletwinkle unbelievable undertaker12 vivelafrance vivelafrance1
    welcome12345 welcometothejungle welcomewelcome whatever1234 wonderwoman1 yellowsubmarine
    youshallnotpass
    """.split()
)
WORDS = (
    "ristourne",
    "password",
    "passw0rd",
    "motdepasse",
    "console",
    "billing",
    "admin",
    "letmein",
    "welcome",
)


def is_common(password: str, *, about: Iterable[str]) -> bool:
    """`about` are words about whoever it is for."""
    plain = _plain(password)
    rest = _unit(plain)
    if plain in COMMON or rest in COMMON or (rest != plain and len(rest) < SHORTEST_REPEATED):
        return True
    for word in sorted({*map(_plain, about), *WORDS}, key=len, reverse=True):
        if len(word) >= SHORTEST_RUN:
            rest = rest.replace(word, "")
    rest = _without_runs(rest)
    return len(_unit(rest)) < NEW_ENOUGH


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text.casefold())


def _unit(text: str) -> str:
    """What is repeated, once: `password` of `passwordpassword`, and of one that is cut off at the end."""
    for length in range(1, len(text) // 2 + 1):
        if (text[:length] * (len(text) // length + 1))[: len(text)] == text:
            return text[:length]
    return text


def _without_runs(text: str) -> str:
    left, at = [], 0
    while at < len(text):
        length = max(_run(text[at:], line) for line in _LINES)
        if length >= SHORTEST_RUN:
            at += length
        else:
            left.append(text[at])
            at += 1
    return "".join(left)


def _run(text: str, line: str) -> int:
    """How far the beginning of a text goes along a line, from wherever it enters."""
    length = 0
    while length < len(text) and text[: length + 1] in line:
        length += 1
    return length


_LINES = [*RUNS, *(line[::-1] for line in RUNS)]
