// The steps of a case: name the cause, cite the measurement that proves it, see the end.
'use strict';

(() => {
  const box = (name) => lab.find(`[data-step="${name}"]`);
  const got = (name, text, bad = false) => {
    const node = lab.find('.got', box(name));
    lab.say(node, text); node.classList.toggle('no', bad);
  };
  // What a guess or a citation reveals: asked of the server, or in the exported case.
  const ask = {
    guess: (data, cause, sure) => (data.reveal ? data.reveal.guess[cause][sure] : lab.post(`${data.api}/guess`, { cause, sure })),
    cite: (data, measure) => (data.reveal ? data.reveal.cite[measure] : lab.post(`${data.api}/cite`, { measure })),
  };

  const whole = (data) => Math.max(...data.points.right);
  lab.score = (page) => {
    const { state, revealed, data } = page;
    const { evidence, fix, less } = data.points;
    const wrong = state.cited.filter((key) => !revealed.cite[key]?.proves).length;
    const parts = {
      cause: revealed.guess?.points ?? 0,
      evidence: Math.max(0, evidence - less * wrong),
      fix: Math.max(0, fix - less * (state.failed ?? 0)),
      hints: -less * (state.hints ?? 0),
    };
    if (state.named) return { ...parts, all: parts.fix + parts.hints, most: fix }; // cause and evidence counted in the blind run
    return { ...parts, all: parts.cause + parts.evidence + parts.fix + parts.hints, most: data.points.whole };
  };

  const showGuess = (page, proved) => {
    const { state, data, revealed } = page, told = proved && revealed.guess;
    for (const button of lab.all('[data-cause]')) {
      const key = button.dataset.cause, right = told && key === told.truth;
      lab.set(button, { 'aria-pressed': String(key === state.guess) });
      button.classList.toggle('right', Boolean(right));
      button.classList.toggle('wrong', Boolean(told && key === state.guess && !right));
      button.disabled = state.locked;
    }
    for (const button of lab.all('[data-sure]')) lab.set(button, { 'aria-pressed': String(Number(button.dataset.sure) === state.sure) });
    lab.find('#lock').disabled = state.guess === null || state.sure === null;
    for (const id of ['#lock', '#sure', '#hint']) lab.find(id).hidden = state.locked;
    if (!state.locked) return got('guess', '');
    const how = data.sure[state.sure];
    if (!told) return got('guess', `locked, ${how}`);
    if (state.named) return got('guess', 'named in the blind run');
    return got('guess', `${told.right ? 'right' : 'not this one'}, ${how}: ${lab.points(told.points, whole(data))}`, !told.right);
  };

  const showEvidence = (page, proved) => {
    const { state, data, revealed } = page, measure = data.measures.find(({ key }) => key === state.probe);
    for (const button of lab.all('[data-measure]')) lab.set(button, { 'aria-pressed': String(button.dataset.measure === state.probe) });
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
    const proof = data.measures.find(({ key }) => revealed.cite[key]?.proves);
    return got('evidence', `${proof.own} here, ${proof.twin} in the twin`);
  };

  const showDetector = (page, proved) => {
    const { revealed, state } = page, told = lab.find('#detector');
    const proof = Object.values(revealed.cite).find((each) => each.proves);
    told.hidden = !(proved && proof?.finding);
    if (told.hidden) return;
    const guess = revealed.guess, cause = state.named ? ` The cause: ${guess?.text ?? ''}` : guess && !guess.right ? ` The cause was: ${guess.text}` : ' Your guess holds.';
    lab.say(told, `The detector: ${lab.tidy(proof.finding.because)}.${cause}`);
  };

  let told = false;
  const showWon = (page, won) => {
    box('won').hidden = !won;
    document.body.classList.toggle('solved', won);
    if (!won) { told = false; return; }
    if (!told) { told = true; setTimeout(() => box('won').scrollIntoView({ block: 'nearest' }), 50); }
    const { state, data, revealed } = page, points = lab.score(page);
    lab.say(lab.find('#truth'), revealed.guess?.text ?? '');
    lab.say(lab.find('#total'), `${lab.points(points.all, points.most)} points`);
    const { evidence, fix } = data.points, hints = state.hints ? `, hints ${lab.signed(points.hints)}` : '';
    const before = state.named ? 'Cause and evidence counted in the blind run' : `Cause ${lab.points(points.cause, whole(data))} (${data.sure[state.sure] ?? 'no guess'}), evidence ${lab.points(points.evidence, evidence)}`;
    lab.say(lab.find('#parts'), `${before}, fix ${lab.points(points.fix, fix)}${hints}`);
    lab.say(lab.find('#harmless'), revealed.guess?.harmless ?? '');
    const solved = { ...lab.memory.read().solved };
    if (!(solved[data.slug] >= points.all)) lab.memory.write({ solved: { ...solved, [data.slug]: points.all } });
  };

  lab.rail = (page) => {
    const { state, data, revealed } = page;
    const fail = (error) => page.trouble(error);
    const reveal = async () => {
      if (state.locked && state.guess && !revealed.guess) revealed.guess = await ask.guess(data, state.guess, state.sure);
      for (const key of state.cited) revealed.cite[key] ??= await ask.cite(data, key);
    };
    page.ready = reveal().catch(fail);
    page.pick = (cause) => {
      if (state.locked || !cause || lab.find(`[data-cause="${cause}"]`)?.disabled) return;
      state.guess = cause; page.changed();
    };
    const lock = async () => { state.locked = true; await reveal().catch(fail); page.changed(); lab.find('[data-measure]')?.focus({ preventScroll: true }); };
    const cite = async () => { // the button that was pressed goes away: the focus goes on
      state.cited = [...new Set([...state.cited, state.probe])];
      await reveal().catch(fail); page.changed();
      const next = revealed.cite[state.probe]?.proves ? 'select[data-knob]' : `[data-measure="${state.probe}"]`;
      lab.find(next)?.focus({ preventScroll: true });
    };

    for (const button of lab.all('[data-cause]')) button.addEventListener('click', () => page.pick(button.dataset.cause));
    for (const button of lab.all('[data-sure]')) button.addEventListener('click', () => { state.sure = Number(button.dataset.sure); page.changed(); });
    for (const button of lab.all('[data-measure]')) button.addEventListener('click', () => { state.probe = button.dataset.measure; page.changed(); });
    lab.find('#lock').addEventListener('click', lock);
    lab.find('#cite').addEventListener('click', cite);
    lab.find('#hint').addEventListener('click', (event) => {
      if (performance.now() < data.hint.free_after_min * 60e3) state.hints = (state.hints ?? 0) + 1;
      for (const cause of data.hint.causes) lab.find(`[data-cause="${cause}"]`).classList.add('out');
      if (data.hint.causes.includes(state.guess)) state.guess = null;
      event.target.disabled = true; page.changed();
    });

    return () => {
      const proved = state.cited.some((key) => revealed.cite[key]?.proves), won = proved && page.passed();
      showGuess(page, proved); showEvidence(page, proved); showDetector(page, proved); showWon(page, won);
      const open = won ? 'fix' : !state.locked ? 'guess' : !proved ? 'evidence' : 'fix';
      for (const name of ['guess', 'evidence', 'fix']) lab.set(box(name), { 'data-open': name === open ? 'yes' : 'no' });
      lab.say(lab.find('#jump'), { guess: 'Name the cause', evidence: 'Prove it', fix: 'Fix it' }[open]);
      return { proved, won, got };
    };
  };
})();
