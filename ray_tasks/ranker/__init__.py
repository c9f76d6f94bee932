"""The learned ranker: features of candidates, trees, the gate that decides what serves, and the lists it makes."""
