// The one namespace of the lab, and how its scripts build elements and write numbers.
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
})();
