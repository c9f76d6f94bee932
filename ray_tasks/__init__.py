"""Ray tasks: the language model, the encoder, candidates, ranking and explanations. Ray sits at the edge."""
