"""The tables of requests for transitions and of their reviews."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from registry_service.store.actor_columns import read_actor
from registry_service.tables import actors
from registry_service.transition_request_records import (
    Decision,
    Ending,
    Review,
    TransitionRequest,
)
from registry_service.transition_request_tables import transition_requests, transition_reviews
from service_chassis.field_table import Field, FieldTable, Kind
from service_chassis.listing import list_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service_chassis.listing import PageRequest

FIELDS = FieldTable(
    {
        "version": Field(transition_requests.c.version, Kind.TEXT),
        "create_time": Field(transition_requests.c.create_us, Kind.TIMESTAMP),
        "ended": Field(transition_requests.c.end_us.is_not(None), Kind.BOOLEAN),
    },
    sortable=frozenset({"create_time"}),
)

_REQUESTS = sa.select(transition_requests, actors.c.principal_json).join_from(
    transition_requests, actors, actors.c.position == transition_requests.c.position
)
_REVIEWS = sa.select(transition_reviews, actors.c.principal_json).join_from(
    transition_reviews, actors, actors.c.position == transition_reviews.c.position
)


class TransitionRequestStore:
    """Reads and writes requests for transitions."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, model: str, position: int) -> TransitionRequest | None:
        """The request of a model that was made at a position of the ledger."""
        return self._one(
            _REQUESTS.where(
                transition_requests.c.model == model, transition_requests.c.position == position
            )
        )

    def open_of(self, version_uid: str) -> TransitionRequest | None:
        """The open request of a version."""
        return self._one(
            _REQUESTS.where(
                transition_requests.c.version_uid == version_uid,
                transition_requests.c.end_us.is_(None),
            )
        )

    def page(self, model_uid: str, page: PageRequest) -> tuple[list[TransitionRequest], str]:
        """One page of the requests of a model."""
        base = _REQUESTS.where(transition_requests.c.model_uid == model_uid)
        rows, token = list_page(
            self._connection, base, page, FIELDS, transition_requests.c.position
        )
        return self._records(rows), token

    def add(self, request: TransitionRequest, model_uid: str) -> None:
        """Store a new request."""
        self._connection.execute(
            transition_requests.insert().values(
                position=request.position,
                model_uid=model_uid,
                model=request.model,
                version_uid=request.version_uid,
                version=request.version,
                reason=request.reason,
                create_us=request.create_us,
            )
        )

    def end(self, request: TransitionRequest) -> None:
        """Store how a request ended."""
        self._connection.execute(
            transition_requests.update()
            .where(transition_requests.c.position == request.position)
            .values(ending=request.ending, end_us=request.end_us, end_position=request.end_position)
        )

    def add_review(self, request: TransitionRequest, review: Review) -> None:
        """Store a review."""
        self._connection.execute(
            transition_reviews.insert().values(
                position=review.position,
                request=request.position,
                decision=review.decision,
                comment=review.comment,
                reviewed_digest=review.reviewed_digest,
                groups=json.dumps(review.groups),
                create_us=review.create_us,
            )
        )

    def _one(self, query: sa.Select[Any]) -> TransitionRequest | None:
        return next(iter(self._records(self._connection.execute(query).all())), None)

    def _records(self, rows: Sequence[sa.Row[Any]]) -> list[TransitionRequest]:
        reviews = self._reviews([row.position for row in rows])
        return [_request(row, tuple(reviews[row.position])) for row in rows]

    def _reviews(self, requests: Sequence[int]) -> dict[int, list[Review]]:
        found: defaultdict[int, list[Review]] = defaultdict(list)
        statement = _REVIEWS.where(transition_reviews.c.request.in_(requests)).order_by(
            transition_reviews.c.position
        )
        for row in self._connection.execute(statement) if requests else ():
            found[row.request].append(_review(row))
        return found


def _request(row: sa.Row[Any], reviews: tuple[Review, ...]) -> TransitionRequest:
    return TransitionRequest(
        position=row.position,
        model=row.model,
        version_uid=row.version_uid,
        version=row.version,
        requester=read_actor(row.principal_json),
        reason=row.reason,
        create_us=row.create_us,
        every_review=reviews,
        ending=None if row.ending is None else Ending(row.ending),
        end_us=row.end_us,
        end_position=row.end_position or 0,
    )


def _review(row: sa.Row[Any]) -> Review:
    return Review(
        position=row.position,
        reviewer=read_actor(row.principal_json),
        groups=tuple(json.loads(row.groups)),
        decision=Decision(row.decision),
        comment=row.comment,
        reviewed_digest=row.reviewed_digest,
        create_us=row.create_us,
    )
