// The keys of a page. A key that is pressed in a field stays in the field; all can be turned off.
'use strict';

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
