// The case page: its runs, what is drawn at one step, and what happens when something changes.
'use strict';

(() => {
  const CHART = 84;

  const panels = (page) => {
    const { data, state } = page;
    const charts = lab.all('[data-chart]').map((host) => lab.chart(host, { ...data.charts.find(({ key }) => key === host.dataset.chart), height: CHART }));
    const pick = (token) => { state.token = token; page.draw(); page.save(); };
    const lanes = { mine: lab.lane(lab.find('#mine'), pick), twin: lab.lane(lab.find('#twin'), pick) };
    page.pickToken = pick;

    const readout = (mine) => {
      const from = mine.answerAt(state.row), token = Math.min(from + state.token, mine.rows[state.row].tokens.length - 1);
      const mask = lab.stateOf(mine, state.row, token), { before, now } = mine.losses(state.row, token, state.step);
      const why = { trained: 'Trained.', ignored: 'Ignored: no gradient ever reaches it.', cut: 'Cut off: the model never saw it.' }[mask];
      const chance = now === null ? '' : ` (the model gives it a chance of ${lab.chance(now)})`;
      const twin = page.runs.twin?.losses(state.row, (page.runs.twin.answerAt(state.row)) + state.token, state.step);
      lab.find('#readout').replaceChildren(
        lab.make('code', {}, lab.tokenText(mine, state.row, token)), ` ${why} Loss ${lab.fine(before)} before, `,
        lab.make('b', { class: now > 1 ? 'bad' : 'own' }, lab.fine(now)), ` now${chance}`, twin ? `, ${lab.fine(twin.now)} in the twin.` : '.',
      );
    };

    const answers = (mine, twin) => {
      const asked = mine.questions[state.question] ?? { input: '', gold: '' };
      lab.say(lab.find('#input'), asked.input); lab.say(lab.find('#gold'), asked.gold);
      for (const [name, run] of [['mine', mine], ['twin', twin]]) {
        const found = run?.look(state.step)?.answers?.find(({ row }) => row === state.question);
        lab.answer(lab.find(`#${name}-says`), lab.find(`#${name}-note`), { answer: found, gold: asked.gold });
      }
      lab.say(lab.find('#asked'), `${state.question + 1} of ${mine.questions.length}`);
    };

    page.addRun = (name, run) => { for (const chart of charts) { chart.add(name, run); chart.tabulate(); } };
    page.draw = () => {
      const mine = page.mine(), { twin, rerun } = page.runs, step = state.step;
      for (const chart of charts) chart.draw(step, rerun ? ['run', 'twin'] : []);
      page.small?.draw(step, ['run', 'twin']);
      const slider = lab.find('#step');
      if (mine) {
        lab.set(slider, { max: mine.total });
        if (mine.rows.length) {
          lanes.mine(mine, state.row, step, state.token); if (twin) lanes.twin(twin, state.row, step, state.token);
          readout(mine);
        }
        answers(mine, twin);
      }
      slider.value = step;
      lab.say(lab.find('#says-step'), `step ${step} of ${mine?.total ?? 0}`);
      lab.set(slider, { 'aria-valuetext': `step ${step} of ${mine?.total ?? 0}` });
    };
  };

  const moves = (page) => {
    const { state } = page, mine = page.mine;
    page.play = lab.player(lab.find('#play'), ['Play', 'Pause'], () => {
      if (!mine()) return false;
      state.step = state.step >= mine().total ? 0 : state.step + 1; page.draw();
      if (state.step >= mine().total) { page.save(); return false; }
      return true;
    });
    page.go = (step) => { page.play.stop(); state.step = Math.min(mine()?.total ?? 0, Math.max(0, step)); page.draw(); page.save(); };
    page.row = (by) => {
      const count = mine()?.rows.length || 1;
      state.row = (state.row + by + count) % count; page.showRow(); page.draw(); page.save();
    };
    page.showRow = () => {
      if (!mine()?.rows.length) return;
      lab.prompt(lab.find('#prompt'), mine(), state.row);
      lab.say(lab.find('#row-name'), `${state.row + 1} of ${mine().rows.length}`);
    };
    page.question = (by) => {
      const count = mine()?.questions.length || 1;
      state.question = (state.question + by + count) % count; page.draw(); page.save();
    };
    lab.find('#step').addEventListener('input', (event) => page.go(Number(event.target.value)));
    for (const [id, by] of [['#row-before', -1], ['#row-after', 1]]) lab.find(id).addEventListener('click', () => page.row(by));
    for (const [id, by] of [['#question-before', -1], ['#question-after', 1]]) lab.find(id).addEventListener('click', () => page.question(by));
    lab.find('#jump').addEventListener('click', () => lab.find('#rail').scrollIntoView({ block: 'start' }));
    lab.find('#copy').addEventListener('click', (event) => lab.copy(lab.linkTo(state, page.data), event.target));
  };

  // A re-run takes the place of this run: its curves are teal, its tokens and answers are shown.
  const reruns = (page) => {
    page.use = (run) => {
      page.runs.rerun = run;
      if (run) page.addRun('rerun', run);
      lab.find('#key-rerun').hidden = !run;
      lab.find('#instrument').classList.toggle('past', Boolean(run));
      for (const id of ['#lane-name', '#mine-name']) lab.say(lab.find(id), run ? 'your re-run' : 'this run');
      page.showRow();
    };
    page.stream = (id, onEnd) => {
      const run = new lab.Run(), status = lab.find('#status');
      let waiting = false;
      page.busy = true; page.use(run); page.changed();
      const redraw = () => { waiting = false; page.use(run); page.state.step = run.reached; page.draw(); };
      page.following = lab.follow(id, {
        onEvent(event) {
          run.apply(event);
          lab.say(status, event.kind === 'queue' ? run.note : `Step ${run.reached} of ${run.total}${run.left ? `, about ${Math.round(run.left)} s left` : ''}.`);
          if (!waiting) { waiting = true; requestAnimationFrame(redraw); }
          if (event.kind !== 'end') return;
          lab.say(status, event.state === 'done' ? '' : `Stopped at step ${run.reached}. ${event.because ?? ''}`);
          onEnd(run); page.changed();
        },
        onLost(gone) { lab.say(status, gone ? 'The lab does not answer. Is it still running?' : 'Connecting again…'); },
      });
    };
  };

  const evidence = (page) => {
    const host = lab.find('#proof-chart');
    page.evidenceChart = (key) => {
      const has = page.runs.run?.curve(key).length > 0;
      host.hidden = !has;
      if (!has || page.small?.key === key) return;
      const known = page.data.charts.find((each) => each.key === key);
      page.small = lab.chart(host, { ...(known ?? { key, title: page.data.measures.find((each) => each.key === key).title }), height: 64 });
      for (const name of ['run', 'twin']) if (page.runs[name]) page.small.add(name, page.runs[name]);
      page.small.draw(page.state.step, ['run', 'twin']); page.small.tabulate();
    };
  };

  const start = async (data) => {
    const { state, empty } = lab.readHash(data);
    const page = { data, state, runs: {}, checks: [], revealed: { guess: null, cite: {} }, busy: false };
    page.mine = () => page.runs.rerun ?? page.runs.run ?? null;
    page.save = () => lab.writeHash(state, data);
    page.trouble = (error) => { lab.find('#trouble').hidden = false; lab.say(lab.find('#trouble-what'), `${error.message}. ${error.parts?.fix ?? ''}`); };
    panels(page); moves(page); reruns(page); evidence(page);
    const showRail = lab.rail(page), showKnobs = lab.knobs(page);
    page.changed = () => { const told = showRail(); showKnobs(told); page.draw(); page.save(); };

    try {
      for (const [name, id] of [['run', data.records.plant], ['twin', data.records.twin]]) {
        if (!id) continue;
        page.runs[name] = await lab.load(id); page.addRun(name, page.runs[name]);
      }
      await page.ready; await page.restore();
    } catch (error) { page.trouble(error); }
    lab.find('#instrument').dataset.state = page.runs.run ? 'ready' : 'empty';
    const shown = page.mine();
    const first = { step: shown?.total ?? 0, token: 0, row: 0, question: 0, sure: 1, hints: 0, failed: 0 };
    for (const [key, value] of Object.entries(first)) state[key] ??= value;
    state.row = Math.min(state.row, Math.max(0, (shown?.rows.length ?? 1) - 1));
    state.step = Math.min(state.step, shown?.total ?? 0);
    state.question = Math.min(state.question, Math.max(0, (shown?.questions.length ?? 1) - 1));
    page.showRow();
    if (empty && shown && !lab.still) { state.step = 0; page.changed(); page.play.start(); } else page.changed();
    const cause = (k) => () => page.pick(data.causes[k]?.key);
    lab.keys({
      ' ': () => lab.find('#play').click(), ArrowLeft: () => page.go(state.step - 1), ArrowRight: () => page.go(state.step + 1),
      '[': () => page.row(-1), ']': () => page.row(1), r: page.again, n: () => { location.href = lab.find('#next').href; },
      e: () => page.mine() && page.pickToken(page.mine().rows[state.row].tokens.length - page.mine().answerAt(state.row) - 1),
      ...Object.fromEntries(data.causes.slice(0, 9).map((_, k) => [String(k + 1), cause(k)])),
    });
    lab.page = page;
  };

  // Called by data/case-SLUG.js, or with the data that the server puts into the page.
  lab.case = (data) => start(data);
  const block = lab.find('#case-data');
  if (block) addEventListener('DOMContentLoaded', () => lab.case(JSON.parse(block.textContent)));
})();
