// The playground: one input, two to four columns. A setting that was recorded is answered at once, another
// one by the worker of the lab, one column after the other; only the column that was touched is asked.
// What is asked stands in the hash, so that a link and a reload show the same settings.
'use strict';

(() => {
  const PAUSE = 300; // ms without another change, after which a setting is asked live
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
    return { task: task.name, row: text === null ? row : -1, text: text === null ? task.rows[row].input : text.slice(0, most.input), arms: arms.length >= least.arms ? arms : first.map((arm) => ({ ...arm })) };
  };
  const hash = ({ task, row, text, arms }) => {
    const said = new URLSearchParams({ task, ...(row < 0 ? { text } : { row }) });
    for (const arm of arms) said.append('arm', words(arm));
    return said;
  };

  const grids = new Map(); // the recorded answers to an input, by task and row
  lab.grid = ([{ columns, ...head }]) => grids.set(head.input, { ...head, of: new Map(columns.map((each) => [each[0], each])) });

  const start = (data) => {
    const state = readHash(data), page = { data, columns: [], wanted: [], running: null };
    const find = (id) => lab.find(`#${id}`), say = (text) => lab.say(find('status'), text);
    page.task = () => data.tasks.find((each) => each.name === state.task);
    page.means = (arm) => data.curves[state.task]?.[words(arm)] ?? null;
    page.curve = (arm, name) => data.stops[name].map((stop) => [stop, data.curves[state.task]?.[words({ ...arm, [name]: stop })]]).filter(([, means]) => means);
    const save = () => lab.address(hash(state));
    const grid = () => grids.get(state.text), recorded = (k) => grid()?.of.get(words(state.arms[k]));
    const load = async () => {
      const name = `${state.task}/${state.row}`;
      if (grid() || state.row < 0 || !data.curves[state.task]) return;
      await (lab.served ? lab.get(`/api/play/${name}`).then(lab.grid) : lab.file(`play-${name.replace('/', '-')}`));
    };

    // Show what column `k` answers: at once where it was recorded, else from the lab if `ask` is true.
    const show = (k, ask) => {
      const column = page.columns[k], known = recorded(k);
      drop(column);
      if (known) column.recorded(known, grid(), state.arms[k]);
      else if (!lab.served) column.open('Not recorded: ', lab.make('code', {}, 'tuneworthy lab'), ' runs it. Open there ', lab.make('code', {}, `/playground#${hash(state)}`));
      else if (ask) want(column);
      else column.open('Not recorded: it runs live when you let go, or press Run.');
    };
    const showAll = async (ask) => {
      for (const column of page.columns) column.forget();
      try { await load(); } catch (error) { lab.trouble(error); }
      page.columns.forEach((_, k) => show(k, ask));
      if (!page.running) say(`Settings between the points of a curve ${lab.served ? 'run live' : 'show the command that runs them'}.`);
    };

    const drop = (column) => { // what this column waits for or runs is not wanted any more
      page.wanted = page.wanted.filter((each) => each !== column);
      if (page.running?.column !== column) return;
      page.running.stop?.(); page.running = null; next();
    };
    const want = (column) => { column.open('Waits for its turn.'); page.wanted.push(column); next(); };
    const ended = (mine) => { if (page.running === mine) { page.running = null; next(); } };
    const next = () => {
      const column = page.running ? null : page.wanted.shift();
      lab.set(find('columns'), { 'aria-busy': String(Boolean(page.running ?? column)) });
      if (lab.served) find('stop').hidden = !(page.running ?? column);
      if (column) live(column);
    };
    const live = async (column) => {
      const mine = { column }, arm = state.arms[page.columns.indexOf(column)];
      page.running = mine; lab.trouble(null); column.open('Asking the lab.');
      try {
        const { id } = await lab.post('/api/play', { task: state.task, input: state.text, arm, seed: 0 });
        if (page.running !== mine) { lab.order(id, 'stop').catch(() => {}); return; }
        let answer = null;
        const run = lab.follow(id, say, (event) => {
          if (event.kind === 'begin') { column.begin({ ...event, passage: arm.passage }, event.ends); say('Reading the prompt.'); }
          if (event.kind === 'tokens') { column.tokens(event.tokens); say('Writing…'); }
          if (event.kind === 'answer') answer = event;
          if (event.kind !== 'end') return;
          if (answer) column.answer({ ...answer, how: `live, ${lab.short(event.seconds)} s` });
          if (event.state === 'failed') page.wanted = [], lab.trouble(new Error(`The run failed: ${event.because}. What was written stays. Run it again: a new worker starts`));
          say(event.state === 'done' ? `Done in ${lab.short(event.seconds)} s.` : `${event.state}: ${event.because}.`);
          ended(mine);
        });
        mine.stop = run.stop; mine.id = id;
      } catch (error) { column.open('Not run.'); page.wanted = []; lab.trouble(error); say(''); ended(mine); }
    };
    const run = () => { if (lab.served) for (const column of page.columns) { drop(column); want(column); } };

    let number = 0; // of the columns so far
    const add = (arm) => {
      const column = lab.column(page, number += 1);
      page.columns.push(column); find('columns').append(column.node);
      column.begin(null, []); column.set(arm);
    };
    const counted = () => {
      lab.set(find('columns'), { 'data-count': state.arms.length });
      for (const column of page.columns) column.single(state.arms.length <= data.least.arms);
      find('add').disabled = state.arms.length >= data.most.arms;
      save();
    };
    let later = 0;
    page.changed = (column, arm, released) => {
      const k = page.columns.indexOf(column);
      state.arms[k] = arm; save(); clearTimeout(later); show(k, false);
      if (released && lab.served && !recorded(k)) later = setTimeout(() => show(page.columns.indexOf(column), true), PAUSE);
    };
    page.remove = (column) => {
      const k = page.columns.indexOf(column);
      drop(column); column.node.remove(); page.columns.splice(k, 1); state.arms.splice(k, 1); counted();
    };

    const inputs = () => {
      const task = page.task(), options = task.rows.map(({ input }, k) => lab.make('option', { value: k }, `${k + 1}: ${input}`));
      find('row').replaceChildren(...options, lab.make('option', { value: -1 }, 'Your own text'));
      find('task').value = state.task; find('row').value = state.row; find('input').value = state.text;
      const gold = task.rows.find(({ input }) => input === state.text)?.gold;
      lab.say(find('score-means'), data.scores[task.name].replace(/\.$/, '')); lab.say(find('valid-means'), task.schema ? 'end and fit the schema' : 'end and are not empty');
      lab.say(find('gold'), gold ? `Right answer: ${gold}` : 'Your own text: no right answer is known, so nothing is scored.');
    };
    const own = () => { inputs(); for (const column of page.columns) { drop(column); column.empty(lab.served ? 'Press Run: it answers your text.' : 'Your own text needs a lab that runs here.'); } };
    const choose = (row) => {
      state.row = row;
      state.text = row < 0 ? '' : page.task().rows[row].input;
      if (row < 0) own(); else inputs();
      save();
      if (row < 0) find('input').focus(); else showAll(true);
    };
    const step = (by) => choose((Math.max(0, state.row) + by + page.task().rows.length) % page.task().rows.length);

    inputs();
    find('task').addEventListener('change', () => {
      Object.assign(state, { task: find('task').value, row: 0, text: '' });
      state.text = page.task().rows[0].input;
      state.arms = state.arms.map((arm) => ({ ...arm, schema: arm.schema && page.task().schema, passage: arm.passage && page.task().docs }));
      inputs(); save(); page.columns.forEach((column, k) => column.set(state.arms[k])); showAll(true);
    });
    find('row').addEventListener('change', () => choose(Number(find('row').value)));
    find('input').addEventListener('input', () => { state.text = find('input').value; state.row = page.task().rows.findIndex(({ input }) => input === state.text); if (state.row < 0) own(); save(); });
    find('input').addEventListener('change', () => { inputs(); showAll(false); });
    find('add').addEventListener('click', () => { const arm = { ...state.arms[state.arms.length - 1] }; state.arms.push(arm); add(arm); counted(); show(state.arms.length - 1, false); });
    find('ask').addEventListener('submit', (event) => { event.preventDefault(); run(); });
    find('input').addEventListener('keydown', (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); } });
    find('stop')?.addEventListener('click', () => { page.wanted = []; lab.order(page.running?.id, 'stop').catch(lab.trouble); });
    find('copy')?.addEventListener('click', (event) => { save(); lab.copy(location.href, event.target); });
    lab.keys({ r: run, '[': () => step(-1), ']': () => step(1) });
    if (lab.served) lab.post('/api/play/open', {}).catch(() => {}); // the model is loaded while one looks
    state.arms.forEach(add); counted();
    showAll(false).then(() => { document.body.dataset.ready = 'yes'; });
  };

  lab.begin('playground', start);
})();
