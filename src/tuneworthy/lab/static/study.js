// The list of studies by keys, and a running study's ladder, read again while it is seen.
'use strict';

(() => {
  const EVERY = 2000;
  const head = lab.find('[data-study]');
  const live = lab.find('#live[data-state="running"]');
  const move = (by) => () => {
    const links = [...document.querySelectorAll('[data-row] a')];
    const at = links.indexOf(document.activeElement);
    links[Math.max(0, Math.min(links.length - 1, at + by))]?.focus();
  };
  if (lab.find('#keys')) lab.keys({ j: move(1), k: move(-1) });
  if (!live) return;

  const { make, shape } = lab;
  const bar = ([mean, low, high]) => make('td', { class: 'scale' },
    shape('svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', width: '100%', height: 10, 'aria-hidden': 'true' },
      shape('rect', { class: 'track', width: 100, height: 10 }),
      shape('rect', { class: 'bar', width: 100 * mean, height: 10 }),
      shape('line', { class: 'whisker', x1: 100 * low, x2: 100 * high, y1: 5, y2: 5 })));
  const name = (text) => make('th', { scope: 'row' }, text);
  const count = (value) => value.toLocaleString('en');

  const ladder = (row) => make('tr', row.named ? { class: 'named' } : {}, name(`${row.named ? '▶ ' : ''}${row.name}`), make('td', {}, row.tool),
    ...(row.score
      ? [bar(row.score), make('td', { class: 'num' }, make('b', {}, lab.fine(row.score[0])), ' ', make('span', { class: 'soft' }, `${lab.fine(row.score[1])}–${lab.fine(row.score[2])}`)), make('td', { class: 'num' }, `${count(row.n)} ${row.n === 1 ? 'row' : 'rows'}`)]
      : [make('td', { class: 'soft', colspan: 3 }, row.because || 'not measured')]));
  const arm = (row) => make('tr', {}, name(row.arm), make('td', {}, row.because ? `${row.state}: ${row.because}` : row.state),
    make('td', { class: 'num' }, row.state === 'left out' ? '—' : row.total ? `${count(row.done)} of ${count(row.total)}` : 'none to count'));
  const line = (row) => make('li', {}, make('time', {}, row.at), ` ${row.text}`);
  const fill = (id, list, one) => lab.find(id)?.replaceChildren(...list.map(one));

  const shown = lab.find('#ladder-now') !== null;
  const again = async () => {
    if (!document.hidden) {
      try {
        const now = await lab.get(`/api/studies/${head.dataset.study}/run`);
        if (now.state !== 'running' || (now.ladder.length > 0) !== shown) { location.reload(); return; }
        lab.say(lab.find('#sentence'), now.sentence);
        fill('#ladder-now', now.ladder, ladder);
        fill('#arms-now', now.arms, arm);
        fill('#log-now', now.log.length ? now.log : [{ at: '', text: 'none' }], line);
      } catch { /* the lab is closed for now: what was told stays on the page */ }
    }
    setTimeout(again, EVERY);
  };
  setTimeout(again, EVERY);
})();
