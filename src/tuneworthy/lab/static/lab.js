// The one namespace of the lab: how its scripts begin, build elements, hear buttons and keys, write numbers.
// Plain scripts: neither modules nor fetch load from a file. No markup is ever built from text.
'use strict';
const lab = {};

(() => {
  const set = (node, attributes) => {
    for (const [key, value] of Object.entries(attributes)) {
      if (node.getAttribute(key) !== String(value)) node.setAttribute(key, value);
    }
    return node;
  };
  const fill = (node, attributes, inside) => {
    set(node, attributes).append(...inside);
    return node;
  };
  const SVG = 'http://www.w3.org/2000/svg';

  Object.assign(lab, {
    set,
    make: (tag, attributes = {}, ...inside) => fill(document.createElement(tag), attributes, inside),
    shape: (tag, attributes = {}, ...inside) => fill(document.createElementNS(SVG, tag), attributes, inside),
    find: (selector, from = document) => from.querySelector(selector),
    all: (selector, from = document) => [...from.querySelectorAll(selector)],
    say: (node, text) => { if (node.textContent !== text) node.textContent = text; },
    address: (hash) => history.replaceState(null, '', `#${hash}`),
    served: document.documentElement.dataset.site === 'live',
    still: matchMedia('(prefers-reduced-motion: reduce)').matches,

    // A half is rounded up, as in the words of the server.
    half: (value, places) => (value + Math.sign(value) * 1e-9).toFixed(places),

    // A figure as people write it: .07, 1.4, 58. What was not measured is a dash, never 0.
    short(value) {
      if (value === null || value === undefined) return '–';
      const size = Math.abs(value);
      if (size === 0) return '0';
      if (size < 0.005) return value.toExponential(0);
      if (size < 1) return lab.half(value, 2).replace('0.', '.');
      return lab.half(value, Number.isInteger(value) || size >= 10 ? 0 : 1);
    },
    // A figure of 0 to 1, or a loss: two decimals, so that 1.00 is not read as exactly 1.
    fine: (value) => (value === null || value === undefined ? '–' : value < 10 ? lab.half(value, 2).replace(/^0/, '') : lab.short(value)),
    // A measurement with its unit, as the words of the server have it.
    measured(value, unit, answers) {
      if (value === null || value === undefined) return 'not measured';
      if (unit === 'share') return `${lab.half(100 * value, 0)} %`;
      if (unit === 'answers') return `${value} of ${answers}`;
      const size = Math.abs(value);
      if (unit === 'nats a token' && size > 0 && size < 0.005) return `under .01 ${unit}`;
      const said = unit === '0 to 1' ? lab.fine(value) : size >= 10 || Number.isInteger(value) ? Math.round(value).toLocaleString('en') : size < 0.01 ? String(Number(value.toPrecision(2))).replace('0.', '.') : lab.short(value);
      return ['', '0 to 1'].includes(unit) ? said : `${said} ${unit}`;
    },
    chance(loss) {
      const percent = Math.round(100 * Math.exp(-loss));
      return percent >= 100 ? 'over 99 %' : percent < 1 ? 'under 1 %' : `${percent} %`;
    },
    signed: (points) => (points < 0 ? `−${-points}` : String(points)),
    points: (points, whole) => `${lab.signed(points)} of ${whole}`,
    counted: (number, noun) => `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`,
    capital: (text) => text.charAt(0).toUpperCase() + text.slice(1),
    tidy: (text) => text.replace(/\b0(\.\d)/g, '$1').replace(/(^|\s)-(?=[.\d])/g, '$1−'),

    // What this browser remembers of solved cases. A browser may refuse to store anything.
    memory: {
      read() {
        try { return JSON.parse(localStorage.getItem('tuneworthy lab')) ?? {}; } catch { return {}; }
      },
      write(change) {
        try { localStorage.setItem('tuneworthy lab', JSON.stringify({ ...this.read(), ...change })); } catch { /* nothing kept */ }
      },
    },
  });

  // A page's script: `start` gets the data of the block that the server wrote, or of the file
  // data/NAME.js, which calls `lab[name]`.
  lab.begin = (name, start) => {
    lab[name] = start;
    addEventListener('DOMContentLoaded', () => {
      const block = lab.find(`#${name}-data`);
      if (block) lab[name](JSON.parse(block.textContent));
    });
  };

  // The buttons of one choice carry data-NAME: `choose` hears them, `press` marks the chosen one.
  lab.choose = (name, act) => {
    for (const button of lab.all(`[data-${name}]`)) button.addEventListener('click', () => act(button.dataset[name], button));
  };
  lab.press = (name, value) => {
    for (const button of lab.all(`[data-${name}]`)) lab.set(button, { 'aria-pressed': String(button.dataset[name] === String(value)) });
  };

  // What went wrong, in the page's line for it; nothing hides the line.
  lab.troubleText = ({ where, got, fix, kept } = {}) => [
    where && `Where: ${where}.`, got && `Got: ${got}.`, fix && `What to do: ${fix}.`, kept && `Kept: ${kept}.`,
  ].filter(Boolean).join(' ').replace(/\.\.(?= |$)/g, '.');
  lab.trouble = (error) => {
    const line = lab.find('#trouble');
    line.hidden = !error;
    const whole = error && `${lab.capital(error.message)}.`.replace(/([.!?])\.$/, '$1');
    line.replaceChildren(...(error ? [lab.make('b', {}, whole), ` ${lab.troubleText(error.parts)}`] : []));
  };

  // Gives the browser a file to keep.
  lab.keep = (name, blob) => {
    const link = lab.make('a', { href: URL.createObjectURL(blob), download: name });
    link.click(); setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  lab.terms = (pairs) => pairs.map(([name, ...inside]) => lab.make('div', {}, lab.make('dt', {}, name), lab.make('dd', {}, ...inside)));
  lab.cells = (tag, values) => lab.make('tr', {}, ...values.map((value) => lab.make(tag, {}, String(value))));

  // The keys of a page. A key that is pressed in a field stays in the field; all can be turned off.
  lab.keys = (actions) => {
    const dialog = lab.find('#keys');
    const off = () => lab.memory.read().keysOff === true;
    addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
      if (event.target.closest('select, input, textarea')) return;
      if (event.key === ' ' && event.target.closest('button, a, summary')) return;
      const act = event.key === '?' ? () => dialog.showModal() : off() ? null : actions[event.key];
      if (!act) return;
      event.preventDefault(); act();
    });
    const toggle = lab.find('#keys-off');
    toggle.checked = off();
    toggle.addEventListener('change', () => lab.memory.write({ keysOff: toggle.checked }));
    for (const button of lab.all('[data-keys]')) button.addEventListener('click', () => dialog.showModal());
  };

  // 1 to 9 choose the first to the ninth.
  lab.digits = (act) => Object.fromEntries([...'123456789'].map((key, k) => [key, () => act(k)]));

  // j and k go through what `list` finds.
  lab.walk = (list) => {
    const move = (by) => () => {
      const nodes = list(), at = nodes.indexOf(document.activeElement);
      nodes[Math.min(nodes.length - 1, Math.max(0, at + by))]?.focus();
    };
    return { j: move(1), k: move(-1) };
  };

  // Tokens are one stop of the Tab key; `go(number)` shows the one that an arrow reaches.
  lab.arrows = (host, go) => host.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key], buttons = lab.all('button', host), at = buttons.indexOf(event.target);
    if (!by || at < 0) return;
    event.preventDefault(); event.stopPropagation();
    const next = Math.min(buttons.length - 1, Math.max(0, at + by));
    go(next); buttons[next].focus();
  });

  // The milliseconds between steps: about eight steps a second, and a whole run within 8 s.
  lab.pace = (steps) => Math.min(130, 8000 / Math.max(1, steps));

  // Plays the steps of a run; `pace()` is asked when it starts.
  lab.player = (button, tick, pace = () => 130) => {
    let timer = 0;
    const show = () => { if (button) lab.say(button, timer ? 'Pause' : 'Play'); };
    const stop = () => { clearInterval(timer); timer = 0; show(); };
    const start = (every = pace()) => {
      stop();
      timer = setInterval(() => { if (tick() === false) stop(); }, every);
      show();
    };
    button?.addEventListener('click', () => (timer ? stop() : start()));
    return { start, stop };
  };
})();
