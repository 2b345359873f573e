"""The tables that belong to callers: projects, keys, web sessions, idempotency keys, the audit log and webhooks."""

from sqlalchemy import ForeignKey, Index, Text, column, literal_column
from sqlalchemy.orm import Mapped, mapped_column

from service.lifecycle.states import DeliveryState
from service.store.schema.columns import PlainText, one_of
from service.store.schema.tables import Table

_PENDING_DELIVERY = one_of(column("state"), [DeliveryState.PENDING])
_TIMED_DELIVERY = column("next_attempt_at").is_not(None)
REFUSED = column("status") >= literal_column("400")
"""The condition for refused requests in the audit log. It is a literal because neither database uses the partial index
for a condition with a parameter."""
_DELIVERED = one_of(column("state"), [DeliveryState.DELIVERED])


class ProjectRow(Table):
    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(primary_key=True)
    quota_device_hours: Mapped[float | None]
    """Null if the project has no limit."""
    spent_device_seconds: Mapped[float] = mapped_column(default=0.0)
    """What ended attempts have used; open attempts are not included."""


class ApiKeyRow(Table):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    """The part of the key's text by which the row is found."""
    secret_hash: Mapped[str]
    name: Mapped[str]
    scope: Mapped[str]
    project: Mapped[str | None]
    """Null if the key reaches every project."""
    created_at: Mapped[float]
    created_by: Mapped[str]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]

    __table_args__ = (Index(None, "created_at", "id"),)


class WebSessionRow(Table):
    """A login to the web page with a key."""

    __tablename__ = "web_sessions"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    expires_at: Mapped[float] = mapped_column(index=True)


class WebLinkRow(Table):
    """A link that opens one web session without the login form, once."""

    __tablename__ = "web_links"

    ticket_hash: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    expires_at: Mapped[float] = mapped_column(index=True)


class IdempotencyKeyRow(Table):
    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    """The hash of the kind of request and its body."""
    answer: Mapped[str] = mapped_column(Text)
    """The first answer, as JSON."""
    caller: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[float]


class AuditRow(Table):
    """One change that a caller requested. Triggers refuse to delete a recent row or to change one with a status."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[float]
    subject: Mapped[str]
    kind: Mapped[str]
    project: Mapped[str | None]
    """The caller's project, if it has exactly one."""
    target_project: Mapped[str | None]
    """The project of what the request changes, if it belongs to one."""
    address: Mapped[str]
    request_id: Mapped[str]
    method: Mapped[str]
    path: Mapped[str] = mapped_column(Text)
    status: Mapped[int | None]
    location: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index(None, "project", "id"),
        Index(None, "target_project", "id"),
        Index(None, "at"),
        Index("ix_audit_refused_at", "at", sqlite_where=REFUSED, postgresql_where=REFUSED),
    )


class WebhookRow(Table):
    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    kinds: Mapped[str | None] = mapped_column(Text)
    """JSON list of the event kinds that the webhook receives; null if it receives all."""
    secret: Mapped[str]
    created_at: Mapped[float]
    queued_event_id: Mapped[int]
    """All events up to this id are queued for the webhook."""
    lease_token: Mapped[str | None]
    """The token of the process that delivers to the webhook. Only one does at a time, which preserves the order."""
    lease_expires_at: Mapped[float | None]

    __table_args__ = (Index(None, "created_at", "id"),)


class WebhookDeliveryRow(Table):
    """One event for one webhook. The table is both the outbox and the log of deliveries."""

    __tablename__ = "webhook_deliveries"

    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id"), primary_key=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"), primary_key=True)
    run_id: Mapped[str | None]
    """The event's run. The events of a run are delivered in order."""
    state: Mapped[str]
    attempts: Mapped[int]
    next_attempt_at: Mapped[float | None]
    """Null if the delivery is delivered or dead, and while an earlier event of its run is pending."""
    last_attempt_at: Mapped[float | None]
    last_status: Mapped[int | None]
    """The HTTP status of the receiver's last answer."""
    last_error: Mapped[str | None] = mapped_column(PlainText)

    __table_args__ = (
        Index(None, "webhook_id", "state", "event_id"),
        Index(
            "ix_webhook_deliveries_due",
            "webhook_id",
            "next_attempt_at",
            "event_id",
            sqlite_where=_TIMED_DELIVERY,
            postgresql_where=_TIMED_DELIVERY,
        ),
        Index(
            "ix_webhook_deliveries_run_pending",
            "webhook_id",
            "run_id",
            "event_id",
            sqlite_where=_PENDING_DELIVERY,
            postgresql_where=_PENDING_DELIVERY,
        ),
        Index(
            "ix_webhook_deliveries_delivered",
            "last_attempt_at",
            sqlite_where=_DELIVERED,
            postgresql_where=_DELIVERED,
        ),
    )
