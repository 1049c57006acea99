"""Datasets: which data there is, by content."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from service_chassis.errors import already_exists
from tracking_service.dataset_records import Dataset
from tracking_service.presence import found

if TYPE_CHECKING:
    from service_chassis.caller import Principal
    from tracking_service.dataset_records import DatasetContent
    from tracking_service.store.tracking_store import TrackingStore

# Digits of the digest that name a version for which no id was chosen.
_ID_DIGITS = 12


def register(
    store: TrackingStore,
    parent: str,
    version_id: str,
    content: DatasetContent,
    creator: Principal,
    now: int,
) -> Dataset:
    """The version of a dataset that has this content: the one that is there, or a new one.

    One that is there and has no profiles gets those of the content.

    Raises:
        StudbookError: ALREADY_EXISTS when the version id is taken by other content.
    """
    name = f"{parent}/versions/{version_id or content.digest[:_ID_DIGITS]}"
    present = store.datasets.find_by_digest(parent, content.digest)
    if present is not None:
        return _with_profiles(store, present, content)
    new = Dataset(
        key=0,
        uid=uuid.uuid4().hex,
        name=name,
        content=content,
        create_us=now,
        creator=creator,
    )
    if store.datasets.add(new):
        return new
    # Somebody else may have registered the same content a moment ago.
    present = store.datasets.find_by_digest(parent, content.digest)
    if present is None:
        raise already_exists(name, "it has another digest; choose another version_id")
    return _with_profiles(store, present, content)


def whole(store: TrackingStore, name: str) -> Dataset:
    """A dataset version with the profiles of its columns.

    Raises:
        StudbookError: NOT_FOUND.
    """
    return store.datasets.with_profiles(found(store.datasets.find(name), name))


def _with_profiles(store: TrackingStore, present: Dataset, content: DatasetContent) -> Dataset:
    known = store.datasets.with_profiles(present)
    # Which columns there are is not hashed by every form; profiles belong to those that are there.
    same_columns = content.columns == known.content.columns
    if content.profiles and not known.content.profiles and same_columns:
        store.datasets.add_profiles(present.key, content.profiles)
        return store.datasets.with_profiles(present)
    return known
