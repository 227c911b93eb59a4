"""Attacks by a web page, the network and a local user: each is refused."""

import json
import re

import pytest
from lab_kit import ORIGIN, PORT, SLUG, Browser, config
from lab_runner import SLOW_RATE
from tests.in_time import ends_within

from tuneworthy.lab import security
from tuneworthy.lab.app import make_app, make_unguarded_app
from tuneworthy.lab.recordings import live_id
from tuneworthy.lab.security import Access

ID = "0123456789abcdef"
VALUES = {"slug": SLUG, "key": ID, "name": ID, "action": "stop", "name:path": "lab.css",
          "task": "support_tickets", "row": "0"}  # fmt: skip
# Every route of the lab. A new one fails the test below until it stands here, and then every
# attack of this file is tried on it.
ROUTES = {
    ("GET", "/"),
    ("GET", "/case/{slug}"),
    ("GET", "/blind/{key}"),
    ("GET", "/static/{name:path}"),
    ("GET", "/api/cases"),
    ("GET", "/api/cases/{slug}"),
    ("GET", "/api/records/{name}"),
    ("GET", "/api/runs/{name}/events"),
    ("POST", "/api/runs"),
    ("POST", "/api/runs/{name}/{action}"),
    ("POST", "/api/cases/{slug}/guess"),
    ("POST", "/api/cases/{slug}/cite"),
    ("POST", "/api/blind"),
    ("GET", "/studies"),
    ("GET", "/study/{key}"),
    ("GET", "/study/{key}/run"),
    ("GET", "/study/{key}/settle"),
    ("GET", "/check"),
    ("GET", "/kinds"),
    ("GET", "/atlas"),
    ("GET", "/atlas/{key}"),
    ("GET", "/api/studies/{key}/settle"),
    ("POST", "/api/studies/{key}/settle/open"),
    ("POST", "/api/studies/{key}/settle/vote"),
    ("POST", "/api/studies/{key}/settle/finish"),
    ("POST", "/api/check"),
    ("GET", "/playground"),
    ("GET", "/guess"),
    ("GET", "/plan"),
    ("GET", "/demo/{name}"),
    ("GET", "/advice"),
    ("GET", "/experiments"),
    ("GET", "/findings"),
    ("POST", "/api/play"),
    ("POST", "/api/play/open"),
    ("GET", "/api/play/{task}/{row}"),
    ("POST", "/api/strength"),
}
FILLED = sorted(
    (method, re.sub(r"{([^}]+)}", lambda m: VALUES[m[1]], path)) for method, path in ROUTES
)
ADDRESSES = sorted({path for _, path in FILLED} | {"/launch", "/docs", "/openapi.json", "/nothing"})
BODY = {"content-type": "application/json", "origin": ORIGIN}


@pytest.fixture
def stranger(lab):
    """A client on this machine that has not opened the launch address."""
    with Browser(make_app(lab), lab, launch=False) as client:
        yield client


def ask(client, method, path, **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if method == "POST":
        sent = {"x-csrf-token": client.lab.access.csrf, **BODY, **sent}
        return client.request(method, path, content=b"{}", headers=sent)
    return client.request(method, path, headers=sent)


def listed(routes):
    """Yield method and path of each route; a mount, or a route without methods, is an error."""
    for route in routes:
        if hasattr(route, "original_router"):  # what `include_router` adds since FastAPI 0.137
            yield from listed(route.original_router.routes)
        else:
            yield from ((method, route.path) for method in route.methods)


def nothing_happened(lab):
    assert lab.jobs._jobs == {}
    assert lab.open_settling._process is None
    assert not (lab.folder / "blind.jsonl").exists()


def test_p26_the_routes_are_these(lab):
    assert set(listed(make_unguarded_app(lab).routes)) == ROUTES


@pytest.mark.parametrize(("method", "path"), FILLED)
def test_a1_nothing_answers_without_the_token(stranger, lab, method, path):
    for headers in (
        {},
        {"cookie": f"{lab.access.cookie}=wrong"},
        {"cookie": "; ".join(["a=b", f"{lab.access.cookie}="])},
        {"cookie": f"tuneworthy_lab_{PORT + 1}={lab.access.secret}"},
        {"authorization": "Bearer wrong"},
        {"authorization": lab.access.secret},
        {"authorization": f"Basic {lab.access.secret}"},
    ):
        reply = ask(stranger, method, path, **headers)
        assert reply.status_code == 401, headers
        assert "set-cookie" not in reply.headers
        assert lab.access.secret not in reply.text
    nothing_happened(lab)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"])
def test_a2_other_methods_are_refused(browser, lab, method):
    for path in ADDRESSES:
        reply = ask(browser, method, path)
        assert reply.status_code == 405, path
        assert "access-control-allow-origin" not in reply.headers
    nothing_happened(lab)


FOREIGN_HOSTS = [
    "evil.com", "localhost.evil.com", f"127.0.0.1.evil.com:{PORT}", "", "127.0.0.1",
    f"evil.com:{PORT}", f"localhost.evil.com:{PORT}", "127.0.0.1:81", f"LOCALHOST.:{PORT}",
    f"user@127.0.0.1:{PORT}", f"127.0.0.1:{PORT}:80", f"127.1:{PORT}", f"[::2]:{PORT}",
    f"0.0.0.0:{PORT}", f"127.0.0.1:0{PORT}",
]  # fmt: skip


def test_a3_a4_a_foreign_host_is_refused_even_with_the_cookie(browser, lab):
    for host in FOREIGN_HOSTS:
        for method, path in FILLED:
            assert ask(browser, method, path, host=host).status_code == 400, path
    nothing_happened(lab)


def test_a3_two_hosts_and_absolute_addresses_are_refused(browser):
    two = [("host", f"127.0.0.1:{PORT}"), ("host", "evil.com")]
    assert browser.get("/", headers=two).status_code == 400
    for path in ("//evil.com/", "/http://evil.com/", "/a//b"):
        assert browser.get(f"{ORIGIN}{path}").status_code == 400


def test_the_names_of_this_machine_are_good(browser, lab):
    cookie = f"{lab.access.cookie}={lab.access.secret}"
    for host in ("127.0.0.1", "localhost", "[::1]"):
        headers = {"host": f"{host}:{PORT}", "cookie": cookie}
        assert browser.get("/", headers=headers).status_code == 200


FOREIGN_ORIGINS = [
    "null", "http://localhost.evil.com", f"http://127.0.0.1:{PORT + 1}", f"{ORIGIN}.",
    ORIGIN.upper(), f"{ORIGIN}/", f"https://127.0.0.1:{PORT}", "http://127.0.0.1", "",
    f"http://127.0.0.1:{PORT}@evil.com", "file://",
]  # fmt: skip


def test_a5_a9_a_foreign_origin_is_refused_on_streams_too(browser, lab):
    for origin in FOREIGN_ORIGINS:
        for method, path in FILLED:
            assert ask(browser, method, path, origin=origin).status_code == 403, path
    nothing_happened(lab)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "Same-Origin"])
def test_what_another_page_causes_is_refused(browser, lab, site):
    for method, path in FILLED:
        assert ask(browser, method, path, sec_fetch_site=site).status_code == 403
    nothing_happened(lab)


STARTS = [
    "/static/", "/case/", "/blind/", "/study/", f"/study/{ID}/",
    "/api/records/", "/api/cases/", "/api/studies/",
]  # fmt: skip
POSTS = [path for method, path in FILLED if method == "POST"]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"content_type": "multipart/form-data; boundary=a"}, 415),
        ({"content_type": "application/jsonp"}, 415),
        ({"content_type": ""}, 415),
        ({"x_csrf_token": None}, 403),
        ({"x_csrf_token": "1"}, 403),
        ({"origin": None}, 403),
        ({"content_encoding": "gzip"}, 415),
    ],
)
def test_a6_a22_a_change_is_json_with_the_pages_token(browser, lab, changed, status):
    for path in POSTS:
        assert browser.change(path, {}, **changed).status_code == status, path
    nothing_happened(lab)


def test_a7_no_header_and_no_field_changes_the_method(browser, lab):
    for name in ("x-http-method-override", "x-http-method", "x-method-override"):
        reply = browser.get("/api/blind", headers={name: "POST"})
        assert reply.status_code in (404, 405)
    assert browser.get("/api/runs?_method=POST").status_code in (404, 405)
    nothing_happened(lab)


def test_a8_no_websocket_is_opened(browser):
    from starlette.websockets import WebSocketDisconnect

    for path in ("/", f"/api/runs/{ID}/events"):
        with pytest.raises(WebSocketDisconnect), browser.websocket_connect(path):
            pass


def test_a10_no_address_that_is_opened_starts_anything(browser, lab):
    query = f"case={SLUG}&q=1&study=x&base_url=http://evil.com&token=x&_method=POST"
    for path in ADDRESSES:
        browser.get(f"{path}?{query}")
    nothing_happened(lab)


def test_a11_a29_every_reply_has_the_headers(browser, stranger):
    replies = [browser.get(path) for path in ADDRESSES]
    replies += [browser.change(path) for path in POSTS]
    replies += [stranger.get("/"), browser.get("/", headers={"host": "evil.com"})]
    for reply in replies:
        assert reply.headers["content-security-policy"] == security.POLICY
        assert "unsafe" not in security.POLICY
        assert "frame-ancestors 'none'" in security.POLICY
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cross-origin-opener-policy"] == "same-origin"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert reply.headers.get_list("cache-control") == ["no-store"]
        assert "access-control-allow-origin" not in reply.headers


def test_a12_a14_a_launch_address_gives_our_secret_and_nothing_else(stranger, lab):
    address = lab.access.launch_url().removeprefix(ORIGIN)
    planted = {"cookie": f"{lab.access.cookie}=chosen-by-an-attacker"}
    reply = stranger.get(address, headers=planted)
    assert reply.status_code == 200
    cookie = reply.headers["set-cookie"]
    assert cookie.startswith(f"{lab.access.cookie}={lab.access.secret};")
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "domain" not in cookie.lower()
    stranger.cookies.clear()
    assert stranger.get("/").status_code == 401
    both = {"cookie": f"{lab.access.cookie}=planted; {lab.access.cookie}={lab.access.secret}"}
    assert stranger.get("/", headers=both).status_code == 200, "a planted cookie hides ours"


def test_a12_the_terminals_address_opens_the_lab_again_on_this_machine(stranger, lab):
    address = lab.access.launch_url().removeprefix(ORIGIN)
    refused = stranger.get("/", headers={"accept": "text/html"})
    assert refused.status_code == 401
    assert "open the address that it printed" in refused.text
    for _ in range(3):
        stranger.cookies.clear()
        reply = stranger.get(address)
        assert (reply.status_code, stranger.get("/").status_code) == (200, 200)
        assert reply.headers["content-security-policy"] == security.POLICY
        assert reply.headers["referrer-policy"] == "no-referrer"
    again = Access(PORT)
    assert not again.redeem(address.partition("token=")[2], near=True), "not after a restart"


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", ""])
def test_a12_another_machine_opens_an_address_once_at_most(lab, host):
    with Browser(make_app(lab), lab, launch=False, host=host) as far:
        address = lab.access.launch_url().removeprefix(ORIGIN)
        assert far.get(address).status_code == 200
        far.cookies.clear()
        again = far.get(address)
        assert again.status_code == 401
        assert "set-cookie" not in again.headers
        with Browser(make_app(lab), lab, launch=False) as near:
            assert near.get(address).status_code == 200
        assert far.get(address).status_code == 401


@pytest.mark.parametrize("query", ["", "?token=", "?token=a&token=b", "?token=%00", "?other=1",
                                   "?token[]=1", "?token=" + "a" * 5000])  # fmt: skip
def test_a_wrong_launch_address_is_refused(stranger, query):
    reply = stranger.get(f"/launch{query}")
    assert reply.status_code == 401
    assert stranger.post("/launch").status_code in (401, 405)


def test_a13_no_token_in_log_reply_or_referer(stranger, lab, said):
    address = lab.access.launch_url()
    token = address.partition("token=")[2]
    opened = stranger.get(address.removeprefix(ORIGIN))
    stranger.get(f"{address.removeprefix(ORIGIN)}x")
    stranger.get(f"/nothing?token={token}")
    page = stranger.get("/")
    assert token not in opened.text + page.text + str(page.headers)
    assert lab.access.secret not in opened.text + page.text + str(page.headers)
    assert opened.headers["referrer-policy"] == "no-referrer"
    assert said
    assert not any(token in line or lab.access.secret in line for line in said)


def test_a15_guesses_are_refused_without_locking_the_visitor_out(browser, stranger, said):
    with ends_within(20):
        for number in range(100):
            guess = {"cookie": f"{browser.lab.access.cookie}={number:043d}"}
            assert stranger.get("/api/cases", headers=guess).status_code == 401
    assert browser.get("/api/cases").status_code == 200
    assert len(said) == 1, "a flood fills no log"


def test_a15_tokens_have_256_bits_and_are_compared_in_constant_time(monkeypatch):
    access = Access(PORT)
    assert len(access.secret) >= 43
    assert len({Access(PORT).secret for _ in range(50)}) == 50
    compared = []
    from tuneworthy.lab import security as module

    monkeypatch.setattr(module.hmac, "compare_digest", lambda a, b: compared.append(a) or a == b)
    access.is_session("x"), access.redeem("x", True), access.is_csrf("x")
    access.launch_url(), access.redeem("y", True)
    assert len(compared) == 3


def test_a16_forwarded_headers_change_nothing(stranger, browser):
    spoof = {"x-forwarded-host": "evil.com", "x-forwarded-proto": "https",
             "x-forwarded-for": "127.0.0.1", "forwarded": "host=evil.com"}  # fmt: skip
    assert stranger.get("/", headers=spoof).status_code == 401
    assert "evil.com" not in browser.get("/", headers=spoof).text
    trusted = {**spoof, "host": "evil.com", "x-forwarded-host": f"127.0.0.1:{PORT}"}
    assert browser.get("/", headers=trusted).status_code == 400


def test_a20_long_headers_and_addresses_are_refused(browser):
    assert browser.get("/", headers={"x-long": "a" * (1 << 20)}).status_code == 431
    many = {f"x-{number}": "value" for number in range(2000)}
    assert browser.get("/", headers=many).status_code == 431
    assert browser.get("/?" + "&".join(f"q{n}=1" for n in range(7_000))).status_code == 414
    assert browser.get("/case/" + "a" * 9000).status_code == 414


ODD_BODIES = [
    b"[" * 100_000, b'{"a":' * 100_000, b'{"config":' + b'{"a":' * 70 + b"1" + b"}" * 71,
    b'{"seed": NaN}', b'{"seed": Infinity}', b'{"seed": -Infinity}', b'{"seed": 1e999}',
    b'{"seed": ' + b"9" * 5000 + b"}", b'{"case": "a", "case": "b"}',
    b'{"case": "\\ud800"}', b'{"case": "\xff"}', b'{"case": "a"', b"", b"null", b"[]", b"1",
    json.dumps({f"k{n}": 1 for n in range(1001)}).encode(), b"\xff\xfe{\x00}\x00",
    b'\xef\xbb\xbf{"case": "never-stops"}', b"{'case': 1}", b'{"case": "a"} x',
]  # fmt: skip


def test_a21_odd_json_is_refused(browser, lab):
    for body in ODD_BODIES:
        reply = browser.change("/api/runs", body)
        assert reply.status_code in (400, 422), body[:30]
        assert reply.json()["what"]
    nothing_happened(lab)


def test_a_body_of_more_than_10_mb_is_refused(browser, lab):
    big = json.dumps({"case": "a" * (11 << 20)}).encode()
    assert browser.change("/api/runs", big).status_code == 413
    assert browser.change("/api/runs", b"{}", content_length="1" * 400).status_code == 413
    nothing_happened(lab)


def test_two_lengths_of_a_body_are_refused(browser):
    headers = {"transfer_encoding": "chunked", "content_length": "2"}
    assert browser.change("/api/blind", b"{}", **headers).status_code == 400


ODD_NAMES = [
    "..%2f..%2fetc%2fpasswd", "%252e%252e/x", "..\\x", "%5c..%5cx", "%c0%ae%c0%ae/x",
    "....//x", "a%00b", "c:/x", "%5c%5chost%5cshare", "file:///etc/passwd", "../x", "./../x",
    "session.json", "lock", "../session.json", ".env", "pages.py", "CON", "-rf", "a" * 300,
    "%E2%80%AEx", "a%0ab", "~/x", "static", "",
]  # fmt: skip


@pytest.mark.parametrize("start", STARTS)
def test_a24_to_a28_no_name_leaves_its_folder(browser, lab, start):
    for name in ODD_NAMES:
        reply = browser.get(f"{start}{name}")
        assert reply.status_code in (400, 404), name
        assert lab.access.secret not in reply.text
        assert "root:" not in reply.text


@pytest.mark.parametrize("start", STARTS)
def test_a24_a_name_that_may_be_a_path_is_refused_before_any_route(browser, start):
    for name in ("..\\x", "%2e%2e%2fx", "%252e%252e%252fx", "a%5cb", "..;/x", "a//b"):
        assert browser.get(f"{start}{name}").status_code == 400, name


def test_a24_a25_a_check_takes_ids_of_the_launch_list_and_no_path(browser, lab, tmp_path):
    (tmp_path / "trainer_state.json").write_text("{}")
    paths = [str(tmp_path), ".", "..", "/", "/etc", "file:///etc/passwd", "outputs/", *ODD_NAMES]
    for path in paths:
        reply = browser.change("/api/check", {"folder": path})
        assert reply.status_code in (404, 422), path
        assert "root:" not in reply.text
    for body in ({}, {"folder": 1}, {"folder": ["a"]}, {"folder": None}, {"folder": "a" * 65},
                 {"folder": ID, "data": "/etc/passwd"}):  # fmt: skip
        assert browser.change("/api/check", body).status_code == 422, body
    nothing_happened(lab)


def test_a27_nothing_is_deleted(browser):
    for path in ADDRESSES:
        assert browser.delete(f"{path}/..%2f..").status_code == 405


def test_a23_no_header_is_copied_into_a_reply(browser):
    odd = {"x-original-url": "/api/cases", "x-rewrite-url": "/x", "accept-language": "<script>"}
    plain, sent = browser.get("/"), browser.get("/", headers=odd)
    assert sent.text == plain.text
    assert "script>" not in str(sent.headers)


def test_bearer_lets_a_program_in_without_a_page(stranger, lab):
    headers = {"authorization": f"Bearer {lab.access.secret}"}
    assert stranger.get("/api/cases", headers=headers).status_code == 200
    headers["content-type"] = "application/json"
    reply = stranger.post("/api/blind", content=b"{}", headers=headers)
    assert reply.status_code == 200
    reply = stranger.post(
        "/api/blind", content=b"{}", headers={**headers, "origin": "http://evil.com"}
    )
    assert reply.status_code == 403


ODD_TEXTS = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</script>", "<!--",
    "<svg/onload=alert(1)>", "javascript:alert(1)", "data:text/html,x", "url(//evil.com)",
    "\u2028", "\ufeff", "\x00", "\u202e", "\u200b", "![](http://evil.com/x.png)",
    "\x1b]8;;http://evil.com\x07", "a\nrefused (200): forged", "[link=x]", "' OR 1=1 --",
    "{0.__class__}", "%n%n", "__proto__", "GRADE: C", "<|im_start|>system",
]  # fmt: skip


def test_a60_to_a68_text_of_a_request_stays_text(browser, lab, said):
    for text in ODD_TEXTS:
        bodies = [
            ("/api/runs", {"case": text, "config": {}}),
            ("/api/runs", {"case": SLUG, "config": {text: 1}}),
            ("/api/runs", {"case": SLUG, "config": {"pad_token": text}}),
            (f"/api/cases/{SLUG}/guess", {"cause": text, "sure": 1}),
            (f"/api/cases/{SLUG}/cite", {"measure": text}),
            ("/api/runs", {"case": SLUG, text: 1}),
            ("/api/check", {"folder": text}),
            (f"/api/studies/{ID}/settle/vote", {"pair": text, "choice": "left"}),
            (f"/api/studies/{ID}/settle/vote", {"pair": ID, "choice": text}),
            (f"/api/studies/{ID}/settle/open", {text: 1}),
            ("/api/check", {"folder": "0" * 16, text: 1}),
        ]
        for path, body in bodies:
            reply = browser.change(path, body)
            assert reply.status_code in (404, 422), (path, body)
            assert reply.headers["content-type"] == "application/json"
            assert reply.text.isprintable() or "\\u" in reply.text
            for field in reply.json().values():
                assert "\x1b" not in str(field)
                assert "\n" not in str(field)
        assert not any("\n" in line or "\x1b" in line for line in said)
    nothing_happened(lab)


def test_a60_a_name_in_an_address_is_escaped_on_the_error_page(browser):
    reply = browser.get("/case/never", headers={"accept": "text/html"})
    assert reply.status_code == 404
    assert "never-stops" in reply.text
    assert reply.headers["content-type"].startswith("text/html")
    odd = browser.get("/case/<script>alert(1)</script>", headers={"accept": "text/html"})
    assert odd.status_code == 400
    assert "<script>alert" not in odd.text


def test_an_unknown_address_says_so_in_the_form_that_was_asked(browser):
    assert browser.get("/nothing").json()["fix"]
    page = browser.get("/nothing", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["content-type"][:9]) == (404, "text/html")
    assert browser.get("/api/nothing", headers={"accept": "text/html"}).json()["status"] == 404


def test_an_error_of_ours_tells_the_client_nothing(browser, monkeypatch, said):
    from tuneworthy.lab.routes import page_routes

    def broken(*given):
        raise RuntimeError("secret of another request\n\x1b[31m")

    monkeypatch.setattr(page_routes.pages, "home_page", broken)
    reply = browser.get("/", headers={"accept": "text/html"})
    assert reply.status_code == 500
    assert "secret" not in reply.text
    assert reply.headers["content-security-policy"] == security.POLICY
    assert said == ["a request failed: RuntimeError: secret of another request\\n\\x1b[31m"]


def test_a_run_that_goes_on_is_not_reached_from_elsewhere(browser, stranger, lab):
    name = browser.change("/api/runs", {"case": SLUG, "config": {"rate": SLOW_RATE}}).json()["id"]
    assert name == live_id(SLUG, config(rate=SLOW_RATE), 0)
    assert ask(stranger, "POST", f"/api/runs/{name}/stop").status_code == 401
    assert browser.change(f"/api/runs/{name}/stop", origin="http://evil.com").status_code == 403
    assert lab.jobs._jobs[name].state in ("waiting", "running")
    assert browser.change(f"/api/runs/{name}/stop").json()["state"] in ("stopping", "stopped")


def test_p32_no_variable_makes_the_server_send_traces(lab, monkeypatch):
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    app = make_unguarded_app(lab)
    if native := getattr(app, "_native_telemetry", None):
        assert not native.enabled()
