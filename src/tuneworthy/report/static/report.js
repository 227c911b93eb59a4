"use strict";
// Sliders over the stored grid, and the table of cases. Text of rows enters as textContent only.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const make = (tag, cls, text, ...inside) => {
    const el = document.createElement(tag);
    if (cls) el.className = cls;
    if (text !== undefined && text !== null) el.textContent = text;
    el.append(...inside);
    return el;
  };
  const number = (x) => x.toLocaleString("en-US", { maximumFractionDigits: 2 });
  const points = (x) => String(Math.round(1000 * x) / 10);
  // A word with a hyphen stays on one line.
  const whole = (text) => text.split(/(\S+-\S+)/).map((part, i) => (i % 2 ? make("span", "whole", part) : part));
  document.documentElement.classList.add("scripted");

  // The details: a link to a part opens it, and print shows all.
  const folds = () => [...document.querySelectorAll("details:not([open])")];
  const unfold = (id) => { for (let el = id && $(id); el; el = el.parentElement) if (el.tagName === "DETAILS") el.open = true; };
  $("unfold").addEventListener("click", () => {
    const shut = folds(), all = [...document.querySelectorAll("details")];
    for (const el of all) el.open = shut.length > 0;
    $("unfold").textContent = shut.length ? "Close all details" : "Open all details";
  });
  let unprinted = [];
  addEventListener("beforeprint", () => { unprinted = folds(); for (const el of unprinted) el.open = true; });
  addEventListener("afterprint", () => { for (const el of unprinted) el.open = false; });

  // What if: the verdict at another margin and volume, looked up, never computed.
  const first = Object.fromEntries(["headline", "use", "status", "left", "counts", "scored", "time", "pays", "own-margin"].filter($).map((id) => [id, $(id).textContent]));
  const values = (at) => [...new Set(data.grid.map((p) => p[at]).filter((x) => x !== null))].sort((a, b) => a - b);
  const axes = { margin: values(0), volume: values(1) };
  const nearest = (list, x) => list.reduce((best, v, i) => (Math.abs(v - x) < Math.abs(list[best] - x) ? i : best), 0);
  const startAt = {
    margin: nearest(axes.margin, data.own.margin),
    volume: data.own.volume === null ? 0 : nearest(axes.volume, data.own.volume),
  };
  const chosen = (key) => (axes[key].length ? axes[key][Number($(key).value)] : null);

  function mark(arm) {
    for (const row of document.querySelectorAll(".ladder tr[data-arm]")) row.classList.toggle("named", row.dataset.arm === arm);
  }

  function back() {
    for (const [id, text] of Object.entries(first)) $(id).replaceChildren(...whole(text));
    $("what-if").hidden = true;
    for (const el of document.querySelectorAll(".ladder .beside, .verdict .step")) el.hidden = false;
    mark(data.named);
  }

  function whatIf() {
    const margin = chosen("margin");
    const volume = axes.volume.length > 1 ? chosen("volume") : null;
    $("margin-says").textContent = margin === null ? "" : `${points(margin)} points`;
    if (volume !== null) $("volume-says").textContent = `${number(volume)} requests a month`;
    const home = Number($("margin").value) === startAt.margin && (volume === null || Number($("volume").value) === startAt.volume);
    if (home) return back();
    const found = data.grid.find((p) => p[0] === margin && (volume === null || p[1] === volume));
    if (!found) return back();
    const [, , use, arm, status, left] = found;
    $("headline").replaceChildren(...whole(data.headlines[`${use} ${status}`]));
    const tool = (data.arms.find((a) => a.name === arm) || {}).tool;
    $("use").textContent = arm ? `Use: ${arm}${tool ? ` (${tool})` : ""}` : "No arm is named.";
    $("status").textContent = status;
    if ($("own-margin")) $("own-margin").textContent = points(margin);
    $("left").textContent = left === null ? "How much better another arm could be is not known there."
      : left <= 0 ? "No other measured arm can be better (95 % sure)." : `Another arm could be at most ${points(left)} points better (95 % sure).`;
    for (const id of ["counts", "scored", "time", "pays"].filter($)) $(id).textContent = "";
    for (const el of document.querySelectorAll(".ladder .beside, .verdict .step")) el.hidden = true;
    const badge = $("what-if");
    const at = `What if: margin ${points(margin)} points${volume === null ? "" : `, ${number(volume)} requests a month`}. `;
    const reset = make("button", "", "Back to the verdict");
    reset.type = "button";
    reset.addEventListener("click", () => { setSliders(); whatIf(); });
    badge.replaceChildren(at, reset);
    badge.hidden = false;
    mark(arm);
  }

  function setSliders() {
    for (const key of ["margin", "volume"]) {
      $(key).max = Math.max(axes[key].length - 1, 1);
      $(key).value = startAt[key];
    }
  }

  // The matrix of cases.
  const state = { show: "all", passes: "", fails: "", cause: "", q: "", shown: 40 };
  const n = data.arms.length;
  const value = (arm, i) => data.values[arm][i];
  const passes = (arm, i) => value(arm, i) !== null && value(arm, i) >= data.pass;
  const fails = (arm, i) => value(arm, i) !== null && value(arm, i) < data.pass;
  const named = data.arms.findIndex((a) => a.name === data.named);
  const finalists = data.arms.map((a, i) => (data.finalists.includes(a.name) ? i : -1)).filter((i) => i >= 0);
  const candidates = data.arms.map((a, i) => (a.role === "candidate" ? i : -1)).filter((i) => i >= 0);
  const compared = finalists.length > 1 ? finalists : candidates;
  const last = (list) => list[list.length - 1];
  const input = (one) => { const said = one.turns.filter((t) => t[0] === "user"); return said.length ? data.texts[last(said)[1]] : ""; };

  const kinds = {
    all: () => true,
    different: (i) => new Set(compared.map((a) => value(a, i)).filter((v) => v !== null)).size > 1,
    failures: (i) => (named >= 0 ? fails(named, i) : candidates.some((a) => fails(a, i))),
    nobody: (i) => candidates.length > 0 && !candidates.some((a) => passes(a, i)),
    errors: (i) => data.answers.some((arm) => arm[i].some((a) => a.error !== undefined)),
  };

  function has(i, q) {
    const one = data.cases[i];
    const texts = [one.id, one.group || "", input(one), data.texts[one.target]];
    return texts.some((t) => t.toLowerCase().includes(q)) || data.answers.some((arm) => arm[i].some((a) => data.texts[a.text].toLowerCase().includes(q)));
  }

  function wanted() {
    const index = (name) => data.arms.findIndex((a) => a.name === name);
    const [up, down, q] = [index(state.passes), index(state.fails), state.q.trim().toLowerCase()];
    return data.order.filter((i) => kinds[state.show](i) && (up < 0 || passes(up, i)) && (down < 0 || fails(down, i)) && (!state.cause || data.cases[i].cause === state.cause) && (!q || has(i, q)));
  }

  const shade = (v) => (v === null || v === undefined ? "none" : `s${Math.min(4, Math.floor(v * 4 + 0.5))}`);
  const said = (v) => (v === null || v === undefined ? "no score" : String(v));

  function square(arm, i) {
    const el = make("span", `square ${shade(value(arm, i))}`);
    el.title = `${data.arms[arm].name}: ${said(value(arm, i))}`;
    return el;
  }

  function draw() {
    const found = wanted();
    const head = make("div", "case-row head", null, make("span", "id", "Case"), make("span", "input", "Input and right answer"));
    const names = make("span", "squares", null);
    for (const a of data.arms) names.append(make("span", `up${a.name === data.named ? " own" : ""}`, null, make("span", "", a.name)));
    head.append(names);
    const rows = found.slice(0, state.shown).map((i) => {
      const one = data.cases[i];
      const link = make("a", "case-row", null, make("span", "id", one.id),
        make("span", "input", null, make("span", "asked", input(one)), make("span", "target", data.texts[one.target])));
      const squares = make("span", "squares");
      for (let a = 0; a < n; a += 1) squares.append(square(a, i));
      link.append(squares);
      link.href = `#${address(one.id)}`;
      return link;
    });
    $("matrix").replaceChildren(head, ...rows);
    $("count").textContent = `${number(found.length)} of ${number(data.cases.length)} cases, hardest first${data.all_cases > data.cases.length ? `; these are the hardest of ${number(data.all_cases)}` : ""}`;
    $("more").hidden = found.length <= state.shown;
    for (const b of document.querySelectorAll("[data-show]")) b.setAttribute("aria-pressed", String(b.dataset.show === state.show));
  }

  // The address holds the filters and the open case, so that a link leads back to both.
  function address(id) {
    const out = new URLSearchParams();
    if (id !== null) out.set("case", id);
    for (const key of ["show", "passes", "fails", "cause", "q"]) if (state[key] && state[key] !== "all") out.set(key, state[key]);
    return out.toString();
  }

  function read() {
    const found = new URLSearchParams(location.hash.slice(1));
    if (![...found.keys()].some((key) => ["case", "show", "passes", "fails", "cause", "q"].includes(key))) { unfold(location.hash.slice(1)); return close(); }
    unfold("cases");
    state.show = kinds[found.get("show")] ? found.get("show") : "all";
    for (const key of ["passes", "fails", "cause", "q"]) state[key] = found.get(key) || "";
    for (const key of ["passes", "fails", "cause"]) $(key).value = state[key];
    $("search").value = state.q;
    draw();
    const at = data.cases.findIndex((one) => one.id === found.get("case"));
    if (at >= 0) open(at);
    else {
      close();
      if (found.get("cause")) $("cases").scrollIntoView();
    }
  }

  function changed() {
    state.shown = 40;
    history.replaceState(null, "", `#${address(null) || "cases"}`);
    draw();
  }

  // One case: what was asked, what is right, and what each arm sent and answered.
  const turns = (list) => make("div", "turns", null, ...list.map(([role, at]) => make("div", "turn", null, make("b", "", role), make("pre", "", data.texts[at]))));

  function answer(one) {
    const box = make("div", "answer");
    const facts = [];
    if (one.valid !== undefined) facts.push(one.valid ? "valid" : "not valid");
    if (one.finish === "length") facts.push("cut by the token limit");
    if (one.in !== undefined) facts.push(`${number(one.in)} tokens in`);
    if (one.out !== undefined) facts.push(`${number(one.out)} out`);
    if (one.seconds !== undefined) facts.push(one.seconds < 1 ? `${Math.round(1000 * one.seconds)} ms` : `${number(one.seconds)} s`);
    if (one.usd !== undefined) facts.push(one.usd === 0 ? "$0" : `$${one.usd.toPrecision(2)}`);
    facts.push(`seed ${one.seed}`);
    if (one.fold !== undefined) facts.push(`fold ${one.fold}`);
    const score = make("span", `score ${shade(one.score)}`, one.score === undefined ? "no score" : String(one.score));
    box.append(make("p", "line", null, score, make("span", "soft", facts.join(" · "))));
    if (one.error !== undefined) box.append(make("p", "error", one.error));
    box.append(make("pre", "raw", data.texts[one.text]));
    if (one.extracted !== undefined && one.extracted !== one.text) box.append(make("p", "soft", "read as"), make("pre", "", data.texts[one.extracted]));
    if (one.why) box.append(make("p", "why", one.why));
    if (one.prompt !== undefined) {
      const sent = make("details", "", null, make("summary", "", "Prompt sent"));
      sent.append(Array.isArray(one.prompt) ? turns(one.prompt)
        : make("p", "soft", `Left out of this file for its size (${number(one.prompt)} characters); it is in the ledger.`));
      box.append(sent);
    }
    return box;
  }

  function open(i) {
    const one = data.cases[i];
    const list = wanted();
    const at = list.indexOf(i);
    const go = (to, text) => {
      const link = make("a", "button", text);
      if (to === undefined) link.setAttribute("aria-disabled", "true");
      else link.href = `#${address(data.cases[to].id)}`;
      return link;
    };
    const shut = make("button", "button", "Close");
    shut.type = "button";
    shut.addEventListener("click", () => $("case").close());
    const bar = make("div", "bar-of-case", null, make("h2", "", one.id),
      make("span", "soft", [one.where, one.group && `group ${one.group}`, one.time, one.cause && `cause: ${one.cause}`].filter(Boolean).join(" · ")),
      make("span", "grow"), go(at > 0 ? list[at - 1] : undefined, "← Previous"), go(at >= 0 ? list[at + 1] : undefined, "Next →"), shut);
    const right = make("div", "pane target", null, make("h3", "", "Right answer"), make("pre", "", data.texts[one.target]));
    for (const other of one.accepted) right.append(make("p", "soft", "or"), make("pre", "", data.texts[other]));
    const top = make("div", "panes", null, make("div", "pane", null, make("h3", "", "Asked"), turns(one.turns)), right);
    const arms = make("div", "arms");
    data.arms.forEach((arm, a) => {
      const tried = data.answers[a][i];
      const own = arm.name === data.named;
      const title = make("h3", "", `${own ? "▶ " : ""}${arm.name} `, make("span", "tool", arm.tool || (arm.role === "candidate" ? "no tool given" : arm.role)));
      const card = make("article", own ? "own" : "", null, title);
      if (!tried.length) card.append(make("p", "soft", "This arm was not asked this case."));
      for (const each of tried) card.append(answer(each));
      arms.append(card);
    });
    const box = $("case");
    box.replaceChildren(bar, top, arms);
    if (!box.open) box.showModal();
    box.scrollTop = 0;
  }

  function close() {
    if ($("case").open) $("case").close();
  }

  for (const key of ["passes", "fails"]) {
    for (const arm of data.arms) $(key).append(make("option", "", arm.name));
    $(key).addEventListener("change", () => { state[key] = $(key).value; changed(); });
  }
  const causes = [...new Set(data.cases.map((one) => one.cause).filter(Boolean))].sort();
  for (const cause of causes) $("cause").append(make("option", "", cause));
  $("by-cause").hidden = !causes.length;
  $("cause").addEventListener("change", () => { state.cause = $("cause").value; changed(); });
  for (const button of document.querySelectorAll("[data-show]")) button.addEventListener("click", () => { state.show = button.dataset.show; changed(); });
  $("search").addEventListener("input", () => { state.q = $("search").value; changed(); });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("more").addEventListener("click", () => { state.shown += 100; draw(); });
  $("case").addEventListener("close", () => history.replaceState(null, "", `#${address(null) || "cases"}`));
  addEventListener("hashchange", read);
  for (const key of ["margin", "volume"]) $(key).addEventListener("input", whatIf);
  setSliders();
  draw();
  read();
})();
