"""Pages are templates that escape every value, with a policy that lets nothing else run."""

import base64
import hashlib
import re

import jinja2
import pytest
from fastapi.testclient import TestClient

from api.access.login_page import login_page
from api.templates import render

NASTY = "<script>alert('x')</script>\"'&"


@pytest.mark.attack
def test_what_is_put_into_a_page_is_escaped() -> None:
    page = bytes(login_page("/ui/runs/x?a=\"'&<b>", NASTY).body).decode()
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&#34;&#39;&amp;" in page
    assert "<script" not in page
    assert 'value="/ui/runs/x?a=&#34;&#39;&amp;&lt;b&gt;"' in page


def test_a_complaint_is_shown_where_there_is_one() -> None:
    assert 'role="alert"' not in bytes(login_page("/").body).decode()


@pytest.mark.attack
def test_the_login_page_lets_in_its_style_by_its_hash_and_nothing_else() -> None:
    answer = login_page("/")
    [style] = re.findall("<style>(.*?)</style>", bytes(answer.body).decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "script-src" not in policy


@pytest.mark.attack
def test_the_only_inline_script_is_let_in_by_a_number_that_changes(client: TestClient) -> None:
    answers = [client.get("/docs") for _ in range(2)]
    nonces = [re.findall(r'<script nonce="([^"]+)">', answer.text) for answer in answers]
    assert [len(found) for found in nonces] == [1, 1]
    assert nonces[0] != nonces[1]
    for answer, [nonce] in zip(answers, nonces, strict=True):
        assert f"script-src 'nonce-{nonce}' 'self'" in answer.headers["Content-Security-Policy"]
        assert re.findall("<script[^>]*>", answer.text) == [
            '<script src="/ui/swagger/swagger-ui-bundle.js">',
            f'<script nonce="{nonce}">',
        ]


def test_a_value_that_is_not_given_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="target"):
        render("login.html", complaint="")
