// Guess first: the visitor names a tool, then sees what was measured. All guesses stand in the hash,
// so that a reload shows the same. A copied link says that its guesses are somebody else's (`shared`);
// the first guess of its visitor starts anew. Works from a file: no request is made.
'use strict';

(() => {
  const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
  const WORDS = { right: 'Shown right', wrong: 'Shown wrong', open: 'Open', unmeasured: 'Not measured here', silent: 'Named no tool' };

  // Guesses as text: number of the task, letter of the tool, as in `0c12g`.
  const readHash = (data) => {
    const told = new URLSearchParams(location.hash.slice(1)), guesses = new Map();
    const other = told.has('v') && told.get('v') !== data.version;
    if (!other) {
      for (const [, task, letter] of (told.get('g') ?? '').matchAll(/(\d{1,4})([a-z])/g)) {
        const tool = data.tools[LETTERS.indexOf(letter)]?.name;
        if (data.tasks[task]?.tools.some(({ name }) => name === tool)) guesses.set(Number(task), tool);
      }
    }
    const at = /^\d{1,4}$/.test(told.get('at') ?? '') && !other ? Number(told.get('at')) : 0;
    return { guesses, at: Math.min(at, data.tasks.length - 1), other, shared: told.has('shared') && guesses.size > 0 };
  };
  const hashOf = (data, { guesses, at, shared }) => {
    const letter = (tool) => LETTERS[data.tools.findIndex(({ name }) => name === tool)];
    const said = [...guesses].map(([task, tool]) => `${task}${letter(tool)}`).join('');
    return new URLSearchParams({ v: data.version, at, ...(said ? { g: said } : {}), ...(shared && said ? { shared: 1 } : {}) }).toString();
  };

  const part = (value) => (value < 0 ? `−${lab.fine(-value)}` : lab.fine(value));
  const bounds = ({ mean, low, high }) => `${part(mean)} (${part(low)} to ${part(high)})`;

  const start = (data) => {
    const state = readHash(data), find = (id) => lab.find(`#${id}`);
    const task = () => data.tasks[state.at], guessed = () => state.guesses.get(state.at);
    const meaning = (tool) => data.tools.find(({ name }) => name === tool)?.means ?? '';
    if (state.other) lab.trouble(new Error('This link holds guesses about other tasks than these, so it starts anew'));
    if (state.shared) { find('trouble').hidden = false; find('trouble').replaceChildren('These are the guesses of whoever shared this link. ', lab.make('button', { type: 'button', class: 'plain', id: 'anew' }, 'Guess for yourself')); }

    const told = () => {
      const { instruction, size, base, metric, margin, judged } = task();
      const facts = [['instruction', instruction], ['labelled rows', size.toLocaleString('en')], ['base score', base === null ? 'not measured' : `${lab.fine(base)} (${metric}, the instruction alone)`], ['margin', `${lab.fine(margin)} of the score`], ['judged on', judged]];
      find('told').replaceChildren(...lab.terms(facts));
      find('rows').replaceChildren(...task().rows.map((row) => lab.cells('td', [row.input, row.output])));
      find('no-rows').hidden = task().rows.length > 0; lab.find('.rows').hidden = task().rows.length === 0;
    };

    const options = () => task().tools.map(({ name }, k) => {
      const button = lab.make('button', { type: 'button', class: 'option', 'aria-pressed': String(guessed() === name), 'data-tool': name }, lab.make('span', { class: 'soft' }, String(k + 1)), lab.make('b', {}, name), lab.make('small', {}, meaning(name)));
      if (guessed()) { button.disabled = true; if (name === task().use) button.classList.add('right'); }
      button.addEventListener('click', () => pick(name));
      return button;
    });

    const measured = ({ name, arm, score }) => {
      const line = (kind, from, to) => lab.shape('line', { class: kind, x1: 100 * from, x2: 100 * to, y1: 9, y2: 9 });
      const mark = (at) => lab.shape('line', { class: 'mark', x1: 100 * at, x2: 100 * at, y1: 3, y2: 15 });
      const chart = lab.shape('svg', { viewBox: '0 0 100 18', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, line('axis', 0, 1), ...(score ? [line('span', score.low, score.high), mark(score.mean)] : []));
      const row = lab.make('li', name === task().use ? { class: 'won' } : {}, lab.make('b', {}, name), chart, lab.make('span', {}, score ? bounds(score) : 'reference'));
      if (arm) row.title = arm;
      return row;
    };

    const reveal = () => {
      const tool = guessed(), mine = task().tools.find(({ name }) => name === tool);
      find('reveal').hidden = !tool;
      if (!tool) return;
      const behind = mine.behind ? ` It scores ${bounds(mine.behind)} less than the best arm.` : '';
      const { use, arm, status } = task();
      const simpler = mine.outcome === 'right' && tool !== use ? ', though the verdict names another tool' : '';
      lab.say(find('outcome'), `${WORDS[mine.outcome]}${simpler}. Measured: ${use}${arm ? ` (${arm})` : ''}, ${status}.${behind}`);
      find('measured').replaceChildren(...task().tools.filter(({ score }) => score).map(measured));
      find('named').replaceChildren(...data.advisers.map((label, k) => {
        const { tool: said, outcome } = task().named[k];
        return lab.make('li', {}, lab.make('span', {}, label), lab.make('span', {}, `${said ?? '–'}: ${WORDS[outcome].toLowerCase()}`));
      }));
    };

    const tally = (outcomes) => ({ right: outcomes.filter((each) => each === 'right').length, wrong: outcomes.filter((each) => each === 'wrong').length, n: outcomes.length });
    const score = () => {
      const done = [...state.guesses], mine = tally(done.map(([k, tool]) => data.tasks[k].tools.find(({ name }) => name === tool).outcome));
      const open = mine.n - mine.right - mine.wrong;
      lab.say(find('whose'), state.shared ? 'The score in this link' : 'Your score');
      lab.say(find('score'), mine.n ? `${mine.right} right, ${mine.wrong} wrong, ${open} open, of ${mine.n} guessed and ${data.tasks.length} in all.` : 'No guess yet.');
      const rows = [[state.shared ? 'Whoever shared this link' : 'You', mine], ...data.advisers.map((label, k) => [label, tally(done.map(([at]) => data.tasks[at].named[k].outcome))]).sort(([, one], [, other]) => other.right - one.right || one.wrong - other.wrong)];
      lab.find('.against').hidden = !mine.n;
      find('against').replaceChildren(...rows.map(([label, { right, wrong, n }], k) => lab.make('li', k ? {} : { class: 'you' }, lab.make('span', {}, label), lab.make('span', {}, `${right} right, ${wrong} wrong of ${n}`))));
    };

    const show = () => {
      lab.say(find('where'), `Task ${state.at + 1} of ${data.tasks.length} · ${task().kind}`); lab.say(find('task-title'), task().title);
      told(); find('tools').replaceChildren(...options()); reveal(); score();
      find('before').disabled = state.at === 0; find('next').disabled = state.at === data.tasks.length - 1;
      lab.address(hashOf(data, state));
    };
    const anew = () => { state.shared = false; state.guesses.clear(); lab.trouble(null); };
    const pick = (tool) => { if (!tool || guessed()) return; if (state.shared) anew(); state.guesses.set(state.at, tool); show(); find('outcome').focus(); };
    const move = (by) => { state.at = Math.min(data.tasks.length - 1, Math.max(0, state.at + by)); show(); };

    find('before').addEventListener('click', () => move(-1)); find('next').addEventListener('click', () => { move(1); scrollTo(0, 0); });
    const copy = () => lab.copy(`${location.href.split('#')[0]}#${hashOf(data, { ...state, shared: true })}`, find('copy'));
    find('copy').addEventListener('click', copy);
    lab.find('#anew')?.addEventListener('click', () => { anew(); state.at = 0; show(); find('task-title').focus(); });
    lab.keys({ ...lab.digits((k) => pick(task().tools[k]?.name)), n: () => move(1), ArrowRight: () => move(1), ArrowLeft: () => move(-1), c: copy });
    show();
  };

  lab.begin('guess', start);
})();
