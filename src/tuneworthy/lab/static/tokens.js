// What happened to the tokens of a training row. The fill says what the loss does with a token:
// trained, ignored or cut off. The bar is its loss now (root scale), the tick its loss before.
'use strict';

(() => {
  const HEIGHT = 34, MOST = 12;
  const STATES = { t: 'trained', i: 'ignored', c: 'cut' };
  const height = (loss) => Math.min(HEIGHT - 1, 2 + (HEIGHT - 3) * Math.sqrt((loss ?? 0) / MOST));
  const level = (loss) => (loss > 3 ? 3 : loss > 1 ? 2 : loss > 0.4 ? 1 : 0);
  const shown = (text) => text.replace(/\n/g, '↵');
  lab.stateOf = (run, row, token) => STATES[run.rows[row]?.tokens[token]?.[1]] ?? 'ignored';
  lab.tokenText = (run, row, token) => {
    const text = run.rows[row]?.tokens[token]?.[0] ?? '';
    const last = token === run.rows[row].tokens.length - 1;
    return last && text === run.end ? '■ end' : shown(text);
  };

  lab.promptText = (run, row) => (run.rows[row]?.tokens.slice(0, run.answerAt(row)) ?? []).map(([one]) => one).join('');
  // What a training row is called: the first words of its question.
  lab.firstWords = (run, row, most = 6) => {
    const asked = lab.promptText(run, row).split('<|im_start|>user').pop().split('<|im_end|>')[0].trim().split(/\s+/);
    return `“${asked.slice(0, most).join(' ')}${asked.length > most ? ' …' : ''}”`;
  };

  // The prompt as text: a dashed underline where the loss ignores it, a fill where it is trained.
  lab.prompt = (host, run, row) => {
    const spans = [];
    for (const [text, state] of run.rows[row]?.tokens.slice(0, run.answerAt(row)) ?? []) {
      const last = spans[spans.length - 1];
      if (last?.state === state) last.text += shown(text); else spans.push({ state, text: shown(text) });
    }
    host.replaceChildren(...spans.map(({ state, text }) => lab.make('span', { class: STATES[state] }, text)));
    host.scrollTop = host.scrollHeight; // the row's own question ends the prompt
  };

  lab.lane = (host, pick) => {
    let key = '', chips = [];
    const build = (run, row) => {
      const from = run.answerAt(row), tokens = run.rows[row]?.tokens.slice(from) ?? [];
      chips = tokens.map(([, , before], k) => {
        const now = lab.shape('rect', { class: 'now' });
        const tick = lab.shape('rect', { class: 'before', y: HEIGHT - height(before), height: 1.5 });
        const text = lab.tokenText(run, row, from + k);
        const button = lab.make('button', { type: 'button', class: 'tok', 'data-k': k },
          lab.shape('svg', { 'aria-hidden': 'true' }, now, before === null ? '' : tick), lab.make('span', { class: 't' }, text));
        return { button, now, token: from + k, text };
      });
      host.replaceChildren(...chips.map(({ button }) => button));
    };

    host.addEventListener('click', (event) => {
      const chip = event.target.closest('.tok');
      if (chip) pick(Number(chip.dataset.k));
    });
    lab.arrows(host, pick);

    return (run, row, step, picked) => {
      const wanted = `${run.id} ${row} ${run.rows.length}`;
      if (key !== wanted || !host.firstChild) { build(run, row); key = wanted; }
      const at = Math.min(picked, chips.length - 1);
      chips.forEach(({ button, now, token, text }, k) => {
        const loss = run.losses(row, token, step), state = lab.stateOf(run, row, token);
        const high = loss.now === null ? 0 : height(loss.now);
        lab.set(now, { y: HEIGHT - high, height: high, class: `now h${level(loss.now)}` });
        lab.set(button, {
          class: `tok ${state}${text === '■ end' ? ' end' : ''}`,
          'aria-pressed': String(k === at), tabindex: k === at ? 0 : -1,
          'aria-label': `${text}, ${state}, loss ${lab.fine(loss.now)}, before ${lab.fine(loss.before)}`,
        });
      });
    };
  };
})();
