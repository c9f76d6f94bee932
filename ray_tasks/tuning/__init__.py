"""Weekly tuning of the generator: pairs from published nights, LoRA, judgement on held-out rows, promotion."""
