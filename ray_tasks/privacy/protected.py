"""Protected traits: what a profile must never claim about a person.

Only statements about who consumes an item are meant. `A film about war veterans`, `black comedy` and `children's
animation` describe items; `a young woman who enjoys`, `Christian viewers` and `suits diabetics` describe people. The
words of each trait stand in `lexicons/protected.yaml`; how they make a claim stands here.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from ray_tasks.lexicons import load

_USER = (
    r"(?:users?|viewers?|readers?|players?|gamers?|fans?|audiences?|listeners?|customers?|shoppers?|watchers?|buyers?"
    r"|collectors?|moviegoers|subscribers?)"
)
"""Words that mean who consumes, and nobody in a story."""

_ANYONE = (
    r"(?:people|persons?|someone|somebody|individuals?|adults?|couples?|famil(?:y|ies)|folks?|men|women|man|woman|guys?"
    r"|girls?|boys?|parents?|kids|children|students?)"
)
"""Words for people that also appear in stories: with them, the sentence must also speak of a taste."""

_LIKES = r"(?:enjoy|like|love|prefer|want|seek|need|buy|play|watche?|read|collect|appreciate|choose|look for|listen)s?"
_TASTE = (
    rf"(?:(?:who|that) (?:\w+ly |also |often |mostly )?{_LIKES}\b"
    r"|with (?:an?|some) (?:\w+ )?(?:taste|interest|love|liking|passion|fondness|weakness|preference)\b"
    r"|(?:who (?:is|are) )?(?:looking for|drawn to|interested in|curious about|fond of|keen on|hooked on)\b)"
)
_FOR = (
    r"(?:suits?|suit(?:able|ed) (?:for|to)|appeals? to|(?:aimed|directed|targeted) at|popular (?:with|among)|made for"
    r"|meant for|intended for|recommended (?:for|to)|(?:good|great|best|fun|ideal|perfect|mostly|mainly|especially) for"
    r"|(?:choice|pick|option|treat|fit|must) for"
    r"|(?:films?|movies?|books?|games?|shows?|story|stories|comed(?:y|ies)|dramas?) for|^for)"
)
_ARTICLES = r"(?:(?:an?|the|all|many|most|some|other) )*"
_IS = r"(?:is|are|was|were|seems?(?: to be)?|appears?(?: to be)?|(?:may|might|must|could) be|identif(?:y|ies) as)"
_HEDGES = r"(?:(?:\w+ly|an?|the|very|quite|rather|perhaps) )*"
_END = r"\b(?!['\u2019-]\w)"

_STORY = re.compile(
    r"\b(?:about|of|follows?|following|between|from|against|starring|where|when)\s+"
    r"(?:(?!(?:for|to|who|suits?)\b)[\w'-]+\s+){0,3}$",
    re.IGNORECASE,
)
"""What stands before people of whom an item tells: `a drama about an old man`, `fans of young heroes`."""


@cache
def _patterns() -> dict[str, tuple[re.Pattern[str], ...]]:
    """Trait -> what claims it, in the lexicon's order: traits that others accompany (`gay men`) come first."""
    lexicon = load("protected")
    every = "|".join(word for words in lexicon.values() for word in words["adjectives"])
    return {trait: tuple(_claims(words, every)) for trait, words in lexicon.items()}


def _claims(words: Mapping[str, Sequence[str]], every: str) -> list[re.Pattern[str]]:
    """The patterns of one trait; `every` are the adjectives of all traits, which may stand beside its own."""
    adjective, noun = (f"(?:{'|'.join(words[kind])})" for kind in ("adjectives", "nouns"))
    described = rf"{adjective}(?:,? (?:(?:and|or) )?(?:adult|{every}))?"
    phrases = (phrase.replace("<people>", rf"\b(?:{_USER}|{_ANYONE})") for phrase in words.get("phrases", ()))
    return [
        re.compile(pattern, re.IGNORECASE)
        for pattern in (
            rf"\b{described} {_USER}{_END}",
            rf"\b{described} {_ANYONE} {_TASTE}",
            rf"\b{noun}(?: of (?:two|three|four|\d))?(?:,? (?:and|or) [\w-]+)? {_TASTE}",
            rf"\b{_FOR} {_ARTICLES}(?:(?:{every}) )?(?:{noun}|{described} {_ANYONE}){_END}",
            rf"\b(?:{_USER}|(?:the|this) person) {_HEDGES}{_IS} {_HEDGES}(?:{adjective}|{noun}){_END}",
            rf"\b(?:{_USER}|{_ANYONE}) (?:who|that) {_IS} {_HEDGES}(?:{adjective}|{noun}){_END}",
            rf"\b(?:s?he|they) (?:{_IS} )?(?:probably|likely|apparently) (?:{_IS} )?"
            rf"{_HEDGES}(?:{adjective}|{noun}){_END}",
            r"(?:^|[.;] )(?:being|as|likely|probably|perhaps|recently|newly|apparently) "
            rf"{_HEDGES}(?:{adjective}|{noun})(?=,|\.|$)",
            rf"\b(?:^being|like (?:many|most|other)) {_HEDGES}(?:{described} )?{noun}{_END}",
            *(phrase.replace("<user>", rf"\b(?:{_USER}|(?:the|this) person)") for phrase in phrases),
        )
    ]


def infers_protected_trait(text: str) -> str | None:
    """The protected trait that a text claims of a person, else None.

    Age groups count as a trait even where a catalogue would name them as an audience; `family` and `children's` as
    genres do not. Rules, measured in docs/adr/0015: they miss what only a reader infers.
    """
    for trait, patterns in _patterns().items():
        for pattern in patterns:
            if any(not _STORY.search(text, 0, match.start()) for match in pattern.finditer(text)):
                return trait
    return None
