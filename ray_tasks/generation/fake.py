"""The generator of the tests: no model, the same form of answers."""

from collections.abc import Sequence

from ray_tasks.generation.protocol import Generation, Prompt


class FakeGenerator:
    """Completes a prompt from its own facts, in the form of a good answer. For tests, no model needed."""

    revision = "0" * 64

    def generate(self, prompts: Sequence[Prompt]) -> list[Generation]:
        """A well-formed answer that names the first facts."""
        return [self._answer(prompt.text) for prompt in prompts]

    def _answer(self, text: str) -> Generation:
        fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        facts = [fact.strip() for fact in (fields.get("Facts") or fields.get("Often") or "").split(",") if fact.strip()]
        named = " and ".join(facts[:2]) or next(iter(fields.values()), "this")
        listed = ", ".join(facts[:3]) or named
        if "Recent" in fields:
            answer = f" Someone who often picks {named}.\nLikes: {listed}\n\n"
        else:
            answer = f" A pick known for {named}.\nAudience: People who enjoy {named}.\nThemes: {listed}\n\n"
        return Generation(answer, len(text.split()), len(answer.split()))
