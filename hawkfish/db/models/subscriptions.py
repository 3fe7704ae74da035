"""Tables of subscriptions to events, and of their deliveries. How far each is stands in `hf_event_sinks`."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hawkfish.db.base import Base, BigInt, Instant, Json, Name, Uuid36, UuidKey, Version, enum_by_value
from hawkfish.domain.subscriptions import DeliveryState, RetryPolicy, SubscriptionState, SubscriptionType


class SubscriptionRow(Base):
    """One subscription."""

    __tablename__ = "hf_subscriptions"
    __table_args__ = (
        CheckConstraint("(type = 'SSE') = (destination IS NULL)", "destination"),
        CheckConstraint("(type = 'SSE') = (listener IS NOT NULL)", "listener"),
        Index("ix_hf_subscriptions_owner_id", "owner_id"),
        Index("ix_hf_subscriptions_listener", "listener"),
    )

    id: Mapped[UuidKey]
    type: Mapped[SubscriptionType] = mapped_column(enum_by_value(SubscriptionType, "type"))
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("hf_users.id", ondelete="CASCADE"))
    created_by: Mapped[Name]
    created_at: Mapped[Instant]
    destination: Mapped[str | None] = mapped_column(Text)
    context: Mapped[str] = mapped_column(Text)
    interest: Mapped[Json]
    sealed_headers: Mapped[str | None] = mapped_column(Text)
    sealed_secret: Mapped[str | None] = mapped_column(Text)
    verify_certificate: Mapped[bool]
    retry_policy: Mapped[RetryPolicy] = mapped_column(enum_by_value(RetryPolicy, "retry_policy"))
    state: Mapped[SubscriptionState] = mapped_column(enum_by_value(SubscriptionState, "state"))
    listener: Mapped[Uuid36 | None]
    seen_at: Mapped[Instant | None]
    version: Mapped[Version]


class DeliveryRow(Base):
    """One delivery of events to a subscription."""

    __tablename__ = "hf_deliveries"
    __table_args__ = (
        CheckConstraint("first <= last", "places"),
        Index("ix_hf_deliveries_subscription_id_id", "subscription_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigInt, Identity(), primary_key=True)
    subscription_id: Mapped[str] = mapped_column(ForeignKey("hf_subscriptions.id", ondelete="CASCADE"))
    at: Mapped[Instant]
    first: Mapped[int] = mapped_column(BigInt)
    last: Mapped[int] = mapped_column(BigInt)
    events: Mapped[int]
    event_ids: Mapped[Json] = mapped_column(server_default="[]")
    state: Mapped[DeliveryState] = mapped_column(enum_by_value(DeliveryState, "state"))
    attempt: Mapped[int]
    redelivery: Mapped[bool]
    status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(512))
    milliseconds: Mapped[int | None]
