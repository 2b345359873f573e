"""/keys, /audit and /me: who may use this service, what they changed, and who is asking."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Response

from api.dependencies import Audit, Caller, Cursor, GatekeeperOf, IdempotencyKey, Keys, Limit
from api.examples.access import AUDIT_ENTRY, CALLER, CREATED_KEY, KEY, KEY_REQUESTS
from api.examples.answers import answers, page_of
from api.schemas.json_body import strict_json
from api.schemas.problem import problem_responses
from service.config.access import KeyRequest
from service.views.access import AuditEntryView, CallerView, CreatedKey, KeyView
from service.views.base import Page

router = APIRouter(tags=["access"])
KeyId = Annotated[
    str, Path(pattern=r"^key-[0-9a-f]+$", max_length=100, description="The key's id.", examples=["key-5f0c1b1e90ab"])
]

WithMade = Annotated[
    bool, Query(description="Revoke the keys that it has made too, those that they have made, and so on.")
]


@router.post(
    "/keys",
    status_code=201,
    summary="Make an API key",
    responses=answers(201, CREATED_KEY, "Made") | problem_responses(400, 409, 415, 422),
)
def create_key(
    request: Annotated[KeyRequest, strict_json(KeyRequest), Body(openapi_examples=KEY_REQUESTS)],
    response: Response,
    keys: Keys,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> CreatedKey:
    """Draws a key of 256 random bits. It is in this answer only: the service keeps a hash. The same request with the
    same idempotency key is therefore a conflict, not another key."""
    created = keys.create_key(request, caller.subject, caller.projects, idempotency_key)
    response.headers["Location"] = f"/keys/{created.id}"
    response.headers["Cache-Control"] = "no-store"
    return created


@router.get("/keys", summary="List API keys", responses=answers(200, page_of(KEY), "One page") | problem_responses(422))
def list_keys(keys: Keys, limit: Limit = 50, cursor: Cursor = None) -> Page[KeyView]:
    """The keys of the caller's projects, newest first, revoked and expired ones too. Never the keys themselves."""
    return keys.list_keys(limit, cursor)


@router.delete(
    "/keys/{key_id}",
    summary="Revoke an API key",
    responses=answers(200, KEY, "Revoked") | problem_responses(404, 422),
)
def revoke_key(key_id: KeyId, keys: Keys, gatekeeper: GatekeeperOf, with_made: WithMade = False) -> KeyView:
    """From now on the key and all logins with it are refused; by other processes of this service from the next second
    on. Doing so again is no error. Keys that it has made stay good, unless `with_made` says otherwise."""
    revoked = keys.revoke_key(key_id, with_made)
    for key in revoked:
        gatekeeper.forget(key.id)
    return revoked[0]


@router.get(
    "/audit",
    summary="List changes",
    responses=answers(200, page_of(AUDIT_ENTRY), "One page") | problem_responses(422),
)
def list_audit(audit: Audit, limit: Limit = 50, cursor: Cursor = None) -> Page[AuditEntryView]:
    """Every change that an authenticated caller asked for, newest first: who, what, when, from where, and how it
    ended, refusals included. Admins of a project see what that project's callers did."""
    return audit.list_entries(limit, cursor)


@router.get("/me", summary="Who is asking?", responses=answers(200, CALLER, "The caller"))
def get_caller(caller: Caller) -> CallerView:
    """Whom the request's credential belongs to, and what it may do."""
    return CallerView(
        subject=caller.subject,
        kind=caller.kind,
        scope=caller.scope,
        projects=None if caller.projects is None else sorted(caller.projects),
    )
