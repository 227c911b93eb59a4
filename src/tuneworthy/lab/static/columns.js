// One column of the playground: its settings as curves that one drags, its answer token by token, and
// what else the model considered at the token that is looked at.
'use strict';

(() => {
  const WIDE = 120;
  const LEVELS = [0.05, 0.3, 1, 2.5]; // nats: over 95, 74, 37 and 8 percent
  const SURE = 'over 95 %'; // a recorded token without a log-probability
  const likely = (log) => (log === null ? SURE : lab.chance(-log));
  const level = (loss) => { const at = LEVELS.findIndex((most) => loss <= most); return at < 0 ? LEVELS.length : at; };
  const shown = (text) => text.replace(/\n/g, '↵').replace(/\t/g, '⇥');

  lab.armName = ({ shots, schema, passage, temperature, strength }) => {
    const parts = [strength ? `Adapter × ${lab.short(strength)}` : 'Base model'];
    parts.push(shots === 0 ? 'no examples' : shots === 1 ? '1 example' : `${shots} examples`);
    if (schema) parts.push('schema');
    if (passage) parts.push('passage');
    if (temperature) parts.push(`T ${lab.short(temperature)}`);
    return parts.join(', ');
  };

  // A control over the recorded answers: mean score (and the share of valid ones) at each of its stops,
  // the column's other settings as they are. The range lies over the chart, so a drag moves the point.
  const HIGH = 44, y = (share) => HIGH - 4 - (HIGH - 8) * share;
  const curve = (text, name, most, step, about) => {
    const value = lab.make('b', { class: 'value' }), input = lab.make('input', { type: 'range', min: 0, max: most, step, 'data-set': name });
    const svg = lab.shape('svg', { width: '100%', height: HIGH, 'aria-hidden': 'true' }), x = (at) => (100 * at) / most;
    const between = (points, at, which) => { // on the line between two stops
      const after = points.findIndex(([stop]) => stop >= at), [high, high2] = points[after] ?? [], [low, low2] = points[after - 1] ?? [];
      if (after < 0) return null;
      return after === 0 || high === at ? high2[which] : low2[which] + ((high2[which] - low2[which]) * (at - low)) / (high - low);
    };
    const draw = (points, at) => {
      const drawn = [[1, 'twin'], [0, 'rerun']].filter(([which]) => points.length && points.every(([, means]) => means[which] !== null));
      const lines = drawn.map(([which, tone]) => lab.shape('polyline', { class: tone, points: points.map(([stop, means]) => `${x(stop)},${y(means[which])}`).join(' ') }));
      const dots = drawn.flatMap(([which, tone]) => points.map(([stop, means]) => lab.shape('circle', { class: `dot ${tone}`, cx: `${x(stop)}%`, cy: y(means[which]), r: 2.5 })));
      const mine = points.find(([stop]) => stop === at)?.[1], height = points.length ? between(points, at, 0) : null;
      svg.replaceChildren(lab.shape('line', { class: 'grid', x1: 0, x2: '100%', y1: y(0), y2: y(0) }), lab.shape('line', { class: 'cursor', x1: `${x(at)}%`, x2: `${x(at)}%`, y1: 0, y2: HIGH }),
        lab.shape('svg', { viewBox: `0 0 100 ${HIGH}`, width: '100%', height: HIGH, preserveAspectRatio: 'none' }, ...lines), ...dots, lab.shape('circle', { class: 'dot at', cx: `${x(at)}%`, cy: height === null ? y(0) : y(height), r: 5 }));
      const means = mine ? [`score ${lab.fine(mine[0])}`, ...(mine[1] === null ? [] : [`valid ${lab.fine(mine[1])}`])].join(', ') : points.length ? 'between two points' : 'not recorded';
      lab.say(value, lab.short(at)); lab.set(input, { 'aria-valuetext': `${lab.short(at)}; ${means}` });
      lab.say(said, mine ? about : means);
    };
    const said = lab.make('span', { class: 'over' });
    const node = lab.make('label', { class: 'set' }, lab.make('span', {}, text, ' ', value), said, lab.make('span', { class: 'plot' }, svg, input));
    return { node, input, draw };
  };
  const box = (text, name) => {
    const input = lab.make('input', { type: 'checkbox', 'data-set': name });
    return { node: lab.make('label', { class: 'tick-box' }, input, text), input };
  };

  const settings = (most) => {
    const range = {
      shots: curve('Examples', 'shots', most.shots, 1, 'solved, in the prompt'), strength: curve('Adapter strength', 'strength', most.strength, 0.25, '0: base, 1: as trained'),
      temperature: curve('Temperature', 'temperature', most.temperature, 0.25, '0: likeliest token'),
    };
    const tick = { schema: box('Schema: only the asked JSON can be written', 'schema'), passage: box('Passage: a found text is in the prompt', 'passage') };
    const node = lab.make('div', { class: 'settings' }, ...Object.values(range).map((one) => one.node),
      lab.make('div', { class: 'ticks' }, ...Object.values(tick).map((one) => one.node)));
    return { node, range, tick };
  };

  // What the model considered at a token: the likeliest five, with a bar each.
  const considered = (host, token, ends, unasked) => {
    if (!token) { host.replaceChildren(lab.make('p', { class: 'soft tiny' }, 'Point at a token: the likeliest at its place stand here.')); return; }
    const [text, log, others] = token, named = (word) => (ends.includes(word) ? '■ end' : shown(word) || '∅');
    const row = ([word, value]) => {
      const share = Math.exp(value), mine = word === text;
      return lab.make('li', mine ? { class: 'mine' } : {}, lab.make('code', {}, named(word)),
        lab.shape('svg', { viewBox: `0 0 ${WIDE} 9`, width: '100%', height: 9, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, lab.shape('rect', { width: Math.max(1, WIDE * share), height: 9, rx: 2 })),
        lab.make('span', {}, lab.chance(-value)));
    };
    const listed = others.some(([word]) => word === text);
    host.replaceChildren(lab.make('p', { class: 'soft tiny' }, log === null ? `Chosen: ${named(text)}, ${SURE}; the others are not in the record` : unasked ? `Least sure here: ${named(text)}${listed ? '' : `, ${likely(log)}, not among those listed`}. Point at a token: its likeliest alternatives stand here.` : listed ? `Chosen: ${named(text)}` : `Chosen: ${named(text)}, ${likely(log)}, not among those listed`),
      lab.make('ol', {}, ...others.map(row)));
  };

  // A figure, and in brackets what it was before the last change.
  const since = (name, now, was) => `${name} ${lab.fine(now)}${was === null || was === undefined || lab.fine(was) === lab.fine(now) ? '' : ` (before ${lab.fine(was)})`}`;

  const verdict = (host, { answer, begin, was }) => {
    if (answer?.error) { lab.say(host, `No answer: ${answer.error}`); host.className = 'verdict bad'; return; }
    if (!answer) { lab.say(host, ''); host.className = 'verdict'; return; }
    const parts = [answer.how, answer.ended ? 'ended by itself' : 'cut at the limit'];
    if (answer.valid !== null) parts.push(answer.valid ? 'valid' : 'not valid');
    parts.push(answer.score === null ? 'no right answer known' : since('score', answer.score, was));
    parts.push(`${answer.tokens} tokens after a prompt of ${begin.prompt_tokens}`);
    lab.say(host, parts.join(' · ')); host.className = `verdict ${answer.ended && answer.valid !== false && (answer.score ?? 1) >= 1 ? 'own' : 'bad'}`;
  };

  // `page` has data.most, task(), curve(arm, name), changed(column, arm, done) and remove(column).
  lab.column = (page, key) => {
    const { node: form, range, tick } = settings(page.data.most), id = `column-${key}`;
    const name = lab.make('h2', { id }), remove = lab.make('button', { type: 'button', class: 'plain' }, 'Remove');
    const stream = lab.make('div', { class: 'stream', role: 'group', 'aria-label': 'The answer, token by token' });
    const said = lab.make('p', { class: 'verdict' }), mean = lab.make('p', { class: 'mean' }), others = lab.make('div', { class: 'others' });
    const passage = lab.make('p', { class: 'passage tiny' }), node = lab.make('section', { class: 'column', 'aria-labelledby': id },
      lab.make('header', {}, name, remove), form, mean, said, passage, stream, others);
    let told = { tokens: [], ends: [] }, at = -1, pinned = false;
    let last = null, before = null; // what stands here, and what stood here before the control was touched
    let held = false; // while it is dragged

    const look = (k2, unasked = false) => {
      at = Math.max(-1, Math.min(told.tokens.length - 1, k2));
      lab.all('button', stream).forEach((chip, n) => { lab.set(chip, { tabindex: n === Math.max(0, at) ? 0 : -1, 'aria-pressed': String(n === at) }); });
      considered(others, told.tokens[at], told.ends, unasked);
    };
    const leastSure = () => told.tokens.reduce((least, [, log], n) => ((log ?? 0) < (told.tokens[least][1] ?? 0) ? n : least), 0);
    const chip = (token, n) => {
      const [text, log] = token, end = told.ends.includes(text);
      return lab.make('button', { type: 'button', class: `word s${level(-log)}${end ? ' end' : ''}`, 'data-n': n, tabindex: n ? -1 : 0, 'aria-pressed': 'false', 'aria-label': `${end ? 'end of turn' : shown(text)}, ${likely(log)}` }, end ? '■ end' : shown(text) || '∅');
    };
    const number = (event) => { const one = event.target.closest('.word'); return one ? Number(one.dataset.n) : -1; };
    stream.addEventListener('pointerover', (event) => { if (!pinned && number(event) >= 0) look(number(event)); });
    stream.addEventListener('focusin', (event) => { if (number(event) >= 0) look(number(event)); });
    stream.addEventListener('click', (event) => { const n = number(event); if (n >= 0) { pinned = !(pinned && n === at); look(n); } });
    lab.arrows(stream, look);

    const read = () => ({
      shots: Number(range.shots.input.value), schema: tick.schema.input.checked, passage: tick.passage.input.checked,
      temperature: Number(range.temperature.input.value), strength: Number(range.strength.input.value),
    });
    const write = () => {
      const arm = read();
      for (const [key, { draw }] of Object.entries(range)) draw(page.curve(arm, key), arm[key]);
      lab.say(name, lab.armName(arm));
      const now = page.means(arm), was = before?.means;
      lab.say(mean, now ? ['All inputs: ' + since('score', now[0], was?.[0]), ...(now[1] === null ? [] : [since('valid', now[1], was?.[1])])].join(', ') : 'All inputs: not recorded with these settings');
      last = { ...last, means: now };
    };
    form.addEventListener('input', () => { if (!held) { held = true; before = last; } write(); page.changed(column, read(), false); });
    form.addEventListener('change', () => { held = false; page.changed(column, read(), true); });
    remove.addEventListener('click', () => page.remove(column));

    const column = {
      node,
      set(arm) {
        for (const [key, { input }] of Object.entries(range)) input.value = arm[key];
        for (const [key, { input }] of Object.entries(tick)) input.checked = arm[key];
        const task = page.task();
        tick.schema.node.hidden = !task.schema; tick.passage.node.hidden = !task.docs;
        write();
      },
      single(only) { remove.hidden = only; },
      forget() { before = null; write(); },
      // Nothing answers these settings yet: what stood here fades, and the column says what will come.
      open(...words) { node.classList.add('stale'); said.replaceChildren(...words); said.className = 'verdict'; },
      empty(...words) { this.begin(null, []); this.open(...words); },
      begin(begin, ends) {
        node.classList.remove('stale');
        told = { tokens: [], ends, begin }; at = -1; pinned = false;
        stream.replaceChildren(); considered(others, null, []); verdict(said, {});
        passage.hidden = !begin?.passage; lab.say(passage, begin?.passage_text ? `Passage found: ${begin.passage_text.join('. ')}` : 'No passage was found for this input.');
      },
      tokens(list) {
        stream.append(...list.map((token, n) => chip(token, told.tokens.length + n)));
        told.tokens.push(...list);
      },
      // A recorded answer, whole: [its settings, the prompt's tokens, [ended, valid, score], tokens].
      recorded([, prompt, [ended, valid, score], tokens], { ends, passage }, arm) {
        this.begin({ prompt_tokens: prompt, passage: arm.passage, passage_text: passage }, ends);
        this.tokens(tokens.map((token) => (Array.isArray(token) ? token : [token, null, []])));
        this.answer({ how: 'recorded', ended: Boolean(ended), valid, score, tokens: tokens.length });
      },
      answer(answer) { verdict(said, { answer, begin: told.begin, was: before?.score }); last = { ...last, score: answer.score }; if (!answer.ended && !answer.error) stream.append(lab.make('span', { class: 'limit' }, '… cut')); if (at < 0 && told.tokens.length) look(leastSure(), true); },
    };
    return column;
  };
})();
