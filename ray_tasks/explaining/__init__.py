"""Why an item is recommended: evidence, statements that it carries, and sentences by template or language model."""
