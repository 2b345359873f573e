"""/keys, /audit, /me and /settings: callers' keys, the log of their changes, the current caller, the settings."""

from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Response

from api.dependencies import Audit, Caller, Cursor, GatekeeperOf, IdempotencyKey, Keys, Limit, SettingsOf
from api.examples.access import AUDIT_ENTRY, CALLER, CREATED_KEY, KEY, KEY_REQUESTS, SETTINGS
from api.examples.answers import answers, page_of
from api.schemas.json_body import strict_json
from api.schemas.problem import problem_responses
from service.config.access import KeyRequest
from service.config.settings.shown import shown_settings
from service.errors import Forbidden
from service.settings import Settings, free_bytes
from service.views.access import AuditEntryView, CallerView, CreatedKey, KeyView
from service.views.base import Page
from service.views.health import ServiceSettings, SettingView

router = APIRouter(tags=["access"])
KeyId = Annotated[
    str, Path(pattern=r"^key-[0-9a-f]+$", max_length=100, description="The key's id.", examples=["key-5f0c1b1e90ab"])
]

WithMade = Annotated[
    bool, Query(description="Also revoke the keys that it created, those that they created, and so on.")
]


@router.post(
    "/keys",
    status_code=201,
    summary="Create an API key",
    responses=answers(201, CREATED_KEY, "Made") | problem_responses(400, 409, 415, 422),
)
def create_key(
    request: Annotated[KeyRequest, strict_json(KeyRequest), Body(openapi_examples=KEY_REQUESTS)],
    response: Response,
    keys: Keys,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> CreatedKey:
    """Creates a key of 256 random bits. Only this response contains it; the service keeps a hash. Repeating the request
    with the same idempotency key is therefore a conflict and creates no other key."""
    created = keys.create_key(request, caller.subject, caller.projects, idempotency_key)
    response.headers["Location"] = f"/keys/{created.id}"
    response.headers["Cache-Control"] = "no-store"
    return created


@router.get("/keys", summary="List API keys", responses=answers(200, page_of(KEY), "One page") | problem_responses(422))
def list_keys(keys: Keys, limit: Limit = 50, cursor: Cursor = None) -> Page[KeyView]:
    """Lists the keys of the caller's projects without secrets, newest first, including revoked and expired ones."""
    return keys.list_keys(limit, cursor)


@router.delete(
    "/keys/{key_id}",
    summary="Revoke an API key",
    responses=answers(200, KEY, "Revoked") | problem_responses(404, 422),
)
def revoke_key(key_id: KeyId, keys: Keys, gatekeeper: GatekeeperOf, with_made: WithMade = False) -> KeyView:
    """Rejects the key and all logins with it from now on; other processes of this service do so within a second.
    Repeating the call is no error. Keys that it created stay valid unless `with_made` is set."""
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
    """Lists every change that an authenticated caller requested, newest first: who, what, when, from where, and with
    which outcome, including rejections. Admins of a project see what that project's callers did."""
    return audit.list_entries(limit, cursor)


@router.get("/me", summary="Show the current caller", responses=answers(200, CALLER, "The caller"))
def get_caller(caller: Caller) -> CallerView:
    """Returns the owner of the request's credential, and its rights."""
    return CallerView(
        subject=caller.subject,
        kind=caller.kind,
        scope=caller.scope,
        projects=None if caller.projects is None else sorted(caller.projects),
        service_version=version("noisy-student"),
    )


@router.get(
    "/settings",
    summary="Show the service's settings",
    responses=answers(200, SETTINGS, "The settings") | problem_responses(403),
)
def get_settings(caller: Caller, settings: SettingsOf) -> ServiceSettings:
    """Returns the settings that the service runs with, without secrets. Admins of single projects do not see them,
    because they name the places of other projects."""
    if caller.projects is not None:
        raise Forbidden("only a caller of all projects may see the service's settings")
    shown = shown_settings(settings, Settings.model_construct())
    return ServiceSettings(
        version=version("noisy-student"),
        home_free_bytes=free_bytes(settings.home),
        settings=[SettingView(name=name, value=value, is_default=is_default) for name, value, is_default in shown],
    )
