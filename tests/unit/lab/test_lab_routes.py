"""The lab over HTTP: pages, records, runs and their streams, blind runs, a second lab."""

import json
import threading

import pytest
from lab_kit import PORT, SLUG, Browser, clean, config, kinds, parsed, until
from lab_runner import SLOW_RATE, fake

from tuneworthy.lab import open_lab as open_lab_module
from tuneworthy.lab.app import make_app
from tuneworthy.lab.events import run_id, write_record
from tuneworthy.lab.open_lab import open_lab
from tuneworthy.lab.recordings import live_id
from tuneworthy.lab.routes import page_routes
from tuneworthy.records.failure import RunFacts


def start(browser, seed=0, **changed):
    return browser.change("/api/runs", {"case": SLUG, "config": changed, "seed": seed})


def record(lab, role):
    """Write the record of a planted or clean run, as a shipped one."""
    configs = {"plant": config(), "twin": clean()}
    name = run_id(SLUG, configs[role], 0)
    events = [
        {"kind": "begin", "id": name, "case": SLUG, "role": role, "config": configs[role],
         "seed": 0, "steps": 6, "rows": [], "questions": []},
        {"kind": "end", "state": "done", "because": None, "seconds": 30.0,
         "facts": RunFacts(steps=6, score=0.5).plain(), "checks": [{"what": "x"}],
         "finding": {"found": True, "value": 0.0, "because": "the end is not trained"}},
    ]  # fmt: skip
    lab.records.write(name, events)
    return name, events


def test_pages(browser):
    assert "home" in browser.get("/").text
    assert "It never stops talking" in browser.get(f"/case/{SLUG}").text
    token = browser.lab.access.csrf
    assert f'<meta name="csrf-token" content="{token}">' in browser.get("/").text


def test_cases(browser):
    cards = browser.get("/api/cases").json()
    assert SLUG in [card["slug"] for card in cards]
    assert browser.get(f"/api/cases/{SLUG}").json()["slug"] == SLUG
    missing = browser.get("/api/cases/never-stop").json()
    assert (missing["status"], missing["fix"]) == (404, f"nearest: {SLUG}")


def test_static_files_have_their_types(browser, tmp_path, monkeypatch):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "lab.css").write_text("b{}")
    (tmp_path / "static" / "lab.js").write_text("1")
    (tmp_path / "static" / "notes.py").write_text("secret")
    (tmp_path / "outside.js").write_text("secret")
    (tmp_path / "static" / "link.js").symlink_to(tmp_path / "outside.js")
    monkeypatch.setattr(page_routes, "STATIC", tmp_path / "static")
    css, js = browser.get("/static/lab.css"), browser.get("/static/lab.js")
    assert (css.text, css.headers["content-type"]) == ("b{}", "text/css; charset=utf-8")
    assert js.headers["content-type"] == "text/javascript; charset=utf-8"
    for name in ("notes.py", "link.js", "none.js"):
        assert browser.get(f"/static/{name}").status_code == 404


def test_a_record(browser, lab):
    name, events = record(lab, "plant")
    assert browser.get(f"/api/records/{name}").json() == events
    reply = start(browser)
    assert (reply.status_code, reply.json()) == (200, events), "a recorded setting answers at once"
    assert lab.jobs._jobs == {}
    missing = browser.get("/api/records/0123456789abcdef")
    assert (missing.status_code, missing.json()["what"]) == (404, "there is no record of this id")


@pytest.mark.every(2)
@pytest.mark.parametrize("content", [b"", b"{}", b"\x1f\x8b", b"[1]", b"\xff" * 40])
def test_a_damaged_record_says_which_file_to_remove(browser, lab, content):
    name, _ = record(lab, "plant")
    path = lab.folder / "records" / f"{name}.json.gz"
    path.write_bytes(content)
    reply = browser.get(f"/api/records/{name}")
    assert reply.status_code == 500
    assert path.name in reply.json()["where"]
    assert start(browser).status_code == 202, "it is measured again"


def test_a31_a_record_that_unpacks_to_too_much_is_refused(browser, lab):
    name, _ = record(lab, "plant")
    bomb = [{"kind": "begin", "text": "a" * (20 << 20)}]
    write_record(bomb, lab.folder / "records" / f"{name}.json.gz")
    assert browser.get(f"/api/records/{name}").status_code == 500


def test_a25_a30_links_and_pipes_are_no_records(browser, lab, tmp_path):
    import os

    name, _events = record(lab, "plant")
    path = lab.folder / "records" / f"{name}.json.gz"
    path.rename(tmp_path / "secret.json.gz")
    path.symlink_to(tmp_path / "secret.json.gz")
    assert browser.get(f"/api/records/{name}").status_code == 500
    path.unlink()
    os.mkfifo(path)
    assert browser.get(f"/api/records/{name}").status_code == 500
    (lab.folder / "runs" / f"{name}.jsonl").symlink_to(tmp_path / "secret.json.gz")
    path.unlink()
    assert browser.get(f"/api/runs/{name}/events").status_code == 404


def test_a_run_streams_its_events_with_their_numbers(browser, lab):
    reply = start(browser, rate=SLOW_RATE)
    assert reply.status_code == 202
    name = reply.json()["id"]
    told = browser.stream(name)
    assert [number for number, _ in told] == list(range(1, len(told) + 1))
    assert [event["kind"] for _, event in told] == kinds(lab.jobs.log_of(name))
    assert told[-1][1]["kind"] == "end"
    again = browser.stream(name, last=told[4][0])
    assert again == told[5:]
    over = browser.get(f"/api/runs/{name}/events", headers={"last-event-id": str(len(told))})
    assert over.status_code == 204, "a browser does not ask for an ended stream again"
    for odd in ("-1", "x", "99999", "1e3", "9" * 30):
        assert browser.stream(name, last=odd) == told


def test_two_tabs_and_a_refresh_see_the_same(browser, lab):
    name = start(browser, rate=SLOW_RATE).json()["id"]
    seen = {}

    def watch(tab):
        other = Browser(make_app(lab), lab)
        seen[tab] = other.stream(name)

    tabs = [threading.Thread(target=watch, args=(tab,)) for tab in range(3)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join(30)
    assert seen[0] == seen[1] == seen[2] == browser.stream(name)


def test_a_recorded_run_is_streamed_too(browser, lab):
    name, events = record(lab, "twin")
    assert [event for _, event in browser.stream(name)] == events


def test_stop_over_http(browser, lab):
    name = start(browser, rate=SLOW_RATE).json()["id"]
    until(lambda: "begin" in kinds(lab.jobs.log_of(name)))
    assert browser.change(f"/api/runs/{name}/pause").json() == {"id": name, "state": "pausing"}
    assert browser.change(f"/api/runs/{name}/stop").json()["state"] == "stopping"
    assert browser.stream(name)[-1][1]["state"] == "stopped"
    assert browser.change(f"/api/runs/{name}/start").status_code == 422
    assert browser.change("/api/runs/0123456789abcdef/stop").status_code == 404


@pytest.mark.parametrize(
    ("body", "where", "fix"),
    [
        ({"config": {}}, "case", "required"),
        ({"case": SLUG, "config": {"rate": -1}}, "config.rate", "a number from 1e-07 to 1"),
        ({"case": SLUG, "config": {"rate": True}}, "config.rate", "one of"),
        ({"case": SLUG, "config": {"rate": "fast"}}, "config.rate", "one of"),
        ({"case": SLUG, "config": {"rate": None}}, "config.rate", "one of"),
        ({"case": SLUG, "config": {"max_length": 100.5}}, "config.max_length", "a whole number"),
        ({"case": SLUG, "config": {"max_length": 10**30}}, "config.max_length", "8 to 2048"),
        ({"case": SLUG, "config": {"serve.schema": 1}}, "config.serve.schema", "true"),
        ({"case": SLUG, "config": {"pad_token": "x"}}, "config.pad_token", "one of"),
        ({"case": SLUG, "config": {"rows": 8}}, "config.rows", "leave it at 64"),
        ({"case": SLUG, "config": {"ratee": 1}}, "config", "did you mean rate?"),
        ({"case": SLUG, "config": {"rate": [1]}}, "config.rate", ""),
        ({"case": SLUG, "config": {"rate": {"a": 1}}}, "config.rate", ""),
        ({"case": SLUG, "config": []}, "config", ""),
        ({"case": SLUG, "seed": -1}, "seed", "0 to 9999"),
        ({"case": SLUG, "seed": "0"}, "seed", ""),
        ({"case": SLUG, "seed": 1.5}, "seed", ""),
        ({"case": SLUG, "base_url": "http://evil.com"}, "base_url", "not permitted"),
    ],
)
def test_a_wrong_setting_is_named(browser, lab, body, where, fix):
    reply = browser.change("/api/runs", body)
    told = reply.json()
    assert reply.status_code == 422, told
    assert told["where"].startswith(where), told
    assert fix in told["fix"], told
    assert lab.jobs._jobs == {}


def test_values_of_ones_own_are_taken_live(browser, lab):
    name = start(browser, rate=2e-3, max_length=100).json()["id"]
    assert name == live_id(SLUG, config(rate=2e-3, max_length=100), 0)
    assert start(browser, max_length=100, rate=0.002).json()["id"] == name
    whole = browser.change("/api/runs", {"case": SLUG, "config": config(rate=2e-3, max_length=100)})
    assert whole.json()["id"] == name, "the whole configuration names the same run"
    assert browser.stream(name)[-1][1]["checks"][0]["passed"], "its twin ran before it"


def test_the_twins_setting_is_the_twin(browser, lab):
    name = start(browser, pad_token="<|endoftext|>").json()["id"]
    assert name == live_id(SLUG, clean(), 0)
    assert [job.role for job in lab.jobs._jobs.values()] == ["twin"]


def test_a_guess_and_a_citation(browser):
    guess = {"cause": "rows_cut", "sure": 1}
    assert not browser.change(f"/api/cases/{SLUG}/guess", guess).json()["right"]
    cite = browser.change(f"/api/cases/{SLUG}/cite", {"measure": "p_end"}).json()
    assert cite["proves"]
    for body in ({"cause": "rows_cut"}, {"cause": 1, "sure": 1}, {"cause": "x", "sure": 1}):
        assert browser.change(f"/api/cases/{SLUG}/guess", body).status_code == 422
    assert browser.change("/api/cases/none/guess", guess).status_code == 404


def blind_key(browser, lab, monkeypatch, clean_run):
    from tuneworthy.lab import blind_runs

    monkeypatch.setattr(blind_runs.secrets, "randbelow", lambda n: 0 if clean_run else 1)
    return browser.change("/api/blind").json()["key"]


@pytest.mark.parametrize("clean_run", [False, True])
def test_a_blind_run_tells_nothing_before_the_guess(browser, lab, monkeypatch, clean_run):
    record(lab, "plant"), record(lab, "twin")
    key = blind_key(browser, lab, monkeypatch, clean_run)
    assert key in browser.get(f"/blind/{key}").text
    for text in (
        browser.get(f"/api/records/{key}").text,
        browser.get(f"/api/runs/{key}/events").text,
        browser.change("/api/runs", {"case": key}).text,
    ):
        assert key in text
        for told in (SLUG, "plant", "twin", "pad_token", "endoftext", "the end is not trained"):
            assert told not in text
    early = browser.change(f"/api/cases/{key}/cite", {"measure": "p_end"})
    assert early.status_code == 409
    guess = browser.change(f"/api/cases/{key}/guess", {"cause": "end_not_trained", "sure": 2})
    told = guess.json()
    assert told["right"] is not clean_run
    assert told["points"] == (-35 if clean_run else 40)
    assert told["truth"] == ("none" if clean_run else "end_not_trained")
    better = browser.change(f"/api/cases/{key}/guess", {"cause": told["truth"], "sure": 2})
    assert better.json() == told, "the first guess counts"
    assert SLUG in browser.get(f"/api/records/{key}").text
    assert browser.change(f"/api/cases/{key}/cite", {"measure": "p_end"}).status_code == 200


def test_blind_runs_outlive_a_restart(browser, lab, tmp_path):
    key = browser.change("/api/blind").json()["key"]
    browser.change(f"/api/cases/{key}/guess", {"cause": "none", "sure": 0})
    lab.close()
    again = open_lab(tmp_path, ("127.0.0.1", PORT), open_runner=fake)
    try:
        assert again.blind_run(key).guess == {"cause": "none", "sure": 0}
    finally:
        again.close()
    assert browser.get("/blind/0123456789abcdef").status_code == 404


def test_one_blind_run_in_six_is_clean(tmp_path):
    from tuneworthy.lab.blind_runs import BlindRuns

    blind = BlindRuns(tmp_path / "blind.jsonl")
    clean_runs = sum(blind.open(["a", "b"]).clean for _ in range(300))
    assert 21 <= clean_runs <= 79  # 50 expected; 4.5 standard deviations


def test_a_blind_case_comes_again_after_all_others(tmp_path):
    from tuneworthy.lab.blind_runs import BlindRuns

    blind, slugs = BlindRuns(tmp_path / "blind.jsonl"), ["a", "b", "c", "d"]
    drawn = [blind.open(slugs).case for _ in range(12)]
    assert all(sorted(drawn[at : at + 4]) == slugs for at in (0, 4, 8))


def test_a_restart_keeps_streams_and_takes_no_old_cookie(browser, lab, tmp_path):
    name = start(browser, rate=SLOW_RATE).json()["id"]
    until(lambda: "steps" in kinds(lab.jobs.log_of(name)))
    seen = parsed("\n\n".join(f"id: {n}\ndata: {line}" for n, line in
                              enumerate(lab.jobs.log_of(name).lines[:3], 1)) + "\n\n")  # fmt: skip
    lab.close()
    again = open_lab(tmp_path, ("127.0.0.1", PORT), open_runner=fake)
    try:
        other = Browser(make_app(again), again, launch=False)
        other.cookies = browser.cookies
        assert other.get("/").status_code == 401, "another program had the port meanwhile"
        other = Browser(make_app(again), again)
        rest = other.stream(name, last=3)
        assert rest[0][0] == 4
        assert rest[-1][1]["because"].startswith("the lab was closed after step")
        assert other.stream(name)[:3] == seen
    finally:
        again.close()


def test_a_second_lab_on_the_folder_reads_and_starts_nothing(browser, lab, tmp_path):
    name, events = record(lab, "twin")
    live = start(browser, rate=SLOW_RATE).json()["id"]
    second = open_lab(tmp_path, ("127.0.0.1", PORT + 1), open_runner=fake)
    try:
        reader = Browser(make_app(second), second, launch=False)
        reader.base_url = f"http://127.0.0.1:{PORT + 1}"
        headers = {"authorization": f"Bearer {second.access.secret}",
                   "content-type": "application/json"}  # fmt: skip
        assert second.access.secret != lab.access.secret
        assert reader.get(f"/api/records/{name}", headers=headers).json() == events
        refused = reader.post("/api/runs", content=json.dumps({"case": SLUG}), headers=headers)
        assert refused.status_code == 409
        assert "process" in refused.json()["got"]
        followed = parsed(reader.get(f"/api/runs/{live}/events", headers=headers).text)
        assert followed == browser.stream(live), "it follows the run of the first lab"
        assert (
            reader.post(f"/api/runs/{live}/stop", content="{}", headers=headers).status_code == 409
        )
    finally:
        second.close()
    assert start(browser, rate=3e-2).status_code == 202, "the first goes on"


def test_a_full_disk_is_told(browser, lab, monkeypatch):
    from tuneworthy.lab import blind_runs

    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blind_runs, "private_file", full)
    reply = browser.change("/api/blind")
    assert reply.status_code == 507
    assert "No space left" in reply.json()["got"]


def test_files_are_private_and_links_are_refused(lab, tmp_path, browser):
    from tuneworthy.records.errors import SecurityError

    start(browser)
    browser.change("/api/blind")
    record(lab, "plant")
    until(lambda: not lab.jobs._waiting and lab.jobs._current is None)
    for path in lab.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    lab.close()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("records", "runs"):
        working = tmp_path / f"hostile {name}"
        (working / ".tuneworthy" / "lab").mkdir(parents=True)
        (working / ".tuneworthy" / "lab" / name).symlink_to(elsewhere)
        with pytest.raises(SecurityError):
            open_lab(working, ("127.0.0.1", PORT))
    assert list(elsewhere.iterdir()) == []


def test_a_session_file_that_is_a_link_or_damaged_is_not_read(tmp_path):
    from tuneworthy.lab.security import last_access

    folder = open_lab_module.make_lab_folder(tmp_path)
    (tmp_path / "theirs").write_text(json.dumps({"port": 80, "secret": "x" * 43}))
    (folder / "session.json").symlink_to(tmp_path / "theirs")
    assert last_access(folder) is None
    (folder / "session.json").unlink()
    for text in ("", "[]", '{"port": 80, "secret": "short"}', '{"port": "x", "secret": 1}'):
        (folder / "session.json").write_text(text)
        assert last_access(folder) is None
