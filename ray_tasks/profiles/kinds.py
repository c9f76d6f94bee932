"""The two kinds of profiles: where they are published, how they are parsed, what their template says."""

from collections.abc import Callable
from dataclasses import dataclass

from ray_tasks.profiles import checks, templates
from ray_tasks.profiles.checks import ItemProfile, Rejected, UserProfile
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.prompts import Evidence, PromptFile

Profile = ItemProfile | UserProfile


@dataclass(frozen=True)
class ProfileKind:
    """What differs between profiles of items and of users."""

    name: str
    id_column: str
    prompt_version: str
    parse: Callable[[str, Evidence, PromptFile, frozenset[str]], Profile | Rejected]
    template: Callable[[Entity], Profile]
    has_evidence_column: bool

    @property
    def table(self) -> str:
        """Table of the profiles."""
        return f"{self.name}_profiles"

    @property
    def rejects(self) -> str:
        """Table of the outputs that were not accepted."""
        return f"{self.name}_profile_rejects"


def _item_template(entity: Entity) -> Profile:
    return templates.item_template(entity.evidence, list(entity.categories))


def _user_template(entity: Entity) -> Profile:
    return templates.user_template(entity.evidence, list(entity.titles))


ITEM = ProfileKind("item", "item_id", "item_profile.v1", checks.parse_item_profile, _item_template, False)
USER = ProfileKind("user", "user_id", "user_profile.v1", checks.parse_user_profile, _user_template, True)
KINDS = {kind.name: kind for kind in (ITEM, USER)}
