// The atlas: two questions choose which of the views, all in the page, is seen.
'use strict';

(() => {
  const chosen = { cost: 'none', facts: '0' };
  const show = () => {
    const wanted = `${chosen.cost}-${chosen.facts}`;
    for (const view of lab.all('[data-views]')) view.hidden = !view.dataset.views.split(' ').includes(wanted);
    for (const row of lab.all('[data-holds]')) row.classList.toggle('out', chosen.facts === '1');
    for (const [name, value] of Object.entries(chosen)) lab.press(name, value);
  };
  for (const name of Object.keys(chosen)) lab.choose(name, (value) => { chosen[name] = value; show(); });
  lab.keys(lab.walk(() => lab.all('[data-row]')));
})();
