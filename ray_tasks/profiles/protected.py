"""Protected traits: what a profile must never claim about a person.

Only statements about people are meant. `A film about war veterans` and `children's animation` describe items;
`a young woman who`, `Christian viewers` and `suits diabetics` describe who somebody is.
"""

import re

_PEOPLE = (
    r"(?:people|persons?|someone|somebody|users?|viewers?|readers?|players?|gamers?|fans?|audiences?|listeners?|"
    r"customers?|shoppers?|watchers?|buyers?|individuals?|adults?|men|women|man|woman|guys?|girls?|boys?|lad(?:y|ies)|"
    r"males?|females?|mothers?|fathers?|moms?|dads?|parents?|folks?|one|they|he|she|him|her)"
)
_WHO = r"(?:is|are|was|were|being|who (?:is|are)|identif(?:y|ies) as|probably|likely|seems? (?:to be)?|appears? to be)"

_ADJECTIVES = {
    "age": r"young|younger|elderly|old|older|teenage|middle-aged|senior|adolescent|retired|\d{1,2}[- ]year[- ]old",
    "gender": r"male|female|masculine|feminine|transgender|non-binary",
    "ethnicity": r"black|white|asian|hispanic|latin[oa]|african(?:-american)?|arab|jewish|indian|chinese|caucasian",
    "religion": r"christian|catholic|protestant|muslim|islamic|hindu|buddhist|religious|atheist|evangelical|mormon",
    "health": r"disabled|diabetic|depressed|autistic|ill|sick|obese|overweight|blind|deaf|addicted|alcoholic|pregnant",
    "orientation": r"gay|lesbian|bisexual|queer|homosexual|heterosexual|straight",
    "politics": r"republican|democrat|conservative|liberal|left-wing|right-wing|socialist|communist",
    "family": r"married|divorced|single|widowed|childless|engaged",
    "income": r"rich|poor|wealthy|low-income|high-income|working-class|unemployed|affluent",
}
_NOUNS = {
    "age": r"teenagers?|teens?|seniors?|retirees?|pensioners?|millennials?|boomers?|adolescents?|toddlers?",
    "gender": r"men|women|man|woman|girls?|boys?|lad(?:y|ies)|males?|females?",
    "religion": r"christians?|catholics?|muslims?|jews?|hindus?|buddhists?|atheists?|mormons?|believers",
    "health": r"diabetics|patients|sufferers|alcoholics|addicts",
    "orientation": r"gays|lesbians|homosexuals",
    "politics": r"republicans|democrats|conservatives|liberals|socialists|communists",
    "family": r"mothers?|fathers?|moms?|dads?|parents|housewi(?:fe|ves)|grandmothers?|grandfathers?|widow(?:er)?s?",
}

_ABOUT = {
    trait: re.compile(
        rf"\b(?:{words})\s+(?:\w+\s+)?{_PEOPLE}\b|\b{_PEOPLE}\s+(?:\w+\s+)?{_WHO}\s+(?:an?\s+|very\s+)*(?:{words})\b",
        re.IGNORECASE,
    )
    for trait, words in _ADJECTIVES.items()
}
_FOR = {
    trait: re.compile(
        rf"\b(?:(?:suits?|suitable for|appeals? to|aimed at|popular with|made for|this|the) (?:\w+\s+)?(?:{words})|"
        rf"^(?:an?\s+|all\s+|most\s+)?(?:\w+\s+)?(?:{words}) (?:who|and|with|of|that)|"
        rf"(?:an?|as an?) (?:{words}) (?:who|with|of))\b",
        re.IGNORECASE,
    )
    for trait, words in _NOUNS.items()
}
_YEARS = re.compile(
    r"\b(?:aged?|in (?:his|her|their)) (?:about |early |late |mid-?)?\d{2}s?\b|\b\d{2} years old\b", re.I
)


def infers_protected_trait(text: str) -> str | None:
    """The protected trait that a text claims of a person, else None.

    Age groups count as a trait even where a catalogue would name them as an audience; `family` and `children's` as
    genres do not.
    """
    for trait, pattern in (*_ABOUT.items(), *_FOR.items()):
        if pattern.search(text):
            return trait
    return "age" if _YEARS.search(text) else None
