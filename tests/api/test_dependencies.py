"""Routes receive the parts of the services that they name."""

import asyncio
from typing import Annotated, Any, get_args, get_origin

import pytest
from fastapi import FastAPI, Request

from api import dependencies

PARTS = {
    name: alias
    for name, alias in vars(dependencies).items()
    if get_origin(alias) is Annotated and name != "Caller" and hasattr(alias.__metadata__[0], "dependency")
}


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_route_is_handed_what_its_parameter_is_declared_as(app: FastAPI, name: str) -> None:
    declared, dependency = get_args(PARTS[name])

    async def ask() -> Any:
        return await dependency.dependency(Request({"type": "http", "app": app}))

    assert isinstance(asyncio.run(ask()), declared)


def test_every_part_is_tried() -> None:
    assert {"Commands", "Queries", "RaySettingsOf"} <= PARTS.keys()
