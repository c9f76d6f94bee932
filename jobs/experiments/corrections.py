"""More than one metric, or arm, means more chances to be wrong."""

from collections.abc import Mapping


def holm(p_values: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """P-values that hold for all comparisons of arm and metric together.

    Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.
    """
    # Imported late: it takes seconds.
    from statsmodels.stats.multitest import multipletests

    if not p_values:
        return {}
    return dict(zip(p_values, map(float, multipletests(list(p_values.values()), method="holm")[1]), strict=True))
