// One column of the playground: its settings, its answer token by token, and what else the model
// considered at the token that is looked at.
'use strict';

(() => {
  const WIDE = 120;
  const LEVELS = [0.05, 0.3, 1, 2.5]; // nats: over 95, 74, 37 and 8 percent
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

  const slider = (text, name, most, step) => {
    const value = lab.make('b', { class: 'value' }), input = lab.make('input', { type: 'range', min: 0, max: most, step, 'data-set': name });
    return { node: lab.make('label', { class: 'set' }, lab.make('span', {}, text), value, input), input, value };
  };
  const box = (text, name) => {
    const input = lab.make('input', { type: 'checkbox', 'data-set': name });
    return { node: lab.make('label', { class: 'tick-box' }, input, text), input };
  };

  const settings = (most) => {
    const range = {
      shots: slider('Examples', 'shots', most.shots, 1), strength: slider('Adapter strength', 'strength', most.strength, 0.05),
      temperature: slider('Temperature', 'temperature', most.temperature, 0.1),
    };
    const tick = { schema: box('Schema', 'schema'), passage: box('Passage', 'passage') };
    const node = lab.make('div', { class: 'settings' }, ...Object.values(range).map((one) => one.node),
      lab.make('div', { class: 'ticks' }, ...Object.values(tick).map((one) => one.node)));
    return { node, range, tick };
  };

  // What the model considered at a token: the likeliest five, with a bar each.
  const considered = (host, token, ends, unasked) => {
    if (!token) { host.replaceChildren(lab.make('p', { class: 'soft tiny' }, 'Point at a token: the five likeliest at its place stand here.')); return; }
    const [text, log, others] = token, named = (word) => (ends.includes(word) ? '■ end' : shown(word) || '∅');
    const row = ([word, value]) => {
      const share = Math.exp(value), mine = word === text;
      return lab.make('li', mine ? { class: 'mine' } : {}, lab.make('code', {}, named(word)),
        lab.shape('svg', { viewBox: `0 0 ${WIDE} 9`, width: '100%', height: 9, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, lab.shape('rect', { width: Math.max(1, WIDE * share), height: 9, rx: 2 })),
        lab.make('span', {}, lab.chance(-value)));
    };
    const listed = others.some(([word]) => word === text);
    host.replaceChildren(lab.make('ol', {}, ...others.map(row)),
      lab.make('p', { class: 'soft tiny' }, unasked ? `Least sure here: ${named(text)}. Point at any token.` : listed ? `Chosen: ${named(text)}` : `Chosen: ${named(text)}, ${lab.chance(-log)}, not among the five likeliest`));
  };

  const verdict = (host, { answer, begin, error }) => {
    if (error || answer?.error) { lab.say(host, `No answer: ${error ?? answer.error}`); host.className = 'verdict bad'; return; }
    if (!answer) { lab.say(host, ''); host.className = 'verdict'; return; }
    const parts = [answer.ended ? 'ended by itself' : 'cut at the limit'];
    if (answer.valid !== null) parts.push(answer.valid ? 'valid' : 'not valid');
    parts.push(answer.score === null ? 'no right answer known' : `score ${lab.fine(answer.score)}`);
    parts.push(`${answer.tokens} tokens after a prompt of ${begin.prompt_tokens}`);
    lab.say(host, parts.join(' · ')); host.className = `verdict ${answer.ended && answer.valid !== false ? 'own' : 'bad'}`;
  };

  // `page` has data.most, task(), changed(k, done) and remove(k).
  lab.column = (page, k) => {
    const { node: form, range, tick } = settings(page.data.most), id = `column-${k}`;
    const name = lab.make('h2', { id }), remove = lab.make('button', { type: 'button', class: 'plain' }, 'Remove');
    const stream = lab.make('div', { class: 'stream', role: 'group', 'aria-label': 'The answer, token by token' });
    const said = lab.make('p', { class: 'verdict' }), others = lab.make('div', { class: 'others' });
    const passage = lab.make('p', { class: 'passage tiny' }), node = lab.make('section', { class: 'column', 'aria-labelledby': id },
      lab.make('header', {}, name, remove), form, passage, stream, said, others);
    let told = { tokens: [], ends: [] }, at = -1, pinned = false;

    const look = (k2, unasked = false) => {
      at = Math.max(-1, Math.min(told.tokens.length - 1, k2));
      lab.all('button', stream).forEach((chip, n) => { lab.set(chip, { tabindex: n === Math.max(0, at) ? 0 : -1, 'aria-pressed': String(n === at) }); });
      considered(others, told.tokens[at], told.ends, unasked);
    };
    const leastSure = () => told.tokens.reduce((least, [, log], n) => (log < told.tokens[least][1] ? n : least), 0);
    const chip = (token, n) => {
      const [text, log] = token, end = told.ends.includes(text);
      return lab.make('button', { type: 'button', class: `word s${level(-log)}${end ? ' end' : ''}`, 'data-n': n, tabindex: n ? -1 : 0, 'aria-pressed': 'false', 'aria-label': `${end ? 'end of turn' : shown(text)}, ${lab.chance(-log)}` }, end ? '■ end' : shown(text) || '∅');
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
      for (const [key, { value }] of Object.entries(range)) lab.say(value, lab.short(arm[key]));
      lab.say(name, lab.armName(arm));
    };
    form.addEventListener('input', () => { write(); page.changed(k, read(), false); });
    form.addEventListener('change', () => page.changed(k, read(), true));
    remove.addEventListener('click', () => page.remove(k));

    return {
      node, read,
      set(arm) {
        for (const [key, { input }] of Object.entries(range)) input.value = arm[key];
        for (const [key, { input }] of Object.entries(tick)) input.checked = arm[key];
        const task = page.task();
        tick.schema.node.hidden = !task.schema; tick.passage.node.hidden = !task.docs;
        write();
      },
      single(only) { remove.hidden = only; },
      stale(on) { node.classList.toggle('stale', on); },
      begin(begin, ends) {
        told = { tokens: [], ends, begin }; at = -1; pinned = false;
        stream.replaceChildren(); considered(others, null, []); verdict(said, {});
        passage.hidden = !begin?.passage; lab.say(passage, begin?.passage_text ? `Passage found: ${begin.passage_text.join('. ')}` : 'No passage was found for this input.');
      },
      tokens(list) {
        stream.append(...list.map((token, n) => chip(token, told.tokens.length + n)));
        told.tokens.push(...list);
      },
      answer(answer) { verdict(said, { answer, begin: told.begin }); if (!answer.ended && !answer.error) stream.append(lab.make('span', { class: 'limit' }, '… cut')); if (at < 0 && told.tokens.length) look(leastSure(), true); },
      failed(why) { verdict(said, { error: why }); },
    };
  };
})();
