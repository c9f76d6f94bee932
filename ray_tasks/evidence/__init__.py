"""Evidence: what a prompt tells about an item or a user, and what is counted beside it."""
