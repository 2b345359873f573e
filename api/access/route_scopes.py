"""Who may use which route. A route that is not listed here is refused to everyone.

One table holds the whole policy, so that it can be read at a glance.
"""

import re
from collections.abc import Mapping

from starlette.routing import compile_path

from service.config.access import Scope

_VIEWER, _OPERATOR, _ADMIN = Scope.VIEWER, Scope.OPERATOR, Scope.ADMIN

OPEN = frozenset({("GET", "/healthz"), ("POST", "/ui/login"), ("GET", "/ui/enter")})
"""Routes that need no credential: liveness, the login form, and links that are credentials themselves."""

ROUTE_SCOPES: Mapping[tuple[str, str], Scope] = {
    ("POST", "/datasets"): _OPERATOR,
    ("POST", "/datasets/look"): _OPERATOR,
    ("GET", "/datasets"): _VIEWER,
    ("GET", "/datasets/{dataset_id}"): _VIEWER,
    ("POST", "/datasets/{dataset_id}/versions"): _OPERATOR,
    ("GET", "/datasets/{dataset_id}/versions"): _VIEWER,
    ("GET", "/presets"): _VIEWER,
    ("POST", "/runs"): _OPERATOR,
    ("GET", "/runs"): _VIEWER,
    ("GET", "/runs/{run_id}"): _VIEWER,
    ("POST", "/runs/{run_id}/cancel"): _OPERATOR,
    ("POST", "/runs/{run_id}/retry"): _OPERATOR,
    ("POST", "/runs/{run_id}/pause"): _OPERATOR,
    ("POST", "/runs/{run_id}/resume"): _OPERATOR,
    ("PATCH", "/runs/{run_id}"): _OPERATOR,
    ("GET", "/runs/{run_id}/events"): _VIEWER,
    ("POST", "/runs/{run_id}/generations"): _OPERATOR,
    ("GET", "/runs/{run_id}/generations"): _VIEWER,
    ("GET", "/runs/{run_id}/generations/{generation}"): _VIEWER,
    ("GET", "/runs/{run_id}/stages"): _VIEWER,
    ("GET", "/runs/{run_id}/generations/{generation}/stages/{stage}"): _VIEWER,
    ("GET", "/runs/{run_id}/generations/{generation}/stages/{stage}/attempts"): _VIEWER,
    ("GET", "/runs/{run_id}/generations/{generation}/stages/{stage}/attempts/{attempt}"): _VIEWER,
    ("GET", "/runs/{run_id}/generations/{generation}/stages/{stage}/metrics"): _VIEWER,
    ("GET", "/runs/{run_id}/generations/{generation}/stages/{stage}/confusion"): _VIEWER,
    ("GET", "/runs/{run_id}/generations/{generation}/stages/search/trials"): _VIEWER,
    ("GET", "/runs/{run_id}/generations/{generation}/stages/{stage}/pictures/{name}"): _VIEWER,
    ("GET", "/runs/{run_id}/generations/{generation}/stages/{stage}/logs"): _VIEWER,
    ("GET", "/runs/{run_id}/generations/{generation}/labels"): _VIEWER,
    ("GET", "/runs/{run_id}/generations/{generation}/labels/{shard}/{row}/picture"): _VIEWER,
    ("PUT", "/runs/{run_id}/generations/{generation}/labels/{shard}/{row}/mark"): _OPERATOR,
    ("DELETE", "/runs/{run_id}/generations/{generation}/labels/{shard}/{row}/mark"): _OPERATOR,
    ("GET", "/runs/{run_id}/marks"): _VIEWER,
    ("GET", "/runs/{run_id}/marks/export"): _VIEWER,
    ("DELETE", "/runs/{run_id}/marks/{content_hash}"): _OPERATOR,
    ("GET", "/runs/{run_id}/generations/{generation}/labels/source"): _VIEWER,
    ("GET", "/runs/{run_id}/generations/{generation}/labels/export"): _VIEWER,
    ("POST", "/searches"): _OPERATOR,
    ("GET", "/searches"): _VIEWER,
    ("GET", "/searches/{search_id}"): _VIEWER,
    ("POST", "/runs/{run_id}/ablations"): _OPERATOR,
    ("GET", "/runs/{run_id}/ablations"): _VIEWER,
    ("GET", "/ablations/{ablation_id}"): _VIEWER,
    ("POST", "/plans"): _OPERATOR,
    ("GET", "/plans"): _VIEWER,
    ("GET", "/plans/{plan_id}"): _VIEWER,
    ("POST", "/predictions"): _OPERATOR,
    ("GET", "/predictions"): _VIEWER,
    ("GET", "/predictions/{prediction_id}"): _VIEWER,
    ("GET", "/predictions/{prediction_id}/download"): _VIEWER,
    ("POST", "/models"): _OPERATOR,
    ("GET", "/models"): _VIEWER,
    ("GET", "/registrations"): _VIEWER,
    ("GET", "/registrations/{registration_id}"): _VIEWER,
    ("GET", "/models/{model_id}"): _VIEWER,
    ("GET", "/models/{model_id}/download"): _VIEWER,
    ("GET", "/queue"): _VIEWER,
    ("GET", "/projects"): _VIEWER,
    ("GET", "/projects/{name}"): _VIEWER,
    ("PUT", "/projects/{name}/quota"): _ADMIN,
    ("GET", "/models/{model_id}/lineage"): _VIEWER,
    ("PUT", "/models/{model_id}/keep"): _OPERATOR,
    ("DELETE", "/models/{model_id}/keep"): _OPERATOR,
    ("GET", "/retention/plan"): _VIEWER,
    ("POST", "/retention/apply"): _ADMIN,
    ("GET", "/events/stream"): _VIEWER,
    ("GET", "/runs/{run_id}/events/stream"): _VIEWER,
    ("POST", "/webhooks"): _ADMIN,
    ("GET", "/webhooks"): _ADMIN,
    ("GET", "/webhooks/{webhook_id}"): _ADMIN,
    ("DELETE", "/webhooks/{webhook_id}"): _ADMIN,
    ("GET", "/webhooks/{webhook_id}/deliveries"): _ADMIN,
    ("POST", "/webhooks/{webhook_id}/deliveries/{event_id}/retry"): _ADMIN,
    ("POST", "/keys"): _ADMIN,
    ("GET", "/keys"): _ADMIN,
    ("DELETE", "/keys/{key_id}"): _ADMIN,
    ("GET", "/audit"): _ADMIN,
    ("GET", "/me"): _VIEWER,
    ("GET", "/settings"): _ADMIN,
    ("GET", "/readyz"): _VIEWER,
    ("GET", "/"): _VIEWER,
    ("GET", "/ui/runs/{run_id}"): _VIEWER,
    ("GET", "/ui/runs/{run_id}/generations/{generation}/stages/{stage}/attempts/{attempt}/job"): _VIEWER,
    ("GET", "/ui/runs/{run_id}/generations/{generation}/review"): _VIEWER,
    ("GET", "/ui/static/{file:path}"): _VIEWER,
    ("GET", "/ui/swagger/{file:path}"): _VIEWER,
    ("POST", "/ui/logout"): _VIEWER,
    ("POST", "/ui/links"): _VIEWER,
    ("GET", "/docs"): _VIEWER,
    ("GET", "/openapi.json"): _VIEWER,
    ("GET", "/ray"): _VIEWER,
    ("GET", "/ray/{path:path}"): _VIEWER,
}


class Undeclared(Exception):
    """The route does not exist, or the table does not say who may use it. `methods` are those declared for its path."""

    def __init__(self, methods: frozenset[str]) -> None:
        super().__init__()
        self.methods = methods


class RoutePolicy:
    """Finds the scope that a request needs. It matches paths itself, so no router can hide a route from it."""

    def __init__(self, scopes: Mapping[tuple[str, str], Scope], open_routes: frozenset[tuple[str, str]]) -> None:
        self._declared: list[tuple[re.Pattern[str], str, Scope | None]] = [
            (compile_path(path)[0], method, scopes.get((method, path))) for method, path in [*scopes, *open_routes]
        ]
        paths = dict.fromkeys(path for _, path in [*scopes, *open_routes])
        self._templates = [(compile_path(path)[0], path) for path in paths]

    def template_of(self, path: str) -> str | None:
        """The template that the path matches, whatever the method; None if there is no such route."""
        return next((template for pattern, template in self._templates if pattern.match(path)), None)

    def needed_scope(self, method: str, path: str) -> Scope | None:
        """The largest scope of all matching routes; None if they are open. Raises Undeclared if none matches."""
        fitting = [(declared, scope) for pattern, declared, scope in self._declared if pattern.match(path)]
        asked = "GET" if method == "HEAD" else method
        scopes = [scope for declared, scope in fitting if declared == asked]
        if not scopes:
            raise Undeclared(frozenset(declared for declared, _ in fitting))
        needed = [scope for scope in scopes if scope is not None]
        return max(needed, key=list(Scope).index) if needed else None


POLICY = RoutePolicy(ROUTE_SCOPES, OPEN)
