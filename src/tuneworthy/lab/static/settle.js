// Settle a study by clicks: the pair that is asked, the votes, and the bound after each of them.
'use strict';

(() => {
  const box = lab.find('#voting');
  if (!box) return;
  const { shape } = lab;
  const api = `/api/studies/${lab.find('[data-study]').dataset.study}/settle`;
  const EVERY = 700;
  const KEYS = { l: 'left', r: 'right', e: 'equal', b: 'wrong', s: 'skip' };
  const WHY = {
    firm: 'The verdict is firm now.',
    pool: 'No input is left: add some to data.unlabelled, or label rows.',
    patience: 'The votes that were allowed are spent.',
    elsewhere: 'What is open now is not between two answers; the report says what is next.',
  };
  let now = { state: 'closed' }, busy = false;

  const line = (bounds) => {
    const top = Math.max(...bounds, 1e-9), last = Math.max(1, bounds.length - 1);
    const points = bounds.map((value, at) => `${(100 * at) / last},${38 - (34 * value) / top}`);
    if (points.length === 1) points.push(`100,${38 - (34 * bounds[0]) / top}`);
    lab.find('#bound-line').replaceChildren(shape('line', { class: 'base', x1: 0, x2: 100, y1: 39, y2: 39 }), shape('polyline', { points: points.join(' ') }));
  };
  const points = (value) => lab.tidy(value.toFixed(1).replace(/\.0$/, ''));
  const bound = (state) => {
    if (!state.bounds?.length) return;
    const { bounds } = state, left = bounds[bounds.length - 1];
    line(bounds);
    lab.say(lab.find('#bound-now'), `${points(left)} points may be left`);
    const ahead = state.state === 'over' || state.state === 'written' ? '' : state.more === null ? ', no telling how many more' : `, about ${state.more.toLocaleString('en')} more`;
    const twice = state.repeated?.shown ? ` ${state.repeated.same} of ${state.repeated.shown} pairs shown twice got the same vote.` : '';
    lab.say(lab.find('#bound-words'), `${points(bounds[0])} at the start · ${lab.counted(state.clicks, 'vote')}${ahead}.${twice}`);
  };

  const ask = (state) => {
    const better = state.by_preference;
    const named = state.messages.map(([role, text]) => [role === 'user' ? 'input' : role, text]);
    lab.find('#messages').replaceChildren(...lab.terms(named));
    for (const side of ['left', 'right']) lab.say(lab.find(`#${side}`), state[side].trim() || '(no answer)');
    const words = better ? { left: 'Left is better', right: 'Right is better', equal: 'Equally good', wrong: 'Both bad', typed: 'This is better' }
      : { left: 'Left is right', right: 'Right is right', equal: 'Both right', wrong: 'Both wrong', typed: 'This is right' };
    for (const [choice, text] of Object.entries(words)) {
      const button = lab.find(`[data-choice="${choice}"]`);
      lab.say(lab.find('span', button) ?? button, text);
    }
  };

  const says = (state) => {
    if (state.state === 'opening') return state.said || 'Opening the study. Models are loaded where an answer is missing.';
    if (state.state === 'asked') return state.refused ? `Not counted: ${state.refused}.` : `Pair ${(state.clicks + 1).toLocaleString('en')}. Which answer is right?`;
    if (state.state === 'working') return 'Kept. The next pair is being made …';
    if (state.state === 'over') return `Nothing is left to ask. ${WHY[state.ended] ?? ''}`;
    if (state.state === 'written') return `Written: ${state.sentence} (${state.status}). ${WHY[state.ended] ?? 'You stopped; it can go on from here.'}`;
    if (state.because) return `Put aside: ${state.because}. Every vote is kept.`;
    return lab.find('#voting-says').textContent;
  };

  const show = (state) => {
    if (state.state === 'asked' && state.pair !== now.pair) lab.find('#gold').value = '';
    now = state;
    lab.set(box, { 'data-state': state.state });
    const votes = ['asked', 'working', 'over'].includes(state.state), open = votes || state.state === 'opening';
    lab.find('#asked').hidden = !(votes || state.state === 'written');
    lab.find('#pair').hidden = !['asked', 'working'].includes(state.state);
    if (state.state === 'asked') ask(state);
    bound(state);
    lab.say(lab.find('#voting-says'), says(state));
    for (const button of lab.all('[data-choice]')) lab.set(button, { 'aria-disabled': String(state.state !== 'asked') });
    lab.find('#start').hidden = open;
    lab.say(lab.find('#start'), state.state === 'closed' && !state.clicks ? 'Start' : 'Go on');
    lab.find('#finish').hidden = !['asked', 'over', 'working'].includes(state.state);
    lab.find('#written').hidden = state.state !== 'written';
    if (state.state === 'written') {
      lab.set(lab.find('#settled-study'), { href: `/study/${state.study}/settle` });
      lab.say(lab.find('#gold-rows'), `${lab.counted(state.gold, 'right answer')} ${state.gold === 1 ? 'lies' : 'lie'} in settled.jsonl, for the next study.`);
    }
    if (state.state === 'failed') lab.trouble({ message: state.problem.what, parts: state.problem });
    if (['opening', 'working'].includes(state.state)) setTimeout(again, EVERY);
  };

  const again = async () => {
    if (!['opening', 'working'].includes(now.state)) return;
    try { show(await lab.get(api)); } catch (error) { lab.trouble(error); }
  };

  const send = async (path, body) => {
    if (busy) return;
    busy = true; lab.trouble(null);
    try { show(await lab.post(`${api}/${path}`, body)); } catch (error) {
      lab.trouble(error);
      try { show(await lab.get(api)); } catch { /* said already */ }
    }
    busy = false;
  };

  const vote = (choice) => {
    if (now.state !== 'asked') return;
    const gold = lab.find('#gold').value.trim();
    if (choice === 'typed' && !gold) { lab.find('#gold').focus(); return; }
    send('vote', { pair: now.pair, choice, ...(choice === 'typed' ? { gold } : {}) });
  };

  lab.choose('choice', vote);
  lab.find('#start').addEventListener('click', () => send('open', {}));
  lab.find('#finish').addEventListener('click', () => send('finish', {}));
  lab.keys(Object.fromEntries(Object.entries(KEYS).map(([key, choice]) => [key, () => vote(choice)])));
  document.addEventListener('visibilitychange', async () => { // another tab may have gone on
    if (document.hidden || busy || now.state === 'closed') return;
    try { show(await lab.get(api)); } catch { /* the lab is closed for now */ }
  });
  (async () => { try { const state = await lab.get(api); if (state.state !== 'closed' || state.because) show(state); } catch (error) { lab.trouble(error); } })();
})();
