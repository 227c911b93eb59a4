// The strength of an adapter, on the home page: recorded stops while it is dragged, the lab's
// worker for the values between them when it is let go.
'use strict';

(() => {
  const start = (data) => {
    const find = (id) => lab.find(`#strength-${id}`), slider = find('slider'), stops = new Map(data.stops.map((stop) => [stop.strength, stop]));
    let running = null, asked = 0;
    const nearest = (value) => data.stops.reduce((best, stop) => (Math.abs(stop.strength - value) < Math.abs(best.strength - value) ? stop : best));
    const percent = (share) => (share === null ? 'not measured' : `${Math.round(100 * share)} %`);
    const show = (stop) => {
      lab.say(find('valid'), percent(stop.valid)); lab.say(find('score'), lab.fine(stop.score)); lab.say(find('ended'), `${stop.ended} of ${stop.answers}`);
      lab.answer(find('says'), find('note'), { answer: { text: stop.text, ended: stop.whole, score: null }, gold: data.gold });
      lab.say(find('note'), stop.whole ? 'ended by itself' : 'cut at the limit');
      for (const dot of lab.all('#strength-chart .dot')) dot.classList.toggle('at', Number(dot.dataset.at) === stop.strength);
    };
    const value = () => Math.round(100 * Number(slider.value)) / 100;
    const drag = () => {
      const now = value(), stop = stops.get(now) ?? nearest(now);
      lab.say(find('value'), `× ${now.toFixed(2)}`); lab.set(slider, { 'aria-valuetext': `strength ${now}` });
      show(stop);
      lab.say(find('status'), stop.strength === now ? `Recorded: ${data.rows} new rows.` : `Shown: the recorded stop at ${stop.strength}.`);
    };
    const cancel = () => { asked += 1; running?.stop(); running = null; };
    const live = async () => {
      const now = value(); cancel();
      if (stops.has(now) || !lab.served) return;
      const mine = asked, say = (text) => lab.say(find('status'), text);
      say('Asking the lab.');
      try {
        const { id } = await lab.post('/api/strength', { strength: now });
        if (mine !== asked) { lab.order(id, 'stop').catch(() => {}); return; }
        running = lab.follow(id, say, (event) => {
          if (event.kind === 'begin') say(`Answering ${event.rows} rows at × ${event.strength}.`);
          if (event.kind === 'stop') {
            show(event); say(`Live: ${event.answers} of ${data.rows} rows answered at × ${event.strength}.`);
            if (event.answers === data.rows) stops.set(now, event);
          }
          if (event.kind === 'end') { running = null; if (event.state !== 'done') say(`${event.state}: ${event.because}.`); }
        });
      } catch (error) { say(`${error.message}. ${lab.troubleText(error.parts)}`); }
    };

    // Valid share and score at the recorded stops, in one small chart with its values in a table.
    const chart = () => {
      const high = 90, x = (at) => 1 + (98 * at) / data.stops[data.stops.length - 1].strength, y = (share) => high - (high - 10) * share - 5;
      const line = (key, name) => lab.shape('polyline', { class: name, points: data.stops.filter((stop) => stop[key] !== null).map((stop) => `${x(stop.strength)},${y(stop[key])}`).join(' ') });
      const dots = data.stops.flatMap((stop) => [['score', 'rerun'], ['valid', 'twin']].filter(([key]) => stop[key] !== null).map(([key, name]) => lab.shape('circle', { class: `dot ${name}`, 'data-at': stop.strength, cx: `${x(stop.strength)}%`, cy: y(stop[key]), r: 4 })));
      const lines = lab.shape('svg', { viewBox: `0 0 100 ${high}`, width: '100%', height: high, preserveAspectRatio: 'none' }, line('valid', 'twin'), line('score', 'rerun'));
      find('chart').append(lab.shape('svg', { width: '100%', height: high, 'aria-hidden': 'true' }, lines, ...dots)); // the dots stay round at any width
      find('chart').append(lab.make('table', { class: 'unseen' }, lab.cells('th', ['strength', 'valid', 'score']),
        ...data.stops.map((stop) => lab.cells('td', [stop.strength, percent(stop.valid), lab.fine(stop.score)]))));
    };

    lab.set(slider, { min: 0, max: data.stops[data.stops.length - 1].strength, step: lab.served ? 0.05 : 0.25 });
    slider.value = 1;
    slider.addEventListener('input', () => { cancel(); drag(); });
    slider.addEventListener('change', live);
    chart(); drag();
  };

  lab.begin('strength', start);
})();
