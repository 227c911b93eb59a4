// The budget slider of a study's plan: the planner's own plans at a few stops, none in between.
'use strict';

(() => {
  const box = lab.find('#budget');
  if (!box) return;
  const { make } = lab;
  const api = `/api/studies/${lab.find('[data-study]').dataset.study}/budget`;
  const slider = lab.find('#minutes');
  const count = (value) => value.toLocaleString('en');
  const long = (minutes) => (minutes >= 120 ? `${lab.tidy(String(Math.round(minutes / 6) / 10))} hours` : `${count(minutes)} minute${minutes === 1 ? '' : 's'}`);
  const plain = (text) => text.replaceAll('`', '');
  let known = null;

  const row = (arm) => make('tr', arm.because ? { class: 'aside' } : {}, make('th', { scope: 'row' }, arm.name),
    ...(arm.because ? [make('td', { class: 'soft', colspan: 4 }, `left out: ${plain(arm.because)}`)]
      : [make('td', { class: 'num' }, arm.runs), make('td', { class: 'num' }, count(arm.requests)), make('td', { class: 'num' }, arm.minutes.toFixed(1)), make('td', { class: 'soft' }, arm.later || 'always')]));

  const show = () => {
    const stop = known.stops[Number(slider.value)], runs = stop.rows.filter((arm) => !arm.because), later = runs.filter((arm) => arm.later);
    lab.say(lab.find('#minutes-now'), long(stop.minutes));
    slider.setAttribute('aria-valuetext', long(stop.minutes));
    lab.say(lab.find('#stop-runs'), `${runs.length - later.length} of ${stop.rows.length} arms always${later.length ? `, ${later.length} more if the scores so far ask for it` : ''}`);
    lab.say(lab.find('#stop-minutes'), `about ${stop.planned < 10 ? stop.planned.toFixed(1) : Math.round(stop.planned)}`);
    lab.say(lab.find('#stop-usd'), stop.usd);
    lab.say(lab.find('#stop-visible'), stop.visible);
    lab.find('#stop-rows').replaceChildren(...stop.rows.map(row));
    lab.find('#stop-lines').replaceChildren(...stop.lines.map((line) => make('li', {}, plain(line))));
    lab.say(lab.find('#stop-yaml'), `budget:\n  minutes: ${stop.minutes}`);
  };

  const put = (stops) => {
    known = stops;
    const at = stops.stops.findIndex((stop) => stop.minutes === stops.own);
    lab.set(slider, { max: stops.stops.length - 1 }); slider.value = Math.max(0, at);
    lab.set(box, { 'data-state': 'known' });
    lab.find('#work-out').hidden = true; lab.find('#budget-body').hidden = false;
    lab.say(lab.find('#budget-says'), stops.same ? 'The planner’s own plans of task.yaml as it is now, on this machine as it was timed.' : 'task.yaml has changed since this study. These are plans of the task as it is now, on this machine as it was timed.');
    lab.say(lab.find('#minutes-ends'), `task.yaml says ${long(stops.own)}. From ${long(stops.enough)} on nothing is left out. Stops: ${stops.stops.map((stop) => count(stop.minutes)).join(' · ')}.`);
    show();
  };

  const trouble = (error) => {
    const { got, fix } = error.parts ?? {};
    lab.find('#budget-trouble').hidden = false;
    lab.say(lab.find('#budget-trouble'), [`${lab.capital(error.message)}.`, got && `Got: ${got}.`, fix && `What to do: ${fix}.`].filter(Boolean).join(' '));
  };

  lab.find('#work-out').addEventListener('click', async (event) => {
    event.target.disabled = true; lab.find('#budget-trouble').hidden = true;
    const said = lab.find('#budget-says').textContent;
    lab.say(lab.find('#budget-says'), 'Reading the rows and timing the model. This takes up to a minute.');
    try { put((await lab.post(api, {})).known); slider.focus(); } catch (error) { trouble(error); lab.say(lab.find('#budget-says'), said); }
    event.target.disabled = false;
  });
  slider.addEventListener('input', show);
  (async () => { try { const { known: stops } = await lab.get(api); if (stops) put(stops); } catch { /* the button is there */ } })();
})();
