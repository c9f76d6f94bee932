"""Pairs evidence -> profile: what the model is shown at night, and a published profile that passed every check.

The model learns from its own best answers (rejection sampling, as in arXiv 2308.01825), and, where there are too few
of them yet, from the template's.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ray_tasks.evidence.pieces import Evidence
from ray_tasks.profiles.checks import Grounds, Rejected
from ray_tasks.profiles.kinds import KINDS
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.tuning.pairs import Pair, compact, part_of
from schemas.generation_config import Generator as GeneratorConfig

ENOUGH = 50
"""Training pairs of the model's own from which on the template's are left out."""

TUNED_PROMPTS = {"item": "item_profile.tuned.v1", "user": "user_profile.tuned.v1"}
"""Prompts of the tuned model: its examples are in its weights."""

FEWEST = 20
"""Training pairs of a kind from which on the tuned model does without examples."""

TEXTS = {"item": ("summary", "audience"), "user": ("long_term", "recent")}
COLUMNS = {"recent": "recent_interest"}
"""Where a table names a field of the answer otherwise."""

Row = Mapping[str, Any]


def profile_pairs(
    kind: str,
    entities: Iterable[Entity],
    published: Mapping[str, Row],
    grounds: Grounds,
    prompt: PromptFile,
    config: GeneratorConfig,
    *,
    seed: int,
) -> list[Pair]:
    """A pair for every entity whose published profile passes the checks against the entity's evidence.

    `published` are rows of the profiles' table by id; `grounds` what all checks share. A user's row
    counts only where it was written from the very evidence at hand, which holds the training period alone.
    """
    found: dict[str, list[Pair]] = {"llm": [], "template": []}
    for entity in entities:
        row = published.get(entity.entity_id)
        if row is None or not entity.evidence.enough or (kind == "user" and not _same(row, entity.evidence)):
            continue
        answer = answer_of(kind, row, entity.evidence)
        if isinstance(KINDS[kind].check(answer, entity.evidence, grounds), Rejected):
            continue
        part = part_of(entity.entity_id, seed)
        text, schema = prompt.prompt(entity.evidence), KINDS[kind].form(entity.evidence, config, grounds)
        found[row["source"]].append(Pair("profile", kind, entity.entity_id, part, text, answer, schema))
    enough = sum(pair.part == "train" for pair in found["llm"]) >= ENOUGH
    return found["llm"] if enough else [*found["llm"], *found["template"]]


def tuned_prompts(config: GeneratorConfig, pairs: Iterable[Pair]) -> dict[str, str]:
    """Versions of the prompts that a tuned model gets, by kind.

    A kind of which it has seen FEWEST answers or less keeps its examples: without either it would have to guess.
    """
    seen = Counter(pair.kind for pair in pairs if pair.task == "profile" and pair.part == "train")
    own = {"item": config.item_prompt, "user": config.user_prompt}
    return {kind: TUNED_PROMPTS[kind] if seen[kind] > FEWEST else own[kind] for kind in own}


def answer_of(kind: str, profile: Row, evidence: Evidence) -> str:
    """The answer that a profile (of a table or a template) stands for, as the model would write it."""
    texts: dict[str, Any] = {name: profile[COLUMNS.get(name, name)] for name in TEXTS[kind]}
    if kind == "item":
        return compact(texts | {name: list(profile[name]) for name in ("themes", "moods") if profile[name]})
    aliases = {piece.item_id: piece.alias for piece in evidence.pieces if piece.alias}
    claims = {side: [_claim(claim, aliases) for claim in profile[side] or ()] for side in ("likes", "dislikes")}
    return compact({side: found for side, found in claims.items() if found} | texts)


def _claim(claim: Row, aliases: Mapping[str | None, str]) -> dict[str, Any]:
    named: Sequence[str] = [aliases[item_id] for item_id in claim["interactions"] if item_id in aliases]
    return {"label": claim["label"], "because": list(named)}


def _same(row: Row, evidence: Evidence) -> bool:
    return [dict(piece) for piece in row["evidence"] or ()] == evidence.rows()
