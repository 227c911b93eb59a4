// A solved case or a named blind run as a picture to show others: name, curve, cause and link on a canvas. Drawn here, no request is made.
'use strict';

(() => {
  const WIDE = 1200, HIGH = 630, LEFT = 64, TONES = { twin: '#8b867c', run: '#b03d16', rerun: '#0b6b60' };
  const WORDS = { twin: 'clean twin', run: 'broken', rerun: 'my fix' };
  const FACE = 'ui-sans-serif, system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif';

  const write = (pen, text, at, size, { tone = '#1d1c1a', weight = 400, lines = 1 } = {}) => {
    pen.font = `${weight} ${size}px ${FACE}`; pen.fillStyle = tone;
    let line = '', row = 0;
    for (const word of text.split(/\s+/)) {
      const longer = line ? `${line} ${word}` : word;
      if (pen.measureText(longer).width <= WIDE - 2 * LEFT) { line = longer; continue; }
      if (row === lines - 1) { line = `${line} …`; break; }
      pen.fillText(line, LEFT, at + row * size * 1.3); row += 1; line = word;
    }
    pen.fillText(line, LEFT, at + row * size * 1.3);
  };

  // The chart that shows the symptom: the first that is no loss, where there is one.
  const symptom = (page) => page.data.charts.filter(({ key }) => page.runs.run?.curve(key).length > 1).sort((one, other) => ['loss', 'held'].includes(one.key) - ['loss', 'held'].includes(other.key))[0];
  const curves = (pen, page, { key, title }) => {
    const shown = Object.keys(TONES).filter((name) => page.runs[name]?.curve(key).length > 1), all = shown.flatMap((name) => page.runs[name].curve(key));
    const most = { x: Math.max(...all.map(([x]) => x)), y: Math.max(...all.map(([, y]) => y)), least: Math.min(0, ...all.map(([, y]) => y)) };
    const place = ([x, y]) => [LEFT + (WIDE - 2 * LEFT) * x / most.x, 470 - 190 * (y - most.least) / ((most.y - most.least) || 1)];
    pen.strokeStyle = '#e5e1d8'; pen.lineWidth = 2; pen.strokeRect(LEFT, 280, WIDE - 2 * LEFT, 190);
    for (const name of ['run', 'rerun', 'twin'].filter((each) => shown.includes(each))) { // the twin last: a right fix lies on it
      pen.strokeStyle = TONES[name]; pen.lineWidth = name === 'twin' ? 3 : 6; pen.setLineDash(name === 'twin' ? [12, 9] : []); pen.beginPath();
      page.runs[name].curve(key).forEach((point, k) => pen[k ? 'lineTo' : 'moveTo'](...place(point)));
      pen.stroke(); pen.setLineDash([]);
    }
    pen.font = `400 22px ${FACE}`; pen.fillStyle = '#656159'; pen.fillText(title, LEFT, 266);
    let at = WIDE - LEFT;
    for (const name of shown.slice().reverse()) {
      pen.fillStyle = TONES[name]; at -= pen.measureText(WORDS[name]).width; pen.fillText(WORDS[name], at, 266); at -= 28;
    }
  };
  const link = (slug) => (/^https?:$/.test(location.protocol) && !lab.served ? location.href.split('#')[0] : `tuneworthy lab · case ${slug}`);

  const draw = (page, { kind, title, text, total, link }) => {
    const canvas = lab.make('canvas', { width: WIDE, height: HIGH }), pen = canvas.getContext('2d'), chart = symptom(page);
    pen.fillStyle = '#fcfbf8'; pen.fillRect(0, 0, WIDE, HIGH); pen.fillStyle = TONES.rerun; pen.fillRect(0, 0, WIDE, 10);
    write(pen, kind, 74, 24, { tone: TONES.rerun, weight: 600 });
    write(pen, title, 138, 52, { weight: 700 });
    write(pen, text, 188, 26, { tone: '#656159', lines: 2 });
    if (chart) curves(pen, page, chart);
    write(pen, total, 528, 28, { weight: 600 });
    write(pen, link, 576, 22, { tone: '#656159' });
    return canvas;
  };

  lab.picture = (page, name, words) => draw(page, words).toBlob((blob) => lab.keep(`${name}.png`, blob), 'image/png');
  lab.card = (page) => {
    const button = lab.make('button', { type: 'button', id: 'keep-card' }, 'Keep a picture of it');
    lab.find('#next').after(' ', button);
    button.addEventListener('click', () => lab.picture(page, page.data.slug, {
      kind: 'Solved in the tuneworthy lab', title: page.data.title, text: page.revealed.guess?.text ?? '',
      total: lab.find('#total').textContent, link: link(page.data.slug),
    }));
  };
})();
