"""Seals the secrets of all webhooks with the newest key: those stored in clear, and those sealed with an older key."""

import logging

from sqlalchemy import select, update

from service.store.database import Database
from service.store.migrate import forget_what_was_overwritten
from service.store.schema.caller_tables import WebhookRow
from service.webhooks.secret_box import SecretBox, UnreadableSecret

logger = logging.getLogger(__name__)


def seal_webhook_secrets(database: Database, box: SecretBox) -> int:
    """Seals all secrets with the newest key and returns how many it changed.

    It leaves a secret that no key opens as it is and logs an error. Several processes may run it at once.
    """
    sealed = _seal(database, box)
    if sealed:
        forget_what_was_overwritten(database)
    return sealed


def _seal(database: Database, box: SecretBox) -> int:
    sealed = 0
    with database.write() as session:
        for webhook_id, stored in session.execute(select(WebhookRow.id, WebhookRow.secret)).all():
            try:
                if box.is_fresh(stored):
                    continue
                fresh = box.seal(box.open(stored))
            except UnreadableSecret as error:
                logger.error("%s: its secret cannot be read, nothing can be sent to it: %s", webhook_id, error)
                continue
            session.execute(
                update(WebhookRow).where(WebhookRow.id == webhook_id, WebhookRow.secret == stored).values(secret=fresh)
            )
            sealed += 1
    return sealed
