"""Prompts in MLflow's prompt registry: one name per purpose, one version per text, an alias for what is trusted.

The file `item_profile.v2.txt` is a version of the prompt `item_profile`, tagged `v2` and with the digest of its text.
A text is known by its digest: registering it again changes nothing, and an edited file becomes a further version.
The alias `champion` names the version that a comparison (or the beginning) has put in charge. It decides nothing:
what a night uses is what its configuration says.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.champions import CHAMPION, mlflow_client

if TYPE_CHECKING:
    from mlflow import MlflowClient

VERSION, DIGEST = "nightrec.version", "nightrec.digest"


@dataclass(frozen=True)
class RegisteredPrompt:
    """Where a text stands: the prompt's name, and its number in the registry."""

    name: str
    number: int


def register_prompts(tracking_uri: str, texts: Mapping[str, str]) -> dict[str, RegisteredPrompt]:
    """Register texts by their versions (`item_profile.v2`); returns where each stands.

    A text whose digest is there already is not registered again. The first version of a prompt becomes its champion.
    Raises MlflowException where the registry cannot be reached.
    """
    client = mlflow_client(tracking_uri)
    return {version: _register(client, version, text) for version, text in texts.items()}


def champion_prompt(tracking_uri: str, name: str) -> str | None:
    """The version tag (`v2`) of a prompt's champion; None where no prompt of that name is registered."""
    client = mlflow_client(tracking_uri)
    if client.get_prompt(name) is None:
        return None
    return str(client.get_prompt_version_by_alias(name, CHAMPION).tags[VERSION])


def promote_prompt(tracking_uri: str, prompt: RegisteredPrompt) -> None:
    """Make a registered text its prompt's champion."""
    mlflow_client(tracking_uri).set_prompt_alias(prompt.name, CHAMPION, prompt.number)


def split_version(version: str) -> tuple[str, str]:
    """Name and tag of a prompt's version: `item_profile.v2` is v2 of item_profile."""
    name, _, tag = version.partition(".")
    return name, tag


def digest_of(text: str) -> str:
    """SHA-256 of a prompt's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _register(client: "MlflowClient", version: str, text: str) -> RegisteredPrompt:
    name, tag = split_version(version)
    digest = digest_of(text)
    known = client.search_prompt_versions(name) if client.get_prompt(name) is not None else []
    same = [found.version for found in known if found.tags.get(DIGEST) == digest]
    if same:
        return RegisteredPrompt(name, min(same))
    found = client.register_prompt(name, text, commit_message=version, tags={VERSION: tag, DIGEST: digest})
    if not known:
        client.set_prompt_alias(name, CHAMPION, found.version)
    return RegisteredPrompt(name, int(found.version))
