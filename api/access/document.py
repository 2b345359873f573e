"""The access part of the OpenAPI document: how to authenticate, each operation's scope, and the refusals."""

from typing import Any

from api.access.route_scopes import OPEN, ROUTE_SCOPES
from api.schemas.problem import problem_responses

_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`nsk_...`), or a token of the identity provider. Not needed by a service that "
        "listens on loopback without authentication.",
    },
}


def document_access(document: dict[str, Any]) -> None:
    """Adds access to the OpenAPI document, from the table of scopes, so that routes need not repeat it."""
    document["components"]["securitySchemes"] = _SCHEMES
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            route = (method.upper(), path)
            if route in OPEN:
                operation["security"] = []
                continue
            operation["security"] = [{"bearer": []}]
            scope = ROUTE_SCOPES.get(route)
            operation["x-scope"] = scope
            operation["description"] = f"{operation.get('description', '')}\n\nNeeds the scope `{scope}`."
            refusals = problem_responses(*([401, 403, 413, 429] if "requestBody" in operation else [401, 403, 429]))
            operation["responses"] |= {str(status): answer for status, answer in refusals.items()}
