"""All tables of the lake, by name. One module per table."""

from schemas.table import Table
from schemas.tables.benchmark_evaluations import BENCHMARK_EVALUATIONS
from schemas.tables.candidates import CANDIDATES
from schemas.tables.evaluations import EVALUATIONS
from schemas.tables.experiment_readouts import EXPERIMENT_READOUTS
from schemas.tables.explanation_rejects import EXPLANATION_REJECTS
from schemas.tables.explanations import EXPLANATIONS
from schemas.tables.feedback import FEEDBACK
from schemas.tables.generation_costs import GENERATION_COSTS
from schemas.tables.interactions import INTERACTIONS
from schemas.tables.item_documents import ITEM_DOCUMENTS
from schemas.tables.item_embeddings import ITEM_EMBEDDINGS
from schemas.tables.item_factors import ITEM_FACTORS
from schemas.tables.item_profile_rejects import ITEM_PROFILE_REJECTS
from schemas.tables.item_profiles import ITEM_PROFILES
from schemas.tables.item_reviews import ITEM_REVIEWS
from schemas.tables.item_statistics import ITEM_STATISTICS
from schemas.tables.items import ITEMS
from schemas.tables.offline_rankings import OFFLINE_RANKINGS
from schemas.tables.parsed_requests import PARSED_REQUESTS
from schemas.tables.quarantine import QUARANTINE
from schemas.tables.recommendations import RECOMMENDATIONS
from schemas.tables.request_recommendations import REQUEST_RECOMMENDATIONS
from schemas.tables.requests import REQUESTS
from schemas.tables.runs import RUNS
from schemas.tables.shadow_trials import SHADOW_TRIALS
from schemas.tables.splits import SPLITS
from schemas.tables.taste_summaries import TASTE_SUMMARIES
from schemas.tables.tuning_trials import TUNING_TRIALS
from schemas.tables.user_embeddings import USER_EMBEDDINGS
from schemas.tables.user_histories import USER_HISTORIES
from schemas.tables.user_profile_rejects import USER_PROFILE_REJECTS
from schemas.tables.user_profiles import USER_PROFILES
from schemas.tables.users import USERS
from schemas.tables.vocabularies import VOCABULARIES

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        INTERACTIONS,
        ITEMS,
        USERS,
        FEEDBACK,
        REQUESTS,
        QUARANTINE,
        USER_HISTORIES,
        ITEM_DOCUMENTS,
        ITEM_STATISTICS,
        SPLITS,
        ITEM_FACTORS,
        VOCABULARIES,
        ITEM_REVIEWS,
        ITEM_PROFILES,
        USER_PROFILES,
        ITEM_PROFILE_REJECTS,
        USER_PROFILE_REJECTS,
        GENERATION_COSTS,
        ITEM_EMBEDDINGS,
        USER_EMBEDDINGS,
        CANDIDATES,
        RECOMMENDATIONS,
        OFFLINE_RANKINGS,
        EXPLANATIONS,
        EXPLANATION_REJECTS,
        TASTE_SUMMARIES,
        PARSED_REQUESTS,
        REQUEST_RECOMMENDATIONS,
        EVALUATIONS,
        EXPERIMENT_READOUTS,
        RUNS,
        TUNING_TRIALS,
        SHADOW_TRIALS,
        BENCHMARK_EVALUATIONS,
    )
}

OUTSIDE = (TUNING_TRIALS.name, SHADOW_TRIALS.name, BENCHMARK_EVALUATIONS.name)
"""Tables that other DAGs publish: no night waits for them, and no manifest names them."""
