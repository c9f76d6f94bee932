"""Shadow runs: a new prompt or model writes beside the champion on a sample, and both are measured."""
