"""The rules of `privacy.scrub`: what counts as personal data in a text, and the word that stands in its place."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

_UPPER = f"[{''.join(char for char in map(chr, range(0x530)) if char.isupper())}]"
_LETTER = r"(?:[^\W\d_]|['\u2019-])"
_CAPITAL = rf"{_UPPER}(?!{_UPPER}{{1,24}}(?![\w'\u2019-])){_LETTER}{{1,24}}(?!\w)"
"""A capitalized word without digits; not one in capitals, since whole reviews are."""
_NEVER = (
    "The|This|That|These|It|Its|If|In|On|Is|To|For|From|So|And|But|Or|Not|No|Yes|Now|Then|Just|Very|Also|We|You|He|She"
    "|They|There|Here|What|When|Who|Why|How|All|Any|My|Your|Our|Their|Great|Good|Best|Nice|Love|Highly|Recommended"
    "|Five|Four|Three|Two|One|Buy|Get|Amazon\\w*|Steam|Valve|Google|Apple|Microsoft|Sony|Nintendo|Ubisoft|Bethesda"
    "|Blizzard|EA|Netflix|Fender|Gibson|Yamaha|Korg|Roland|Boss|Behringer|Shure|Ernie|Elixir|Dunlop|Customer|Support"
    "|Seller|Sellers|Company|Christmas|God|Lord|Jesus|Him|Her|Them|Me|Us|Everyone|Guys|Folks|Greenlight|Early|PC|Mac"
    "|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|January|February|March|April|June|July|August"
    "|September|October|November|December|English|American|British|Canadian|Australian|German|French|Spanish|Italian"
    "|Russian|Chinese|Japanese|Mics?|Microphones?|Pickups?|Cleaner|Warning|Click|Looks?|Sounds?|Works|Pros?|Cons?|Update|Edit|Overall|Gameplay|Graphics|Story|Rating|Score|Recommend|Play"
)
_ONE = rf"(?!(?:{_NEVER})\b){_CAPITAL}"
_NEXT = rf"(?:[ ](?:{_UPPER}\.|{_UPPER}(?=[\s,.!]|$)|{_CAPITAL}))"
_NAME, _SHORT_NAME = rf"{_ONE}{_NEXT}{{0,2}}", rf"{_ONE}{_NEXT}?"
_COMMON = (
    "a|all|also|an|and|as|at|by|for|if|in|is|it|just|me|my|no|not|now|of|on|or|really|so|still|that|the|this|to|too"
)
_PLAIN = rf"(?!(?:{_COMMON}|with)(?![\w-]))"
_KIN = (
    "wife|husband|son|daughter|brother|sister|dad|father|mom|mum|mother|friend|buddy|girlfriend|boyfriend|fianc[eé]e?"
    "|cousin|uncle|aunt|nephew|niece|grandson|granddaughter|neighbou?r|teacher|roommate|student"
)
_ENDING = (
    r"thanks(?: again| so much| a lot)?|thank you(?: again| so much)?|thx|cheers|regards|best (?:regards|wishes)"
    r"|(?:kind|warm) regards|sincerely|yours(?: truly| sincerely)?|take care|signed|gr[uü]sse|gr[uü]ße|cordialement"
    r"|saludos|(?:best|love)(?=,)"
)
_DOMAIN = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,4}"
_TLD = r"(?:com|net|org|edu|gov|info|biz|gg|xyz|co\.uk|com\.(?:au|br))"
"""Endings of bare domains: those that are no word (`game.It has`, `juego.de`)."""

_SHORT = r"(?:youtu\.be|t\.me|bit\.ly|goo\.gl|t\.co|discord\.gg)"
_STREET = (
    r"street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|court|ct|place|pl|square|terrace|way|close|crescent"
)
_NUMBER_CUE = r"(?:call|phone|tel|telephone|mobile|cell|text|whatsapp|sms|fax|ring|dial|number)"
_SERVICE = (
    r"(?:steam|discord|psn|xbox|skype|snapchat|snap|instagram|insta|twitter|twitch|youtube|telegram|tiktok|kik"
    r"|battle\.?net|origin|uplay)"
)

_CALLED = (
    r"je m['\u2019]appelle|mein name ist|ich hei(?:ß|ss)e|me llamo|mi nombre es|mi chiamo|il mio nome è|меня зовут"
)
_ADDRESS = rf"\d{{1,5}}[a-z]?[ ](?:[a-z0-9.'-]{{1,20}}[ ]){{1,3}}(?:{_STREET})\b\.?"
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
    return (*sure, *_home_rules(), *_handle_rules(), *_name_rules()) if names else sure


def _rule(pattern: str, word: str, check: Check | None = None) -> Rule:
    return Rule(re.compile(pattern, re.MULTILINE | re.IGNORECASE), word, check)


def _contact_rules() -> tuple[Rule, ...]:
    """E-mails and links, the former also where they are spelled out."""
    at, dot = r"\s?[(\[]\s?at\s?[)\]]\s?", r"\s?[(\[]\s?dot\s?[)\]]\s?"
    local, rest = r"(?<![\w.+-])[\w.+-]{1,64}", r"[^\s<>\"')\]]"
    return (
        _rule(rf"{local}(?:@|{at}){_DOMAIN}[a-z]{{2,24}}\b", "an address"),
        _rule(rf"{local}{at}\w{{1,63}}(?:\.|{dot})[a-z]{{2,24}}\b", "an address"),
        _rule(rf"{local} at \w{{1,63}} dot {_TLD}\b", "an address"),
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
        _rule(r"\bp\.?[ ]?o\.?[ ]box[ ]\d{1,7}\b", "an address"),
    )


def _home_rules() -> tuple[Rule, ...]:
    """What only user-written text is searched for: bare domains, IP addresses, numbers and streets near a cue."""
    german = r"[a-zäöüß-]{3,30}(?:straße|strasse|str\.|weg|platz|gasse|allee)[ ]\d{1,4}[a-z]?"
    living = r"\b(?:live|lives|living|address|ship|send|mail|located|come|reside)\b"
    return (
        _rule(rf"(?<![\w@.-]){_DOMAIN}(?-i:{_TLD})\b(?![.-]?\w)", "a link"),
        _rule(r"(?<![\w.:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", "an address", _is_ip),
        _rule(r"(?<![\w.])(?<!version )(?<!patch )(?:\d{1,3}\.){3}\d{1,3}(?::\d{2,5})?(?!\.?\w)", "an address", _is_ip),
        _rule(r"(?<![\w.,$€£#-])[+(]?\d(?:[ ().\-/]{0,3}\d){6,18}(?![\w-])", "a number", _is_phone),
        _rule(rf"\b{_NUMBER_CUE}\b[^\d\n+(]{{0,20}}(?P<x>[+(]?\d(?:[ ().\-]{{0,2}}\d){{6,14}})(?!\w)", "a number"),
        _rule(rf"{living}[^\d\n]{{0,25}}(?P<x>{_ADDRESS}{_FLAT}(?:[ ,]{{1,2}}\d{{4,5}})?)", "an address"),
        _rule(rf"\b{german}(?:,[ ]?(?:D-)?\d{{5}}(?:[ ][a-zäöüß]{{2,25}})?)?\b", "an address"),
    )


def _handle_rules() -> tuple[Rule, ...]:
    """Names that people go by on a service."""
    handle = rf"(?P<x>{_PLAIN}(?!(?:someone|name|account|id)\b)[\w.\-]{{2,31}}\w)"
    kinds = "id|name|tag|handle|account|username|user"
    return (
        _rule(r"\bSTEAM_[0-5]:[01]:\d{1,12}\b|\[?\bU:1:\d{1,12}\b\]?|\b7656119\d{10}\b", "a number"),
        _rule(r"(?<![\w.@/])@[a-z_][\w.]{0,29}\w", "someone"),
        _rule(r"(?<![\w/])/?u/[\w-]{2,30}", "someone"),
        _rule(r"(?<![\w.#])[\w.]{2,32}#\d{4}(?!\w)", "someone"),
        _rule(rf"\bmy {_SERVICE}(?: (?:{kinds}))?(?: is|:|=) ?{handle}", "someone"),
        _rule(rf"\bmy (?:gamer ?tag|ign|user ?name|nickname|handle)(?: is|:|=) ?{handle}", "someone"),
        _rule(rf"\b(?:add|follow|find|message|dm|pm) me (?:on|at|in) {_SERVICE}(?: as|:| -|,| @) ?{handle}", "someone"),
        _rule(rf"\b{_SERVICE}(?: (?:{kinds}))?: ?(?=[\w.\-]{{0,32}}[\d_]){handle}", "someone"),
    )


def _name_rules() -> tuple[Rule, ...]:
    """Names of people where the words around them say that they are: introductions, titles, kin, signatures."""
    more = rf"(?:(?:[ ](?-i:{_UPPER}\.|{_CAPITAL})){{1,2}}|[ ]{_PLAIN}{_LETTER}{{2,24}}(?=[.,!\n]|\Z))?"
    own = rf"(?P<x>{_PLAIN}\w[\w'\u2019-]{{1,24}}{more})"
    name = f"(?P<x>(?-i:{_NAME}))"
    last = rf"(?P<x>(?-i:(?!Dev|Game){_SHORT_NAME}))"
    dash = r"[-\u2013\u2014~]"
    told = "contact|ask for|(?:spoke|talked|spoken) (?:to|with)|call me"
    people = "guy|man|woman|lady|girl|boy|person|friend|rep|agent"
    return (
        _rule(rf"\bmy (?:(?:full|real|first|last) )?name(?: is|['\u2019]s|:) {own}", "someone"),
        _rule(rf"\b(?:{_CALLED}) {own}", "someone"),
        _rule(
            rf"(?:^|[.!?,] |\bhi |\bhello |\bhey )(?:i['\u2019]m|i am) {name}"
            r"(?=[,.!]|$| and i\b| from\b| here\b)",
            "someone",
        ),
        _rule(rf"^{name}(?= here[,.!-])", "someone"),
        _rule(
            rf"(?<!\bthe )(?<!\bmy )(?<!\ba )"
            rf"(?P<x>\b(?-i:Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Frau|Mme|Sr|Sra)\b\.? (?-i:{_SHORT_NAME}))",
            "someone",
        ),
        _rule(rf"\bmy (?:\w{{1,15}} )?(?:{_KIN}),? {name}", "someone"),
        _rule(rf"\b(?:{told}|(?:{people}) (?:named|called)) {name}", "someone"),
        _rule(
            rf"(?:^|[.!?,;] ?)(?:many )?(?:{_ENDING})[,.!:]?\s{{1,3}}{dash}?[ ]?{last}(?=[.!]?\s{{0,9}}$)", "someone"
        ),
        _rule(rf"[.!?\"')\d]\s{{0,3}}{dash}{{1,3}}[ ]?{last}(?=[.!]?\s{{0,9}}\Z)", "someone"),
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
