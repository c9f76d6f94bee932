"""From a ranker's order to the list that is served: rules of the business, variety, a user's mix of tastes."""
