// A chart of fixed size and scale: grey dashes for the clean twin, ink for this run, blue for your
// re-run. Its values stand in the caption, all of its points in a table for screen readers. Points
// over few rows (`apart`) are dots: no line leads from 4 rows to the last look's 40.
'use strict';

lab.nice = (value) => {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((part) => part * unit >= value * 0.999);
};

lab.chart = (host, spec) => {
  const NAMES = { run: 'this', twin: 'twin', rerun: 'yours', ...spec.words };
  const runs = {}, parts = {}, said = spec.top === 1 ? lab.fine : lab.short;
  let high = spec.top ?? spec.cap ?? 0;
  const caption = lab.make('figcaption', {}, lab.make('b', {}, spec.title));
  const frame = lab.shape('svg', { viewBox: '0 0 100 100', preserveAspectRatio: 'none', width: '100%', height: '100%' });
  const cursor = lab.shape('line', { class: 'cursor', y1: 0, y2: '100%' });
  const cap = spec.cap ? lab.shape('line', { class: 'cap', x1: 0, x2: '100%' }) : '';
  const marks = lab.shape('g'), grid = [0, 50, 100].map((at) => lab.shape('line', { class: 'grid', x1: 0, x2: '100%', y1: `${at}%`, y2: `${at}%` }));
  const ticks = [[11, () => high], [spec.height - 4, () => 0]].map(([y, value]) => [lab.shape('text', { class: 'tick', x: 3, y }), value]);
  const svg = lab.shape('svg', { width: '100%', height: spec.height, role: 'img' }, ...grid, cap, cursor, frame, marks, ...ticks.map(([text]) => text));
  const table = lab.make('table');
  const over = lab.make('span', { class: 'over' }, [spec.top === 1 ? '' : spec.unit, spec.over].filter(Boolean).join(' · '));
  host.replaceChildren(caption, svg, over, lab.make('div', { class: 'unseen' }, table));

  const y = (value) => 100 - (100 * Math.min(Math.max(value, 0), high)) / high;
  const total = () => Math.max(1, ...Object.values(runs).map((run) => run.total));
  const from = spec.first ?? 0;
  const x = (step) => (100 * Math.max(0, step - from)) / Math.max(1, total() - from);

  const scale = () => {
    const values = Object.values(runs).flatMap((run) => run.curve(spec.key).map(([, value]) => value));
    if (!spec.top) high = lab.nice(Math.max(high, ...values.filter(Number.isFinite)));
    for (const [text, value] of ticks) lab.say(text, lab.short(value()));
    if (cap) lab.set(cap, { y1: `${y(spec.cap)}%`, y2: `${y(spec.cap)}%` });
  };

  const add = (name, run) => { // null: this run is shown no more
    if (!run) {
      for (const node of Object.values(parts[name] ?? {})) node.remove();
      delete parts[name]; delete runs[name];
      return;
    }
    runs[name] = run;
    if (!parts[name]) {
      const line = lab.shape(spec.apart ? 'path' : 'polyline', { class: name }), dot = lab.shape('circle', { class: `dot ${name}`, r: 4 });
      const now = lab.make('span', { class: `now ${name}` });
      if (name === 'twin') frame.append(line); else frame.insertBefore(line, parts.twin?.line ?? null); // the clean run stays seen where both agree
      marks.append(dot); caption.append(now);
      parts[name] = { line, dot, now };
    }
    scale();
  };

  // Draw every run up to `step`; `done` names runs that are shown to their end.
  const draw = (step, done = []) => {
    const all = [];
    for (const [name, { line, dot, now }] of Object.entries(parts)) {
      const points = runs[name].curve(spec.key).filter(([at]) => at <= step || done.includes(name));
      const last = points[points.length - 1];
      const places = points.map(([at, value]) => [x(at).toFixed(2), y(value).toFixed(2)]);
      lab.set(line, spec.apart ? { d: places.map(([px, py]) => `M${px} ${py}h0`).join('') } : { points: places.join(' ') });
      lab.set(dot, last ? { cx: `${x(last[0])}%`, cy: `${y(last[1])}%`, r: 4 } : { r: 0 });
      const value = said(last?.[1]); // before → after: the words stand in the heading of the panel
      lab.say(now, !parts.rerun || name === 'twin' ? `${NAMES[name]} ${value}` : name === 'run' ? `${value} →` : value);
      all.push(`${NAMES[name]} ${value}`);
    }
    lab.set(cursor, { x1: `${x(step)}%`, x2: `${x(step)}%` });
    lab.set(svg, { 'aria-label': `${spec.title} at step ${step}: ${all.join(', ')}` });
  };

  const tabulate = () => {
    const names = Object.keys(runs), rows = new Map();
    for (const name of names) for (const [at, value] of runs[name].curve(spec.key)) rows.set(at, { ...rows.get(at), [name]: value });
    table.replaceChildren(
      lab.make('caption', {}, `${spec.title}${spec.unit ? `, ${spec.unit}` : ''}`),
      lab.cells('th', ['step', ...names.map((name) => NAMES[name])]),
      ...[...rows].sort(([a], [b]) => a - b).map(([at, row]) => lab.cells('td', [at, ...names.map((name) => said(row[name]))])),
    );
  };
  return { add, draw, tabulate, key: spec.key };
};
