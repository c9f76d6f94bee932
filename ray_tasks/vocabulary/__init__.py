"""The closed vocabularies of themes, moods and aspects: induced from the catalogue, edited by its owner."""
