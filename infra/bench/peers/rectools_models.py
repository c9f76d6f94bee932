"""RecTools: SASRec (Kang and McAuley 2018) and BERT4Rec (Sun et al. 2019), both with the full softmax."""

import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning
import torch
from exchange import Ranked, Request
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel, SASRecModel
from rectools.models.nn.transformers.lightning import TransformerLightningModule

LONGEST = 100
"""Last items of a user that a model sees at most."""
SIZE = {"n_blocks": 2, "n_heads": 2, "n_factors": 64, "dropout_rate": 0.2, "lr": 0.001}
MASKED = 0.4
"""Share of a sequence that BERT4Rec hides: its authors found .2 to .6 best, by data set."""
TARGETS = 500
"""Targets of a step, about: more of them make fewer steps of the same work, and learn less by it."""


class CompactSoftmax(TransformerLightningModule):
    """RecTools' own loss, the softmax over all items, worked out only where there is a target.

    RecTools scores every item at the padding and at the places that BERT4Rec leaves open as well, and then drops them.
    """

    def training_step(self, batch: dict[str, torch.Tensor], *_: int) -> torch.Tensor:
        """The mean over targets of their cross entropy."""
        asked = batch["y"] != 0
        items = self.torch_model.item_model.get_all_embeddings()
        sessions = self.torch_model.encode_sessions(batch, items)[asked]
        loss = torch.nn.functional.cross_entropy(self.torch_model.similarity_module(sessions, items), batch["y"][asked])
        self.log(self.train_loss_name, loss, on_step=False, on_epoch=True)
        return loss


def sasrec(request: Request) -> Iterator[Ranked]:
    """Parameters: epochs."""
    return _checkpoints(request, SASRecModel, 1)


def bert4rec(request: Request) -> Iterator[Ranked]:
    """Parameters: epochs."""
    return _checkpoints(request, BERT4RecModel, MASKED, mask_prob=MASKED)


def _checkpoints(request: Request, kind: Any, share: float, **more: Any) -> Iterator[Ranked]:
    """One training that halts after each of the numbers of epochs asked for, and ranks."""
    _quiet()
    torch.set_num_threads(request.threads)
    pytorch_lightning.seed_everything(request.seed)
    data = _dataset(request)
    lengths = np.minimum(np.unique(request.user, return_counts=True)[1], LONGEST)
    model = kind(
        **SIZE,
        **more,
        # Long enough for all but the longest twentieth: padding costs as much as items do.
        session_max_len=max(int(np.percentile(lengths, 95)), 10),
        batch_size=int(np.clip(TARGETS / (share * lengths.mean()), 16, 128)),
        loss="softmax",
        lightning_module_type=CompactSoftmax,
        get_trainer_func=_trainer,
        recommend_torch_device="cpu",
    )
    done = 0
    for number in np.argsort([asked["epochs"] for asked in request.parameters], kind="stable"):
        epochs = int(request.parameters[number]["epochs"])
        if epochs > done:
            model.fit_partial(data, min_epochs=epochs - done, max_epochs=epochs - done)
            done = epochs
        for place in range(len(request.parts)):
            yield Ranked(int(number), place, _lists(model, data, request, place))


def _dataset(request: Request) -> Dataset:
    # Times are ranks: RecTools reads only their order, and events of one moment keep the order of the log.
    order = np.argsort(request.time, kind="stable")
    when = np.empty(len(order), dtype=np.int64)
    when[order] = np.arange(len(order))
    frame = {
        Columns.User: request.user,
        Columns.Item: request.item,
        Columns.Weight: 1.0,
        Columns.Datetime: pd.to_datetime(when, unit="s"),
    }
    return Dataset.construct(pd.DataFrame(frame))


def _lists(model: SASRecModel | BERT4RecModel, data: Dataset, request: Request, place: int) -> np.ndarray:
    part = request.parts[place]
    lists = np.full((len(part.users), request.k), -1, dtype=np.int64)
    known = np.intersect1d(part.items, request.item)
    if not len(part.users) or not len(known):
        return lists
    found = model.recommend(
        users=part.users,
        dataset=data,
        k=request.k,
        filter_viewed=True,
        items_to_recommend=known,
        on_unsupported_targets="ignore",
    )
    lists[np.searchsorted(part.users, found[Columns.User]), found[Columns.Rank] - 1] = found[Columns.Item]
    return lists


def _trainer() -> pytorch_lightning.Trainer:
    return pytorch_lightning.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _quiet() -> None:
    """Advice of the trainer about workers and loggers tells nothing here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
