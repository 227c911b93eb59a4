// The steps of a case: name the cause, cite the measurement that proves it, see the end. A blind run
// has the first two of them.
'use strict';

(() => {
  const box = (name) => lab.find(`[data-step="${name}"]`);
  const proof = ({ revealed }) => Object.values(revealed.cite).find((each) => each.proves);

  lab.steps = {
    box,
    proof,
    got(name, text, bad = false) {
      const node = lab.find('.got', box(name));
      lab.say(node, text); node.classList.toggle('no', bad);
    },
    open(name) { for (const each of lab.all('[data-open]')) each.dataset.open = each.dataset.step === name ? 'yes' : 'no'; },
    most: ({ points }) => Math.max(...points.right),
    evidence({ data, revealed }) {
      const wrong = Object.values(revealed.cite).filter((each) => !each.proves).length;
      return Math.max(0, data.points.evidence - data.points.less * wrong);
    },

    // Name the cause: the buttons, how sure, the lock. The function returned marks them; `told` is
    // what the guess revealed, once it may be seen.
    causes(page, lock) {
      const { state } = page;
      page.pick = (cause) => {
        if (state.locked || !cause || lab.find(`[data-cause="${cause}"]`)?.disabled) return;
        state.guess = cause; page.changed();
      };
      lab.choose('cause', page.pick);
      lab.choose('sure', (sure) => { state.sure = Number(sure); page.changed(); });
      lab.find('#lock').addEventListener('click', lock);
      return (told) => {
        lab.press('cause', state.guess); lab.press('sure', state.sure);
        for (const button of lab.all('[data-cause]')) {
          const key = button.dataset.cause;
          button.classList.toggle('right', key === told?.truth);
          button.classList.toggle('wrong', key === state.missed || (Boolean(told) && key === state.guess && !told.right));
          button.disabled = state.locked || key === state.missed;
        }
        const { right, wrong } = page.data.points, cause = lab.find(`[data-cause="${state.guess}"] span`)?.textContent.replace(/\.$/, ''), named = lab.find('#named');
        lab.say(lab.find('#stake'), state.sure === null || state.missed ? '' : `Right: ${right[state.sure]} points. Wrong: ${lab.signed(wrong[state.sure])}.`);
        named.hidden = !state.locked || !cause; named.className = told ? `named ${told.right ? 'own' : 'bad'}` : 'named';
        lab.say(named, state.named ? `The cause: ${cause}` : `You said: ${cause}${told ? ` (${told.right ? 'right' : 'wrong'})` : ''}`);
        lab.find('#lock').disabled = state.guess === null || state.sure === null;
        for (const part of lab.all('#lock, #sure, #stake, #hint')) part.hidden = state.locked || (Boolean(state.missed) && part.id !== 'lock');
      };
    },
  };
  const { got, most } = lab.steps;

  // What a guess or a citation reveals: asked of the server, or in the exported case.
  const ask = {
    guess: (data, cause, sure) => (data.reveal ? data.reveal.guess[cause][sure] : lab.post(`${data.api}/guess`, { cause, sure })),
    cite: (data, measure) => (data.reveal ? data.reveal.cite[measure] : lab.post(`${data.api}/cite`, { measure })),
  };

  const score = (page) => {
    const { state, revealed, data } = page, { fix, less, whole } = data.points;
    const parts = {
      cause: (revealed.first ?? revealed.guess)?.points ?? 0,
      evidence: lab.steps.evidence(page),
      fix: Math.max(0, fix - less * (state.failed ?? 0)),
      hints: -less * (state.hints ?? 0),
    };
    if (state.named) return { ...parts, all: parts.fix + parts.hints, most: fix }; // cause and evidence counted in the blind run
    return { ...parts, all: parts.cause + parts.evidence + parts.fix + parts.hints, most: whole };
  };

  const sayGuess = ({ state, data, revealed }, told) => {
    const how = data.sure[state.sure], first = revealed.first, lost = first && `${how}: ${lab.points(first.points, most(data))}`;
    if (!state.locked) return got('guess', first ? `not this one, ${lost}` : '', Boolean(first));
    if (first) return got('guess', told ? `${told.right ? 'right' : 'wrong'} at the second try, ${lost}` : `locked, ${how}`, told?.right === false);
    if (!told) return got('guess', `locked, ${how}`);
    if (state.named) return got('guess', 'named in the blind run');
    return got('guess', `${told.right ? 'right' : 'not this one'}, ${how}: ${lab.points(told.points, most(data))}`, !told.right);
  };

  const showEvidence = (page, proved) => {
    const { state, data, revealed } = page, measure = data.measures.find(({ key }) => key === state.probe);
    lab.press('measure', state.probe);
    const finding = lab.find('#finding'), cite = lab.find('#cite');
    finding.hidden = !measure;
    if (measure) {
      lab.find(`[data-measure="${measure.key}"]`).after(finding);
      const values = measure.recorded ? `${measure.own} in this run, ${measure.twin} in the twin.${measure.outside ? ` ${lab.capital(measure.outside)}.` : ''}` : 'Not recorded yet.';
      lab.say(lab.find('#values'), values);
      const said = revealed.cite[measure.key], cited = state.cited.includes(measure.key);
      const wrong = cited && said && !said.proves;
      lab.say(lab.find('#because'), wrong ? `${said.because} −${data.points.less} points.` : '');
      page.evidenceChart(measure.key);
      cite.hidden = proved || cited;
    }
    const last = state.cited[state.cited.length - 1];
    if (!last) return got('evidence', '');
    if (!proved) return got('evidence', 'proves nothing yet', true);
    const { own, twin } = data.measures.find(({ key }) => revealed.cite[key]?.proves);
    return got('evidence', `${own} here, ${twin} in the twin`.replaceAll(' %', '\u00a0%'));
  };

  const showDetector = (page, proved) => {
    const { revealed, state } = page, told = lab.find('#detector'), { finding } = proof(page) ?? {};
    told.hidden = !(proved && finding);
    if (told.hidden) return;
    const first = revealed.first;
    if (first && !state.locked) { lab.say(told, `Not “${first.named}” ${first.against} Your measurement proves another cause. Name it.`); return; }
    const guess = revealed.guess, cause = state.named ? ` The cause: ${guess?.text ?? ''}` : guess && !guess.right ? ` The cause was: ${guess.text}` : ' Your cause is right.';
    lab.say(told, `The detector: ${lab.tidy(finding.because)}.${cause}`);
  };

  let told = false;
  const showWon = (page, won) => {
    box('won').hidden = !won;
    document.body.classList.toggle('solved', won);
    if (!won) { told = false; return; }
    if (!told) { told = true; setTimeout(() => box('won').scrollIntoView({ block: 'nearest' }), 50); }
    const { state, data, revealed } = page, points = score(page);
    lab.say(lab.find('#truth'), revealed.guess?.text ?? '');
    lab.say(lab.find('#total'), `${lab.points(points.all, points.most)} points`);
    const { evidence, fix } = data.points, hints = state.hints ? `, hints ${lab.signed(points.hints)}` : '';
    const before = state.named ? 'Cause and evidence counted in the blind run' : `Cause ${lab.points(points.cause, most(data))} (${data.sure[state.sure] ?? 'no guess'}), evidence ${lab.points(points.evidence, evidence)}`;
    lab.say(lab.find('#parts'), `${before}, fix ${lab.points(points.fix, fix)}${hints}`);
    lab.say(lab.find('#harmless'), revealed.guess?.harmless ?? '');
    const solved = { ...lab.memory.read().solved };
    if (!(solved[data.slug] >= points.all)) lab.memory.write({ solved: { ...solved, [data.slug]: points.all } });
  };

  lab.rail = (page) => {
    const { state, data, revealed } = page;
    const reveal = async () => {
      if (state.missed && !revealed.first) revealed.first = await ask.guess(data, state.missed, state.sure);
      if (state.locked && state.guess && !revealed.guess) revealed.guess = await ask.guess(data, state.guess, state.sure);
      for (const key of state.cited) revealed.cite[key] ??= await ask.cite(data, key);
    };
    page.ready = reveal().catch(lab.trouble);
    const lock = async () => { state.locked = true; await reveal().catch(lab.trouble); page.changed(); lab.find('[data-measure]')?.focus({ preventScroll: true }); };
    const cite = async () => { // the button that was pressed goes away: the focus goes on
      state.cited = [...new Set([...state.cited, state.probe])];
      await reveal().catch(lab.trouble); page.changed();
      const next = revealed.cite[state.probe]?.proves ? 'select[data-knob]' : `[data-measure="${state.probe}"]`;
      lab.find(next)?.focus({ preventScroll: true });
    };

    const showCauses = lab.steps.causes(page, lock);
    lab.choose('measure', (key) => { state.probe = key; page.changed(); });
    lab.find('#cite').addEventListener('click', cite);
    page.hint = (id, show) => lab.find(id).addEventListener('click', (event) => { // costs points, and is free after a while
      if (performance.now() < data.hint.free_after_min * 60e3) state.hints = (state.hints ?? 0) + 1;
      show(); event.target.disabled = true; page.changed();
    });
    page.hint('#hint', () => {
      for (const cause of data.hint.causes) lab.find(`[data-cause="${cause}"]`).classList.add('out');
      if (data.hint.causes.includes(state.guess)) state.guess = null;
    });

    return () => {
      const proved = Boolean(proof(page));
      if (proved && revealed.guess && !revealed.guess.right && !revealed.first && !state.named) { // one more try
        Object.assign(revealed, { first: revealed.guess, guess: null }); Object.assign(state, { missed: state.guess, guess: null, locked: false });
      }
      const won = proved && state.locked && page.passed(), seen = proved ? revealed.guess : null;
      const named = state.locked || Boolean(state.missed); lab.find('#aim').hidden = named; lab.find('#win').hidden = !named; // its conditions tell the cause
      showCauses(seen); sayGuess(page, seen); showEvidence(page, proved); showDetector(page, proved); showWon(page, won);
      const open = won ? 'fix' : !state.locked ? 'guess' : !proved ? 'evidence' : 'fix';
      lab.steps.open(open);
      lab.say(lab.find('#jump'), { guess: 'Name the cause', evidence: 'Prove it', fix: 'Fix it' }[open]);
      return { won };
    };
  };
})();
