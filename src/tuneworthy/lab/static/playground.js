// The playground: one input, two to four columns, answered one after the other by the worker of the lab. What
// is asked stands in the hash, so that a link and a reload show the same settings.
'use strict';

(() => {
  const words = (arm) => [arm.shots, Number(arm.schema), Number(arm.passage), arm.temperature, arm.strength].join(',');
  const within = (text, most) => { const value = Number(text); return Number.isFinite(value) ? Math.min(most, Math.max(0, value)) : 0; };
  const armOf = (text, most) => {
    const [shots, schema, passage, temperature, strength] = text.split(',');
    return { shots: Math.round(within(shots, most.shots)), schema: schema === '1', passage: passage === '1', temperature: within(temperature, most.temperature), strength: within(strength, most.strength) };
  };

  const readHash = ({ tasks, most, least, first }) => {
    const told = new URLSearchParams(location.hash.slice(1)), task = tasks.find((each) => each.name === told.get('task')) ?? tasks[0];
    const row = /^\d$/.test(told.get('row') ?? '') ? Math.min(task.rows.length - 1, Number(told.get('row'))) : 0;
    const arms = told.getAll('arm').slice(0, most.arms).map((text) => armOf(text, most));
    const text = told.get('text');
    return { task: task.name, row: text === null ? row : -1, text: text === null ? task.rows[row].input : text.slice(0, most.input), arms: arms.length >= least.arms ? arms : first.map((arm) => ({ ...arm })), asked: arms.length >= least.arms };
  };
  const writeHash = ({ task, row, text, arms }) => {
    const said = new URLSearchParams({ task, ...(row < 0 ? { text } : { row }) });
    for (const arm of arms) said.append('arm', words(arm));
    lab.address(said);
  };

  const start = (data) => {
    const state = readHash(data), page = { data, columns: [], shown: null, running: null, ran: false };
    const find = (id) => lab.find(`#${id}`), say = (text) => { if (lab.served) lab.say(find('status'), text); };
    page.task = () => data.tasks.find((each) => each.name === state.task);
    const asked = () => JSON.stringify({ task: state.task, input: state.text, arms: state.arms.map(words) });
    const stale = () => { for (const column of page.columns) column.stale(page.shown !== null && page.shown !== asked()); };
    const changed = () => { writeHash(state); stale(); };

    const columns = () => {
      page.columns = state.arms.map((arm, k) => lab.column(page, k));
      find('columns').replaceChildren(...page.columns.map(({ node }) => node));
      lab.set(find('columns'), { 'data-count': state.arms.length });
      page.columns.forEach((column, k) => { column.set(state.arms[k]); column.single(state.arms.length <= data.least.arms); column.begin(null, []); });
      find('add').disabled = state.arms.length >= data.most.arms;
    };
    const restart = () => { page.shown = null; page.running?.stop(); settle(); columns(); changed(); if (page.ran) run(); };
    page.changed = (k, arm, released) => { state.arms[k] = arm; changed(); if (released && page.ran) run(); };
    page.remove = (k) => { state.arms.splice(k, 1); restart(); };

    const inputs = () => {
      const task = page.task(), options = task.rows.map(({ input }, k) => lab.make('option', { value: k }, `${k + 1}: ${input}`));
      find('row').replaceChildren(...options, lab.make('option', { value: -1 }, 'Your own text'));
      find('task').value = state.task; find('row').value = state.row; find('input').value = state.text;
      const gold = task.rows.find(({ input }) => input === state.text)?.gold;
      lab.say(find('gold'), gold ? `Right answer: ${gold}` : 'Your own text: no right answer is known, so nothing is scored.');
    };
    const choose = (row) => {
      state.row = row;
      if (row >= 0) state.text = page.task().rows[row].input;
      inputs(); changed();
      if (row < 0) find('input').focus(); else if (page.ran) run();
    };
    const step = (by) => choose((Math.max(0, state.row) + by + page.task().rows.length) % page.task().rows.length);

    const apply = (event) => {
      if (event.kind === 'begin') event.arms.forEach((arm, k) => page.columns[k]?.begin(arm, event.ends));
      else if (event.kind === 'tokens') page.columns[event.arm]?.tokens(event.tokens);
      else if (event.kind === 'answer') page.columns[event.arm]?.answer(event);
    };
    const settle = () => {
      page.running = null; find('columns').removeAttribute('aria-busy');
      if (lab.served) find('stop').hidden = true;
    };
    const follow = (id) => {
      page.running = lab.follow(id, say, (event) => {
        apply(event);
        if (event.kind === 'begin') say('Reading the prompts.');
        if (event.kind === 'tokens') say('Writing…');
        if (event.kind !== 'end') return;
        settle();
        if (event.state === 'failed') lab.trouble(new Error(`The run failed: ${event.because}. What was written stays. Run it again: a new worker starts`));
        say(event.state === 'done' ? `Done in ${lab.short(event.seconds)} s.` : `${event.state}: ${event.because}.`);
      });
    };
    const run = async () => {
      if (!lab.served) return;
      page.replay?.stop(); page.running?.stop(); settle(); lab.trouble(null);
      page.ran = true; page.shown = asked(); stale();
      for (const column of page.columns) column.begin(null, []);
      lab.set(find('columns'), { 'aria-busy': 'true' }); say('Asking the lab.');
      try {
        const mine = page.shown, { id } = await lab.post('/api/play', { task: state.task, input: state.text, arms: state.arms, seed: 0 });
        if (mine !== page.shown) { lab.order(id, 'stop').catch(() => {}); return; }
        find('stop').hidden = false; follow(id);
      } catch (error) { settle(); page.shown = null; lab.trouble(error); say(''); }
    };

    // The recorded play, written out as it was; whoever wants no motion sees it whole.
    const replay = (events) => {
      const left = events.filter(({ kind }) => kind !== 'end').flatMap((event) => (event.kind === 'tokens' ? event.tokens.map((token) => ({ ...event, tokens: [token] })) : [event]));
      page.shown = asked();
      if (lab.still) { left.forEach(apply); return; }
      page.replay = lab.player(null, () => { left.splice(0, state.arms.length).forEach(apply); return left.length > 0; });
      page.replay.start(60);
    };

    inputs(); columns();
    find('task').addEventListener('change', () => {
      Object.assign(state, { task: find('task').value, row: 0, text: '' });
      state.text = page.task().rows[0].input;
      state.arms = state.arms.map((arm) => ({ ...arm, schema: arm.schema && page.task().schema, passage: arm.passage && page.task().docs }));
      inputs(); restart();
    });
    find('row').addEventListener('change', () => choose(Number(find('row').value)));
    find('input').addEventListener('input', () => { state.text = find('input').value; state.row = page.task().rows.findIndex(({ input }) => input === state.text); find('row').value = state.row; changed(); });
    find('input').addEventListener('change', inputs);
    find('add').addEventListener('click', () => { state.arms.push({ ...state.arms[state.arms.length - 1] }); restart(); });
    find('ask').addEventListener('submit', (event) => { event.preventDefault(); run(); });
    find('input').addEventListener('keydown', (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); } });
    find('stop')?.addEventListener('click', () => lab.order(page.running?.id, 'stop').catch(lab.trouble));
    find('copy')?.addEventListener('click', (event) => { writeHash(state); lab.copy(location.href, event.target); });
    lab.keys({ r: run, '[': () => step(-1), ']': () => step(1) });
    const same = data.recorded && data.recorded[0].task === state.task && data.recorded[0].input === state.text && data.recorded[0].arms.map(words).join() === state.arms.map(words).join();
    if (same) replay(data.recorded);
    say(same ? 'A recorded run. Change something, or run it live.' : state.asked ? 'These settings were not run yet.' : 'Nothing has run yet.');
    document.body.dataset.ready = 'yes';
  };

  lab.begin('playground', start);
})();
