// A blind run: name the cause of a run that says nothing about itself, or that nothing is wrong.
'use strict';

(() => {
  // Where a blind run comes from: the server knows what its key stands for; in an exported site
  // the key is a number that picks a recorded run.
  const fromServer = (data) => ({
    key: data.key,
    run: async (page) => {
      const { run, id } = await lab.askRun(data.key, {});
      return run ?? new Promise((done) => page.stream(id, 'run', done));
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
    lab.address(`run=${key}`);
    const one = data.pool[at(key)], clean = key % data.one_in === 0;
    let about = null;
    lab.case = (found) => { about = found; };
    const read = async () => { if (!about) await lab.file(`case-${one.slug}`); return about; };
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
    for (const { key, unit, low, high } of page.data.facts.flatMap((group) => group.facts)) {
      const value = measured[key] ?? measured.other?.[key] ?? null, words = (one) => lab.measured(one, key === 'prior' ? 'times' : unit, measured.answers);
      const node = lab.find(`[data-fact="${key}"]`), side = low === null || value === null ? '' : value > high ? '▲' : value < low ? '▼' : '';
      const seen = side && words(value) !== words(side === '▲' ? high : low); // as written, not by a digit that nobody sees
      lab.say(node, words(value)); node.classList.toggle('outside', Boolean(seen));
      lab.say(lab.find(`[data-side="${key}"]`), seen ? side : '');
    }
    for (const head of lab.all('#facts h3')) {
      const count = lab.all('.outside', head.nextElementSibling).length;
      lab.say(lab.find('span', head), count ? `${count} outside the clean range` : '');
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

  const words = (record, told) => ({
    kind: 'A blind run in the tuneworthy lab', title: record.right ? `Right, ${record.how}` : `Not this one, ${record.how}`, text: told.text,
    total: `${lab.points(record.points, record.most)} points · ${record.tally.right} of ${record.tally.runs} right, streak ${record.tally.streak}`,
    link: `tuneworthy lab · trace ${record.trace} · key ${record.key}`,
  });

  const start = async (data) => {
    const source = data.pool ? fromFile(data) : fromServer(data), { got, box, proof, open } = lab.steps;
    const state = { step: null, token: 0, row: 0, question: 0, guess: null, sure: 1, locked: false };
    const page = { data, state, runs: {}, busy: false, revealed: { guess: null, cite: {} }, about: null };
    const { revealed } = page, most = { cause: lab.steps.most(data), evidence: data.points.evidence };
    page.mine = () => page.runs.run ?? null;
    page.save = () => {};
    lab.instrument(page);
    const clean = () => revealed.guess?.truth === data.clean.key;
    const points = () => ({ cause: revealed.guess?.points ?? 0, evidence: proof(page) ? lab.steps.evidence(page) : 0 });
    // The case page, open at its third step: cause and evidence are known by now.
    const fixOf = (told) => `#${new URLSearchParams({ guess: told.truth, sure: told.sure, locked: 1, named: 1, cited: proof(page).measure })}`;

    const showEnd = (told) => {
      const { cause, evidence } = points(), finding = proof(page)?.finding;
      lab.say(lab.find('#verdict'), clean() ? `${told.right ? 'Right' : 'Wrong'}: it is a clean run.` : `Proved. Your cause was ${told.right ? 'right' : 'wrong'}.`);
      lab.say(lab.find('#total'), `${lab.points(cause + evidence, most.cause + (clean() ? 0 : most.evidence))} points`);
      const proven = clean() ? '; a clean run has nothing to prove' : `, evidence ${lab.points(evidence, most.evidence)}`;
      lab.say(lab.find('#parts'), `Cause ${lab.points(cause, most.cause)}${proven}`);
      lab.say(lab.find('#detector'), finding ? `The detector on the planted run: ${lab.tidy(finding.because)}.` : '');
      lab.find('#verify').hidden = clean();
      lab.set(lab.find('#verify'), { href: `${source.page(told.slug)}${clean() ? '' : fixOf(told)}` });
    };
    page.changed = () => {
      const told = revealed.guess, proved = Boolean(proof(page)), over = told && (clean() || proved);
      showCauses(told);
      lab.find('#told').hidden = !told;
      if (told) {
        lab.say(lab.find('#told'), told.right ? 'Right.' : `It was: ${told.text}`);
        got('guess', `${data.sure[told.sure]}: ${lab.points(told.points, most.cause)}`, !told.right);
      }
      const shown = proved && page.about.measures.find(({ key }) => revealed.cite[key]?.proves);
      if (page.about && !clean()) got('evidence', proved ? `${shown.own} here, ${shown.twin} without the fault` : Object.keys(revealed.cite).length ? 'proves nothing yet' : '', !proved);
      open(told ? (over ? 'won' : 'evidence') : 'guess');
      box('won').hidden = !over;
      box('evidence').hidden = Boolean(clean());
      if (over) showEnd(told);
    };

    // What this browser remembers of the run: a reload shows the same guess and the same citations.
    const kept = () => (lab.memory.read().blind ?? []).find((each) => each.key === source.key);
    const keep = ({ right, sure, cause }) => {
      const others = (lab.memory.read().blind ?? []).filter((each) => each.key !== source.key);
      lab.memory.write({ blind: [...others, { key: source.key, right, sure, cause, cited: Object.keys(revealed.cite) }].slice(-500) });
    };

    const cite = async (key, button) => {
      if (revealed.cite[key] || proof(page)) return;
      try { revealed.cite[key] = await source.cite(key); } catch (error) { lab.trouble(error); return; }
      keep(revealed.guess);
      const { proves, because } = revealed.cite[key], said = lab.find('#because');
      button.classList.add(proves ? 'right' : 'wrong'); said.hidden = proves; lab.say(said, `${because} −${data.points.less} points.`);
      page.changed();
    };
    const listMeasures = () => {
      lab.find('#measures').replaceChildren(...page.about.measures.map(({ key, title, own }) => lab.make('button', { type: 'button', class: 'option', 'data-measure': key },
        lab.make('span', {}, title, ' ', lab.make('b', {}, own ?? '')))));
      lab.choose('measure', cite);
    };
    const lock = async () => {
      try {
        const told = revealed.guess = await source.guess(state.guess, state.sure), cited = kept()?.cited ?? [];
        state.locked = true; state.guess = told.cause; state.sure = told.sure;
        if (!kept()?.cause) keep(told);
        if (!clean()) { page.about = await source.about(told.slug); listMeasures(); }
        for (const key of cited) await cite(key, lab.find(`[data-measure="${key}"]`));
      } catch (error) { lab.trouble(error); }
      sayTally(); page.changed(); lab.find('#told').scrollIntoView({ block: 'nearest' });
    };
    const record = async () => {
      const { cause, evidence } = points(), told = revealed.guess;
      return {
        schema: 1, key: source.key, trace: await source.trace(), cause: told.cause, truth: told.truth, right: told.right,
        how: data.sure[told.sure], points: cause + evidence, most: most.cause + (clean() ? 0 : most.evidence),
        cause_points: cause, evidence_points: evidence, cited: Object.keys(revealed.cite), tally: tally(),
      };
    };
    const showCauses = lab.steps.causes(page, lock);
    lab.find('#again').addEventListener('click', () => source.other().catch(lab.trouble));
    lab.find('#keep-json').addEventListener('click', async () => lab.keep(`blind-${source.key}.json`, new Blob([JSON.stringify(await record(), null, 2)], { type: 'application/json' })));
    lab.find('#keep-card').addEventListener('click', async () => lab.picture(page, `blind-${source.key}`, words(await record(), revealed.guess)));
    sayTally(); page.changed();
    try { const run = await source.run(page); page.show('run', run); facts(page, run); } catch (error) { lab.trouble(error); }
    if (kept()?.cause) { Object.assign(state, { guess: kept().cause, sure: kept().sure }); await lock(); }
    page.settle(); page.draw();
    lab.keys({ ...page.keys(), n: () => { location.href = lab.find('.brand').href; } });
    if (page.mine() && !lab.still) { state.step = 0; page.draw(); page.play.start(); }
    document.body.dataset.ready = 'yes';
  };

  lab.begin('blind', start);
})();
