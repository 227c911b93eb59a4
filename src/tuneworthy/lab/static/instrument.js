// What a run shows, at one step: its charts, its tokens, its answers. Shared by cases and blind runs.
'use strict';

(() => {
  const CHART = 84;
  const WHY = { trained: 'Trained.', ignored: 'Ignored: no gradient ever reaches it.', cut: 'Cut off: the model never saw it.' };

  // The new row that the clean twin answers better by most at the end: what a visitor sees first.
  const telling = (mine, twin) => {
    const last = (run) => run?.looks[run.looks.length - 1]?.answers ?? [];
    const lead = last(mine).map(({ score }, k) => (last(twin)[k]?.score ?? 0) - (score ?? 0)), most = Math.max(0, ...lead);
    return most > 0 ? lead.indexOf(most) : 0;
  };

  // The training row to open: one whose tokens are not those of the clean twin's, or whose last
  // losses lie furthest from them.
  const faulty = (mine, twin) => {
    const last = (run, row) => run.looks[run.looks.length - 1]?.losses?.[row] ?? [];
    const apart = mine?.rows.map(({ tokens }, row) => {
      const clean = twin?.rows[row]?.tokens;
      if (!clean) return 0;
      if (JSON.stringify(tokens.map((one) => one.slice(0, 2))) !== JSON.stringify(clean.map((one) => one.slice(0, 2)))) return Infinity;
      return Math.max(0, ...last(mine, row).map((loss, k) => (loss ?? 0) - (last(twin, row)[k] ?? 0)));
    }) ?? [];
    return Math.max(0, apart.indexOf(Math.max(...apart)));
  };

  const charts = (page) => {
    const all = lab.all('[data-chart]').map((host) => lab.chart(host, { ...page.data.charts.find(({ key }) => key === host.dataset.chart), height: CHART, first: page.data.trains ? 0 : 1 }));
    page.addRun = (name, run) => { for (const chart of all) { chart.add(name, run); chart.tabulate(); } };
    page.drawCharts = (step, done) => { for (const chart of all) chart.draw(step, done); };
  };

  const tokens = (page) => {
    const { state } = page;
    const pick = (token) => { state.token = token; page.draw(); page.save(); };
    const lanes = { mine: lab.lane(lab.find('#mine'), pick), twin: lab.lane(lab.find('#twin'), pick), first: lab.lane(lab.find('#first-tokens'), pick) };
    const readout = (mine, twin, first) => {
      const token = Math.min(mine.answerAt(state.row) + state.token, mine.rows[state.row].tokens.length - 1);
      const mask = lab.stateOf(mine, state.row, token), { before, now } = mine.losses(state.row, token, state.step);
      const chance = now === null ? '' : ` (the model gives it a chance of ${lab.chance(now)})`;
      const [clean, was] = [twin, first].map((run) => run?.losses(state.row, run.answerAt(state.row) + state.token, page.stepOf(run)));
      lab.find('#readout').replaceChildren(
        lab.make('code', {}, lab.tokenText(mine, state.row, token)), ` ${WHY[mask]} Loss ${lab.fine(before)} before training, `,
        lab.make('b', { class: now > 1 ? 'bad' : 'own' }, lab.fine(now)), ` now${chance}${was ? `, ${lab.fine(was.now)} before your change` : ''}${clean ? `, ${lab.fine(clean.now)} in the twin` : ''}.`,
      );
    };
    page.pickEnd = () => { const mine = page.mine(); if (mine?.rows.length) pick(mine.rows[state.row].tokens.length - mine.answerAt(state.row) - 1); };
    page.showRow = () => {
      const mine = page.mine();
      if (!mine?.rows.length || !page.data.trains) return;
      lab.prompt(lab.find('#prompt'), mine, state.row);
      const twin = page.runs.twin, other = Boolean(twin?.rows.length) && lab.promptText(twin, state.row) !== lab.promptText(mine, state.row);
      lab.find('#twin-prompt').hidden = !other; // the twin may have another row in this place
      if (other) lab.prompt(lab.find('#twin-prompt'), twin, state.row);
      lab.say(lab.find('#row-name'), `${state.row + 1} of ${mine.rows.length}: ${lab.firstWords(mine, state.row)}`);
    };
    page.drawTokens = (mine, twin) => {
      if (!page.data.trains) return;
      if (!mine.rows.length) { for (const id of ['#mine', '#prompt', '#readout']) lab.find(id).replaceChildren(); return; }
      lanes.mine(mine, state.row, state.step, state.token);
      if (twin?.rows.length) lanes.twin(twin, state.row, page.stepOf(twin), state.token);
      const first = page.runs.rerun && page.runs.run;
      lab.find('#first-lane').hidden = !first?.rows.length;
      if (first?.rows.length) lanes.first(first, state.row, page.stepOf(first), state.token);
      readout(mine, twin, first);
    };
  };

  const answers = (page) => {
    // At the end of this run the other one is at its own end, which may lie later.
    page.stepOf = (run) => (page.state.step >= (page.mine()?.total ?? 0) ? Math.max(run.total, page.state.step) : page.state.step);
    page.drawAnswers = (mine, twin) => {
      const { state } = page, look = mine.look(state.step), list = look?.answers ?? [];
      const row = list[Math.min(state.question, list.length - 1)]?.row ?? state.question;
      const asked = mine.questions[row] ?? { input: '', gold: '' };
      lab.say(lab.find('#input'), asked.input); lab.say(lab.find('#gold'), asked.gold); lab.find('#form').hidden = !asked.gold.startsWith('{');
      const first = page.runs.rerun ? page.runs.run : null;
      lab.find('#first').hidden = !first;
      for (const [name, run] of [['first', first], ['mine', mine], ['twin', twin]]) {
        const answer = run?.look(page.stepOf(run))?.answers?.find((each) => each.row === row);
        lab.answer(lab.find(`#${name}-says`), lab.find(`#${name}-note`), { answer, gold: asked.gold, brief: !page.data.trains });
      }
      page.asked = Math.max(1, list.length);
      lab.say(lab.find('#asked'), `${Math.min(state.question, page.asked - 1) + 1} of ${page.asked}`);
    };
  };

  const moves = (page) => {
    const { state, mine } = page, unit = page.data.trains ? 'step' : 'look';
    page.first = page.data.trains ? 0 : 1;
    page.play = lab.player(lab.find('#play'), () => {
      if (!mine()) return false;
      state.step = state.step >= mine().total ? page.first : state.step + 1; page.draw();
      if (state.step >= mine().total) { page.save(); return false; }
      return true;
    }, () => (page.data.trains ? lab.pace(mine().total) : 900));
    page.saysStep = () => {
      const total = mine()?.total ?? 0, named = mine()?.look(state.step)?.level, level = named?.startsWith('group ') ? '' : named; // a group says no more than its number
      const said = total ? `${unit} ${state.step} of ${total}${level ? `: ${level}` : ''}` : 'not begun', slider = lab.find('#step');
      lab.set(slider, { min: page.first, max: Math.max(1, total), 'aria-valuetext': said });
      slider.value = state.step;
      lab.say(lab.find('#says-step'), said);
    };
    page.go = (step) => { page.play.stop(); state.step = Math.min(mine()?.total ?? 0, Math.max(page.first, step)); page.draw(); page.save(); };
    const turn = (key, count, shown) => (by) => { state[key] = (Math.min(state[key], count() - 1) + by + count()) % count(); shown(); page.draw(); page.save(); };
    page.row = turn('row', () => mine()?.rows.length || 1, () => page.showRow());
    page.question = turn('question', () => page.asked ?? 1, () => {});
    lab.find('#step').addEventListener('input', (event) => page.go(Number(event.target.value)));
    for (const name of ['row', 'question']) for (const [side, by] of [['before', -1], ['after', 1]]) lab.find(`#${name}-${side}`).addEventListener('click', () => page[name](by));
    lab.find('#jump').addEventListener('click', () => lab.find('#rail').scrollIntoView({ block: 'start' }));
  };

  // A live run, shown while it comes: `as` is what it is for the page (run or rerun).
  const streams = (page) => {
    const box = lab.find('#live-run'), status = lab.find('#status'), pause = lab.find('#pause');
    page.stream = (id, as, onEnd, onBegin = () => {}) => {
      const run = new lab.Run(), order = (action) => lab.order(id, action).catch(lab.trouble), say = (text) => lab.say(status, text);
      let waiting = false;
      page.play.stop(); page.busy = true; page.show(as, run); box.hidden = false;
      lab.find('#instrument').dataset.state = 'ready'; pause.hidden = lab.find('#stop').hidden = false; say('Waiting for the run.');
      lab.say(pause, 'Pause');
      pause.onclick = () => { const on = pause.textContent === 'Pause'; order(on ? 'pause' : 'resume'); lab.say(pause, on ? 'Resume' : 'Pause'); };
      lab.find('#stop').onclick = () => order('stop');
      const redraw = () => { waiting = false; page.show(as, run); page.state.step = Math.max(page.first, run.reached); page.draw(); };
      const left = () => (run.left ? `, about ${Math.round(run.left)} s left` : '');
      lab.follow(id, say, (event) => {
        run.apply(event);
        if (event.kind === 'begin') onBegin();
        if (run.total) say(`${page.data.trains ? 'Step' : 'Look'} ${run.reached} of ${run.total}${left()}.`);
        if (!waiting) { waiting = true; requestAnimationFrame(redraw); }
        if (event.kind !== 'end') return;
        page.busy = false; box.hidden = event.state === 'done';
        pause.hidden = lab.find('#stop').hidden = true;
        say(event.because ? `${event.state}: ${event.because}.` : event.state);
        redraw(); onEnd(run);
      });
    };
  };

  // Give a page its instrument. `page` has data, state, runs and mine().
  lab.instrument = (page) => {
    charts(page); tokens(page); answers(page); moves(page); streams(page);
    page.draw = () => {
      const mine = page.mine(), { twin, rerun } = page.runs;
      page.drawCharts(page.state.step, rerun ? ['run', 'twin'] : []);
      page.small?.draw(page.state.step, ['run', 'twin']);
      if (mine) { page.drawTokens(mine, twin); page.drawAnswers(mine, twin); }
      page.saysStep();
    };
    page.show = (name, run) => { page.runs[name] = run; page.addRun(name, run); page.showRow(); };
    page.settle = () => { // bring what the hash said into the bounds of the run that is shown
      const mine = page.mine(), { state } = page, most = (key, count) => { state[key] = Math.min(state[key] ?? 0, Math.max(0, count - 1)); };
      state.step = Math.max(page.first, Math.min(state.step ?? Infinity, mine?.total ?? 0));
      state.question ??= telling(mine, page.runs.twin); state.row ??= faulty(mine, page.runs.twin);
      most('row', mine?.rows.length ?? 1); most('question', mine?.questions.length ?? 1); state.token ??= 0;
      lab.find('#instrument').dataset.state = mine ? 'ready' : 'empty';
      page.showRow();
    };
    page.keys = () => ({
      ' ': () => lab.find('#play').click(), ArrowLeft: () => page.go(page.state.step - 1), ArrowRight: () => page.go(page.state.step + 1),
      '[': () => page.row(-1), ']': () => page.row(1), e: () => page.pickEnd(),
    });
    return page;
  };
})();
