"""Which language a text is in, by py3langid (Lui and Baldwin, 2012)."""

from functools import cache
from typing import Any

COMMON = ("en", "de", "fr", "es", "it", "pt", "nl", "ru", "zh", "ja", "ar")


def language(text: str) -> str:
    """The likeliest of COMMON, as its ISO 639-1 code."""
    return str(_identifier(COMMON).classify(text)[0])


def english(text: str) -> float:
    """Chance that a text is English, among all languages that the model knows (97)."""
    return float(dict(_identifier().rank(text))["en"])


@cache
def _identifier(languages: tuple[str, ...] = ()) -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    if languages:
        identifier.set_languages(list(languages))
    return identifier
