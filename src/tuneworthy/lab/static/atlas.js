// The atlas: two questions choose which of the views, all in the page, is seen.
'use strict';

(() => {
  const chosen = { cost: 'none', facts: '0' };
  const show = () => {
    const wanted = `${chosen.cost}-${chosen.facts}`;
    for (const view of lab.all('[data-views]')) view.hidden = !view.dataset.views.split(' ').includes(wanted);
    for (const row of lab.all('[data-holds]')) row.classList.toggle('out', chosen.facts === '1');
    for (const [name, value] of Object.entries(chosen)) {
      for (const button of lab.all(`[data-${name}]`)) lab.set(button, { 'aria-pressed': String(button.dataset[name] === value) });
    }
  };
  for (const name of Object.keys(chosen)) {
    for (const button of lab.all(`[data-${name}]`)) {
      button.addEventListener('click', () => { chosen[name] = button.dataset[name]; show(); });
    }
  }
  const move = (by) => {
    const links = lab.all('[data-row]'), at = links.indexOf(document.activeElement);
    links[Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
  };
  lab.keys({ j: () => move(1), k: () => move(-1) });
})();
