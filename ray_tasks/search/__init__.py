"""Exact search by inner product: the best items of every user, without a matrix of users by items."""
