"""What holds for all tests: none fails for being slow on a busy machine, and the longest begin first."""

from hypothesis import settings

settings.register_profile("nightrec", deadline=None)
settings.load_profile("nightrec")


def pytest_collection_modifyitems(items):
    """The small nights take as long as a third of all the others: begun last, they would leave a core idle."""
    items.sort(key=lambda item: "night" not in item.keywords)
