// A blind run: name the cause of a run that says nothing about itself, or that nothing is wrong.
'use strict';

(() => {
  const sum = (list) => list.reduce((whole, each) => whole + each, 0);

  // Where a blind run comes from: the server knows what its key stands for; in an exported site
  // the key is a number that picks a recorded run.
  const fromServer = (data) => ({
    key: data.key,
    run: async (page) => {
      const sent = await lab.post('/api/runs', { case: data.key, config: {}, seed: 0 });
      if (Array.isArray(sent)) return lab.record(sent);
      return new Promise((done) => page.stream(sent.id, 'run', done));
    },
    guess: (cause, sure) => lab.post(`/api/cases/${data.key}/guess`, { cause, sure }),
    cite: (measure) => lab.post(`/api/cases/${data.key}/cite`, { measure }),
    about: (slug) => lab.get(`/api/cases/${slug}`),
    trace: async () => (await lab.get(`/api/records/${data.key}`))[0].id,
    other: async () => { location.href = `/blind/${(await lab.post('/api/blind', {})).key}`; },
    page: (slug) => `/case/${slug}`,
  });

  // A key of a run that this browser has named less often than others: no repeats before all were seen.
  const unseen = (count, at) => {
    const times = Array(count).fill(0);
    for (const { key } of lab.memory.read().blind ?? []) if (/^\d{1,9}$/.test(key)) times[at(Number(key))] += 1;
    const least = Math.min(...times);
    for (;;) {
      const key = Math.floor(Math.random() * 1e9);
      if (times[at(key)] === least) return key;
    }
  };

  const fromFile = (data) => {
    const at = (key) => Math.floor(key / data.one_in) % data.pool.length;
    const told = /^#run=(\d{1,9})$/.exec(location.hash), key = told ? Number(told[1]) : unseen(data.pool.length, at);
    history.replaceState(null, '', `#run=${key}`);
    const one = data.pool[at(key)], clean = key % data.one_in === 0;
    let about = null;
    const read = () => new Promise((done, failed) => {
      if (about) { done(about); return; }
      lab.case = (found) => { about = found; done(found); };
      const script = lab.make('script', { src: `data/case-${one.slug}.js` });
      script.addEventListener('error', () => failed(new Error(`data/case-${one.slug}.js is not there`)));
      document.head.append(script);
    });
    return {
      key: String(key),
      run: () => lab.load(clean ? one.twin : one.plant),
      async guess(cause, sure) {
        const [known] = Object.values((await read()).reveal.guess)[0], truth = clean ? data.clean.key : known.truth;
        const right = cause === truth;
        return { cause, sure, right, truth, points: data.points[right ? 'right' : 'wrong'][sure], text: clean ? data.clean.text : known.text, slug: one.slug };
      },
      cite: async (measure) => (await read()).reveal.cite[measure],
      about: read,
      trace: async () => (clean ? one.twin : one.plant),
      other: async () => { location.hash = ''; location.reload(); },
      page: (slug) => `case-${slug}.html`,
    };
  };

  const facts = (page, run) => {
    const measured = run.ended?.facts ?? {};
    for (const { key, unit, low, high } of page.data.facts) {
      const value = measured[key] ?? null, words = (one) => lab.measured(one, key === 'prior' ? 'times' : unit, measured.answers);
      const node = lab.find(`[data-fact="${key}"]`), side = low === null || value === null ? '' : value > high ? '▲ above' : value < low ? '▼ below' : '';
      const seen = side && words(value) !== words(side === '▲ above' ? high : low); // as written, not by a digit that nobody sees
      lab.say(node, words(value)); node.classList.toggle('outside', Boolean(seen));
      lab.say(lab.find(`[data-side="${key}"]`), seen ? `${side} ` : '');
    }
  };

  const tally = () => {
    const runs = lab.memory.read().blind ?? [], right = runs.filter((each) => each.right);
    let streak = 0;
    for (const each of runs.slice().reverse()) { if (!each.right) break; streak += 1; }
    const certain = runs.filter((each) => each.sure === 2), hits = certain.filter((each) => each.right).length;
    return { runs: runs.length, right: right.length, streak, certain: certain.length, hits };
  };
  const sayTally = () => {
    const { runs, right, streak, certain, hits } = tally();
    if (runs) lab.say(lab.find('#tally'), `${right} of ${runs} right · streak ${streak}${certain ? ` · certain: right ${hits} of ${certain}` : ''}`);
  };

  const keep = (name, kind, text) => {
    const link = lab.make('a', { href: URL.createObjectURL(new Blob([text], { type: kind })), download: name });
    link.click(); setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const card = (record) => {
    const lines = [['Blind run', 28, 40], [record.right ? `Right, ${record.how}` : `Not this one, ${record.how}`, 22, 78],
      [`${lab.points(record.points, record.most)} points (cause ${record.cause_points}, evidence ${record.evidence_points})`, 16, 108],
      [`${record.tally.right} of ${record.tally.runs} right, streak ${record.tally.streak}`, 16, 134], [`trace ${record.trace} · key ${record.key}`, 13, 170]];
    const svg = lab.shape('svg', { xmlns: 'http://www.w3.org/2000/svg', width: 480, height: 190, viewBox: '0 0 480 190', 'font-family': 'sans-serif' },
      lab.shape('rect', { width: 480, height: 190, rx: 10, fill: '#fcfbf8', stroke: '#0b6b60' }),
      ...lines.map(([text, size, y]) => lab.shape('text', { x: 24, y, 'font-size': size, fill: '#1d1c1a' }, text)));
    return new XMLSerializer().serializeToString(svg);
  };

  const start = async (data) => {
    const source = data.pool ? fromFile(data) : fromServer(data);
    const state = { step: null, token: 0, row: 0, question: 0, guess: null, sure: 1, cited: [] };
    const page = { data, state, runs: {}, busy: false, told: null, about: null, cite: {} };
    page.mine = () => page.runs.run ?? null;
    page.save = () => {};
    lab.instrument(page);
    const box = (name) => lab.find(`[data-step="${name}"]`), got = (name, text, bad) => { const node = lab.find('.got', box(name)); lab.say(node, text); node.classList.toggle('no', Boolean(bad)); };
    const proved = () => Object.values(page.cite).some((each) => each.proves);
    const points = () => {
      const wrong = Object.values(page.cite).filter((each) => !each.proves).length;
      const evidence = proved() ? Math.max(0, data.points.evidence - data.points.less * wrong) : 0;
      return { cause: page.told?.points ?? 0, evidence };
    };

    // The case page, open at its third step: cause and evidence are known by now.
    const fixOf = (told) => `#${new URLSearchParams({ guess: told.truth, sure: told.sure, locked: 1, named: 1, cited: Object.keys(page.cite).find((key) => page.cite[key].proves) })}`;
    const most = { cause: Math.max(...data.points.right), evidence: data.points.evidence };

    const show = () => {
      const { told } = page, clean = told?.truth === data.clean.key, over = told && (clean || proved());
      for (const button of lab.all('[data-cause]')) {
        const key = button.dataset.cause;
        lab.set(button, { 'aria-pressed': String(key === state.guess) });
        button.classList.toggle('right', key === told?.truth); button.classList.toggle('wrong', Boolean(told) && key === state.guess && !told.right);
        button.disabled = Boolean(told);
      }
      for (const button of lab.all('[data-sure]')) lab.set(button, { 'aria-pressed': String(Number(button.dataset.sure) === state.sure) });
      lab.find('#lock').disabled = state.guess === null; lab.find('#lock').hidden = lab.find('#sure').hidden = Boolean(told);
      lab.find('#told').hidden = !told;
      if (told) {
        lab.say(lab.find('#told'), told.right ? `Right. ${told.text}` : `It was: ${told.text}`);
        got('guess', `${data.sure[told.sure]}: ${lab.points(told.points, most.cause)}`, !told.right);
      }
      if (page.about && !clean) got('evidence', proved() ? 'holds' : Object.keys(page.cite).length ? 'proves nothing yet' : '', !proved());
      box('won').hidden = !over;
      lab.set(box('guess'), { 'data-open': told ? 'no' : 'yes' }); lab.set(box('evidence'), { 'data-open': told && !over ? 'yes' : 'no' });
      box('evidence').hidden = clean;
      if (!over) return;
      const { cause, evidence } = points(), finding = Object.values(page.cite).find((each) => each.proves)?.finding;
      lab.say(lab.find('#verdict'), told.right ? 'Named, and shown.' : 'Shown, after the fact.');
      lab.say(lab.find('#total'), `${lab.points(cause + evidence, most.cause + (clean ? 0 : most.evidence))} points`);
      lab.say(lab.find('#parts'), `Cause ${lab.points(cause, most.cause)}${clean ? '; a clean run has nothing to prove' : `, evidence ${lab.points(evidence, most.evidence)}`}`);
      lab.say(lab.find('#detector'), finding ? `The detector on the planted run: ${lab.tidy(finding.because)}.` : '');
      lab.set(lab.find('#verify'), { href: `${source.page(told.slug)}${clean ? '' : fixOf(told)}` }); lab.find('#verify').hidden = clean;
    };

    const list = () => {
      const buttons = page.about.measures.map(({ key, title }) => {
        const button = lab.make('button', { type: 'button', class: 'option', 'data-measure': key }, lab.make('kbd', { 'aria-hidden': 'true' }, '?'), lab.make('span', {}, title));
        button.addEventListener('click', async () => {
          if (page.cite[key] || proved()) return;
          try { page.cite[key] = await source.cite(key); } catch (error) { page.trouble(error); return; }
          const { proves, because } = page.cite[key], said = lab.find('#because');
          button.classList.add(proves ? 'right' : 'wrong'); said.hidden = proves; lab.say(said, `${because} −${data.points.less} points.`);
          show();
        });
        return button;
      });
      lab.find('#measures').replaceChildren(...buttons);
    };

    const lock = async () => {
      try {
        page.told = await source.guess(state.guess, state.sure);
        const runs = lab.memory.read().blind ?? [];
        if (!runs.some((each) => each.key === source.key)) lab.memory.write({ blind: [...runs, { key: source.key, right: page.told.right, sure: page.told.sure }].slice(-500) });
        if (page.told.truth !== data.clean.key) { page.about = await source.about(page.told.slug); list(); }
      } catch (error) { page.trouble(error); }
      sayTally(); show();
    };
    const record = async () => {
      const { cause, evidence } = points(), { told } = page;
      return { schema: 1, key: source.key, trace: await source.trace(), cause: told.cause, truth: told.truth, right: told.right, how: data.sure[told.sure], points: sum([cause, evidence]), most: most.cause + (told.truth === data.clean.key ? 0 : most.evidence), cause_points: cause, evidence_points: evidence, cited: Object.keys(page.cite), tally: tally() };
    };
    for (const button of lab.all('[data-cause]')) button.addEventListener('click', () => { state.guess = button.dataset.cause; show(); });
    for (const button of lab.all('[data-sure]')) button.addEventListener('click', () => { state.sure = Number(button.dataset.sure); show(); });
    lab.find('#lock').addEventListener('click', lock);
    lab.find('#again').addEventListener('click', () => source.other().catch(page.trouble));
    lab.find('#keep-json').addEventListener('click', async () => keep(`blind-${source.key}.json`, 'application/json', JSON.stringify(await record(), null, 2)));
    lab.find('#keep-svg').addEventListener('click', async () => keep(`blind-${source.key}.svg`, 'image/svg+xml', card(await record())));
    sayTally(); show();
    try { const run = await source.run(page); page.show('run', run); facts(page, run); } catch (error) { page.trouble(error); }
    page.settle(); page.draw();
    lab.keys({ ...page.keys(), n: () => { location.href = lab.find('.brand').href; } });
    if (page.mine() && !lab.still) { state.step = 0; page.draw(); page.play.start(); }
    document.body.dataset.ready = 'yes';
  };

  lab.blind = (data) => start(data);
  const block = lab.find('#blind-data');
  if (block) addEventListener('DOMContentLoaded', () => lab.blind(JSON.parse(block.textContent)));
})();
