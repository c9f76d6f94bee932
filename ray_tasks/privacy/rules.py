"""The rules of `scrubbing.scrub`: what counts as personal data in a text, and the word that stands in its place."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from ray_tasks.lexicons import load

_WORDS = {kind: "|".join(words) for kind, words in load("personal").items()}
"""Kind of word (`kin`, `endings`, ...) -> a pattern of its words."""

_UPPER = f"[{''.join(char for char in map(chr, range(0x530)) if char.isupper())}]"
_LETTER = r"(?:[^\W\d_]|['\u2019-])"
_CAPITAL = rf"{_UPPER}(?!{_UPPER}{{1,24}}(?![\w'\u2019-])){_LETTER}{{1,24}}(?!\w)"
"""A capitalized word without digits; not one in capitals, since whole reviews are."""
_ONE = rf"(?!(?:{_WORDS['never']})\b){_CAPITAL}"
_NEXT = rf"(?:[ ](?:{_UPPER}\.|{_UPPER}(?=[\s,.!]|$)|{_CAPITAL}))"
_NAME, _SHORT_NAME = rf"{_ONE}{_NEXT}{{0,2}}", rf"{_ONE}{_NEXT}?"
_CALLED = f"(?P<x>(?-i:{_NAME}))"
_PLAIN = rf"(?!(?:{_WORDS['common']}|with)(?![\w-]))"
_DOMAIN = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,4}"
_TLD = r"(?:com|net|org|edu|gov|info|biz|gg|xyz|co\.uk|com\.(?:au|br))"
"""Endings of bare domains: those that are no word (`game.It has`, `juego.de`)."""
_SPELLED_TLD = r"(?:com|net|org|edu|info|io|gg|de|fr|es|it|uk|pl|ru|nl|eu|ca|au|br|jp|ch|ie|se|pt|mx)"
_SHORT = r"(?:youtu\.be|t\.me|bit\.ly|goo\.gl|t\.co|discord\.gg)"
_SERVICE = f"(?:{_WORDS['services']})"
_ADDRESS = rf"\d{{1,5}}[a-z]?[ ](?:[a-z0-9.'-]{{1,20}}[ ]){{1,3}}(?:{_WORDS['streets']})\b\.?"
_FLAT = r"(?:,?[ ](?:apt|apartment|unit|suite|ste|#)\.?[ ]?\w{1,6})?"

_YEAR = r"(?:19|20)\d\d"
_DATES = re.compile(rf"{_YEAR}\D{{1,3}}{_YEAR}(?:\D.*)?|\d\d?[./ -]\d\d?[./ -]{_YEAR}|{_YEAR}[./ -]?\d\d[./ -]?\d\d")

Check = Callable[[str], bool]


@dataclass(frozen=True)
class Rule:
    """What is found and what stands in its place. The group `x`, where there is one, is the part that goes.

    `check` decides about a match that the pattern alone cannot. All quantifiers are bounded: time is linear.
    """

    pattern: re.Pattern[str]
    word: str
    check: Check | None = None


@lru_cache(2)
def rules(names: bool) -> tuple[Rule, ...]:
    """The rules in order, surest first, so that no later rule sees half of what an earlier one takes."""
    sure = (*_contact_rules(), *_number_rules())
    named = (*_introduction_rules(), *_mention_rules(), *_signature_rules())
    return (*sure, *_home_rules(), *_handle_rules(), *named) if names else sure


def _rule(pattern: str, word: str, check: Check | None = None) -> Rule:
    return Rule(re.compile(pattern, re.MULTILINE | re.IGNORECASE), word, check)


def _contact_rules() -> tuple[Rule, ...]:
    """E-mails and links, the former also where they are spelled out."""
    at = rf"\s?[(\[]\s?(?:{_WORDS['at_words']})\s?[)\]]\s?"
    dot = rf"\s?[(\[]\s?(?:{_WORDS['dot_words']})\s?[)\]]\s?"
    said_at, said_dot = rf" (?:{_WORDS['at_words']}) ", rf" (?:{_WORDS['dot_words']}) "
    local, rest = r"(?<![\w.+-])[\w.+-]{1,64}", r"[^\s<>\"')\]]"
    return (
        _rule(rf"{local}(?:@|{at}){_DOMAIN}[a-z]{{2,24}}\b", "an address"),
        _rule(rf"{local}{at}\w{{1,63}}(?:\.|{dot})[a-z]{{2,24}}\b", "an address"),
        _rule(rf"(?:\b\w{{1,30}}{said_dot})?{local}{said_at}[\w-]{{1,63}}{said_dot}{_SPELLED_TLD}\b", "an address"),
        _rule(rf"{local} @ [\w-]{{1,63}} ?\. ?{_SPELLED_TLD}\b(?!/)", "an address"),
        _rule(rf"https?://{rest}{{1,2000}}|\b[a-z][a-z0-9+.-]{{1,12}}://{rest}{{1,2000}}", "a link"),
        _rule(rf"\bwww\.{rest}{{3,2000}}", "a link"),
        _rule(rf"(?<![\w@.-])(?:{_SHORT}|{_DOMAIN}(?-i:{_TLD}|[a-z]{{2}}))/{rest}{{1,2000}}", "a link"),
    )


def _number_rules() -> tuple[Rule, ...]:
    """IBANs, payment cards, telephone numbers in an unmistakable form, whole postal addresses."""
    town = r"(?:,[ ]?[a-z. ]{2,25}){0,2},?[ ]"
    return (
        _rule(r"\b(?-i:[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{2,4}){3,8})\b", "a number", _is_iban),
        _rule(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])", "a number", _is_card),
        _rule(r"(?<![\w.])\+\d(?:[ ().\-/]{0,3}\d){6,14}(?!\w)", "a number", _is_phone),
        _rule(r"(?<![\w.,$-])(?:1[ .-])?(?:\(\d{3}\)[ ]?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])", "a number"),
        _rule(rf"\b{_ADDRESS}{_FLAT}{town}(?-i:[A-Z]{{2}})[ ]\d{{5}}(?:-\d{{4}})?\b", "an address"),
        _rule(rf"\b{_ADDRESS}{_FLAT}{town}(?-i:[A-Z]{{1,2}}\d[A-Z\d]?[ ]?\d[A-Z]{{2}})\b", "an address"),
        _rule(rf"\bp\.?[ ]?o\.?[ ]box[ ]\d{{1,7}}\b(?:{town}(?-i:[A-Z]{{2}})[ ]\d{{5}})?", "an address"),
        _rule(r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])", "a number"),
    )


def _home_rules() -> tuple[Rule, ...]:
    """What only user-written text is searched for: bare domains, IP addresses, numbers and streets near a cue."""
    german = r"[a-zäöüß-]{3,30}(?:straße|strasse|str\.|weg|platz|gasse|allee)[ ]\d{1,4}[a-z]?"
    of = r"(?:d(?:e|u|es|i|el|ella|o|a) |la |les? |l['\u2019])"
    roman = rf"(?:{_WORDS['street_kinds']}) {of}{{0,2}}(?-i:{_UPPER})[\w'\u2019-]{{1,25}}"
    town = rf"(?:[ ,]{{1,2}}\d{{5}}(?:[ ](?-i:{_UPPER})[\w-]{{1,25}})?)?"
    living, cue = rf"\b(?:{_WORDS['living']})\b", rf"\b(?:{_WORDS['number_cues']})\b"
    digit = f"(?:{_WORDS['digit_words']})"
    return (
        _rule(rf"(?<![\w@.-]){_DOMAIN}(?-i:{_TLD})\b(?![.-]?\w)", "a link"),
        _rule(r"(?<![\w.:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", "an address", _is_ip),
        _rule(r"(?<![\w.])(?<!version )(?<!patch )(?:\d{1,3}\.){3}\d{1,3}(?::\d{2,5})?(?!\.?\w)", "an address", _is_ip),
        _rule(r"(?<![\w.,$€£#-])[+(]?\d(?:[ ().\-/]{0,3}\d){6,18}(?![\w-])", "a number", _is_phone),
        _rule(rf"{cue}[^\d\n+(]{{0,20}}(?P<x>[+(]?\d(?:[ ().\-]{{0,2}}\d){{6,14}})(?!\w)", "a number"),
        _rule(rf"{living}[^\d\n]{{0,25}}(?P<x>{_ADDRESS}{_FLAT}(?:[ ,]{{1,2}}\d{{4,5}})?)", "an address"),
        _rule(rf"\b(?:{digit}[ ,-]{{1,2}}){{6,17}}{digit}\b", "a number"),
        _rule(rf"\b\d{{1,4}}[a-z]?,? {roman}{town}|(?<!\w){roman},? \d{{1,4}}[a-z]?\b{town}", "an address"),
        _rule(rf"\b{german}(?:,[ ]?(?:D-)?\d{{5}}(?:[ ][a-zäöüß]{{2,25}})?)?\b", "an address"),
    )


def _handle_rules() -> tuple[Rule, ...]:
    """Names that people go by on a service."""
    handle = rf"(?P<x>{_PLAIN}(?!(?:someone|name|account|id)\b)[\w.\-]{{2,31}}\w)"
    marked = r"(?=[\w.\-]{0,32}[\d_])"
    kinds = "id|name|tag|handle|account|username|user"
    return (
        _rule(r"\bSTEAM_[0-5]:[01]:\d{1,12}\b|\[?\bU:1:\d{1,12}\b\]?|\b7656119\d{10}\b", "a number"),
        _rule(r"(?<![\w.@/])@[a-z_][\w.]{0,29}\w", "someone"),
        _rule(r"(?<![\w/])/?u/[\w-]{2,30}", "someone"),
        _rule(r"(?<![\w.#])[\w.]{2,32}#\d{4}(?!\w)", "someone"),
        _rule(rf"\bmy {_SERVICE}(?: (?:{kinds}))?(?: is|:|=) ?{handle}", "someone"),
        _rule(rf"\bmy (?:gamer ?tag|ign|user ?name|nickname|handle)(?: is|:|=) ?{handle}", "someone"),
        _rule(rf"\b(?:add|follow|find|message|dm|pm) me (?:on|at|in) {_SERVICE}(?: as|:| -|,| @) ?{handle}", "someone"),
        _rule(rf"\b{_SERVICE} (?:{kinds}|gamer ?tag) (?:is )?{marked}{handle}", "someone"),
        _rule(rf"\b(?:add|follow|find|message|dm|pm) me (?:on|at|in) {_SERVICE} {marked}{handle}", "someone"),
        _rule(rf"\b{_SERVICE}(?: (?:{kinds}))?: ?(?=[\w.\-]{{0,32}}[\d_]){handle}", "someone"),
    )


def _introduction_rules() -> tuple[Rule, ...]:
    """Names of people who say who they are, or are addressed."""
    more = rf"(?:(?:[ ](?-i:{_UPPER}\.|{_CAPITAL})){{1,2}}|[ ]{_PLAIN}{_LETTER}{{2,24}}(?=[.,!\n]|\Z))?"
    own = rf"(?P<x>{_PLAIN}\w[\w'\u2019-]{{1,24}}{more})"
    said = r"(?:^|[.!?,] |\bhi |\bhello |\bhey )(?:i['\u2019]m|i am)"
    return (
        _rule(rf"\bmy (?:(?:full|real|first|last) )?name(?: is|['\u2019]s|:) {own}", "someone"),
        _rule(rf"\b(?:{_WORDS['called']}) {own}", "someone"),
        _rule(rf"{said} {_CALLED}(?=[,.!]|$| and i\b| from\b| here\b)", "someone"),
        _rule(rf"^{_CALLED}(?= here[,.!-])", "someone"),
        _rule(rf"(?:^|[.!?] )dear {_CALLED}(?=,)", "someone"),
    )


def _mention_rules() -> tuple[Rule, ...]:
    """Names of people beside a title, a relation or a cue."""
    told = "contact|ask for|(?:spoke|talked|spoken) (?:to|with)|call me"
    people = "guy|man|woman|lady|girl|boy|person|friend|rep|agent"
    title = r"(?<!\bthe )(?<!\bmy )(?<!\ba )(?P<x>\b(?-i:Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Frau|Mme|Sr|Sra)\b\.?"
    seen = r"\b(?:saw|seen|watch|watched) (?:it|this|them|(?:this|the) (?:film|movie|show))"
    return (
        _rule(rf"{title} (?-i:{_SHORT_NAME}))", "someone"),
        _rule(rf"\bmy (?:\w{{1,15}} )?(?:{_WORDS['kin']}),? {_CALLED}", "someone"),
        _rule(rf"\b(?:{_WORDS['foreign_kin']}),? {_CALLED}", "someone"),
        _rule(rf"{seen} with (?P<x>(?-i:{_NAME}(?: and {_NAME})?))", "someone"),
        _rule(rf"\b(?:{told}|(?:{people}) (?:named|called)) {_CALLED}", "someone"),
    )


def _signature_rules() -> tuple[Rule, ...]:
    """Names at the end, after a greeting or a dash."""
    last = rf"(?P<x>(?-i:(?!Dev|Game){_SHORT_NAME}))"
    dash, end = r"[-\u2013\u2014~]", r"[.!]?\s{0,9}"
    greeting = rf"(?:^|[.!?,;] ?)(?:many )?(?:{_WORDS['endings']})[,.!:]?\s{{1,3}}{dash}?[ ]?"
    signed = rf"\s{{0,3}}{dash}{{1,3}}[ ]?{last}"
    return (
        _rule(rf"{greeting}{last}(?={end}(?:x{{1,5}}\s{{0,9}})?$)", "someone"),
        _rule(rf"[.!?\"')\d]{signed}(?={end}\Z)", "someone"),
        _rule(rf"[.!?]{signed}(?=, ?(?-i:{_CAPITAL}){end}\Z)", "someone"),
    )


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())


def _is_card(text: str) -> bool:
    """Whether digits could be a payment card: 13 to 19 of them, with Luhn's check digit."""
    digits = [int(char) for char in reversed(_digits(text))]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """Whether a text is an IBAN by its check digits (ISO 7064, mod 97)."""
    plain = "".join(text.split()).upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def _is_ip(text: str) -> bool:
    try:
        ip_address(text.partition(":")[0] if "." in text else text)
    except ValueError:
        return False
    return True


def _is_phone(text: str) -> bool:
    """Whether digits are a valid telephone number: international, or as people write it at home (phonenumbers)."""
    import phonenumbers

    digits = _digits(text)
    if not 7 <= len(digits) <= 15 or _DATES.fullmatch(text):
        return False
    home = ("GB", "FR", "AU") if digits.startswith("0") else ("US", "IN")
    regions = (None,) if text.startswith("+") else home
    return any(next(iter(phonenumbers.PhoneNumberMatcher(text, region)), None) is not None for region in regions)
