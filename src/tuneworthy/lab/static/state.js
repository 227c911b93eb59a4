// What one looks at stands in the hash of the URL, so that a reload and a link show the same.
'use strict';

(() => {
  const NUMBERS = ['step', 'token', 'row', 'question', 'sure', 'hints', 'failed'];
  const LOOK = ['step', 'token', 'row', 'question'];
  const FLAGS = ['locked', 'ran', 'named']; // named: in a blind run, whose page linked here

  lab.readHash = (data) => {
    const told = new URLSearchParams(location.hash.slice(1));
    const number = (key, otherwise) => (/^\d{1,5}$/.test(told.get(key) ?? '') ? Number(told.get(key)) : otherwise);
    const state = Object.fromEntries(NUMBERS.map((key) => [key, number(key, null)]));
    for (const key of FLAGS) state[key] = told.get(key) === '1';
    const one = (key, list) => (list.some((each) => each.key === told.get(key)) ? told.get(key) : null);
    state.guess = one('guess', data.causes);
    state.missed = one('missed', data.causes); // the first cause that was named, if it was wrong
    state.live = /^[0-9a-f]{16}$/.test(told.get('live') ?? '') ? told.get('live') : null;
    state.probe = one('probe', data.measures);
    state.cited = (told.get('cited') ?? '').split(',').filter((key) => data.measures.some((each) => each.key === key));
    state.knobs = {};
    for (const { key, values } of data.yaml ?? []) if (values && told.has(key)) state.knobs[key] = told.get(key);
    return { state, empty: told.size === 0 };
  };

  const words = (state, keys) => {
    const said = new URLSearchParams();
    for (const key of keys) {
      const value = state[key];
      if (value === true) said.set(key, '1');
      else if (Array.isArray(value)) { if (value.length) said.set(key, value.join(',')); } else if (value !== null && value !== false && value !== undefined) said.set(key, value);
    }
    return said;
  };

  lab.writeHash = (state) => {
    const said = words(state, [...NUMBERS, ...FLAGS, 'guess', 'missed', 'probe', 'cited', 'live']);
    for (const [key, text] of Object.entries(state.knobs ?? {})) said.set(key, text);
    lab.address(said);
  };

  // A link to what one looks at, without the guess and without the fix.
  lab.linkTo = (state) => `${location.href.split('#')[0]}#${words(state, LOOK)}`;

  lab.copy = async (text, button) => {
    const before = button.textContent;
    try { await navigator.clipboard.writeText(text); lab.say(button, 'Copied'); } catch { prompt('Copy this:', text); }
    setTimeout(() => lab.say(button, before), 1500);
  };
})();
