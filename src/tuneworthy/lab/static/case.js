// The case page: its runs, the steps of its rail, and what happens when something changes.
'use strict';

(() => {
  const evidence = (page) => {
    const host = lab.find('#proof-chart');
    page.evidenceChart = (key) => {
      const has = page.runs.run?.curve(key).length > 0;
      host.hidden = !has;
      if (!has || page.small?.key === key) return;
      const known = page.data.charts.find((each) => each.key === key);
      page.small = lab.chart(host, { ...(known ?? { key, title: page.data.measures.find((each) => each.key === key).title }), height: 64, first: page.first });
      for (const name of ['run', 'twin']) if (page.runs[name]) page.small.add(name, page.runs[name]);
      page.small.draw(page.state.step, ['run', 'twin']); page.small.tabulate();
    };
  };

  // A re-run takes the place of this run: its curves are blue, its tokens and answers are shown.
  const reruns = (page) => {
    page.use = (run) => {
      page.show('rerun', run); lab.say(lab.find('#key-seed'), '');
      lab.find('#key-rerun').hidden = !run;
      lab.find('#instrument').classList.toggle('past', Boolean(run));
      lab.say(lab.find('#runs-title'), run ? 'Before → after your change' : 'The two runs');
      for (const id of ['#lane-name', '#mine-name']) lab.say(lab.find(id), run ? 'after' : 'this run');
    };
    // The planted run and its twin that are drawn: those of the records, or `here` those of this machine.
    page.compare = async (here) => {
      const { plant, twin } = here ? page.data.here : page.data.records;
      const runs = await Promise.all([['run', plant], ['twin', twin]].filter(([, id]) => id).map(async ([name, id]) => [name, await lab.load(id)]));
      page.live = here; // said once both are there
      for (const word of lab.all('.made')) lab.say(word, here ? ', on this machine' : ', recorded');
      for (const [name, run] of runs) page.show(name, run);
      page.settle(); page.draw();
    };
    page.follow = (id, onEnd, onBegin) => {
      page.state.live = id; page.busy = true; page.use(new lab.Run()); page.changed();
      page.stream(id, 'rerun', (run) => { page.state.live = null; onEnd(run); page.changed(); }, onBegin);
    };
  };

  const served = (page) => {
    const { data } = page;
    lab.find('#live')?.addEventListener('click', async () => { // the planted run itself, on another seed
      if (page.busy) return;
      page.seed = (page.seed ?? 0) + 1;
      try {
        const { run, id } = await lab.askRun(data.slug, {}, page.seed);
        if (run) { page.use(run); page.go(0); page.play.start(); } else page.follow(id, () => {});
        lab.say(lab.find('#key-seed'), `, seed ${page.seed}, on this machine`);
      } catch (error) { lab.trouble(error); }
    });
    lab.find('#record')?.addEventListener('click', async (event) => {
      event.target.disabled = true;
      try {
        const { run, id } = await lab.askRun(data.slug, {});
        if (run) location.reload(); else page.stream(id, 'run', () => location.reload());
      } catch (error) { event.target.disabled = false; lab.trouble(error); }
    });
  };

  const start = async (data) => {
    const { state, empty } = lab.readHash(data);
    const page = { data, state, runs: {}, checks: [], revealed: { guess: null, cite: {} }, busy: false };
    page.mine = () => page.runs.rerun ?? page.runs.run ?? null;
    page.save = () => lab.writeHash(state);
    lab.instrument(page); reruns(page); evidence(page); served(page); lab.card(page);
    const showRail = lab.rail(page), showKnobs = lab.knobs(page);
    page.changed = () => { const told = showRail(); showKnobs(told); page.draw(); page.save(); };
    for (const [key, value] of Object.entries({ sure: 1, hints: 0, failed: 0 })) state[key] ??= value;

    try {
      await page.compare(false);
      await page.ready; await page.restore();
    } catch (error) { lab.trouble(error); }
    page.settle();
    lab.find('#copy').addEventListener('click', (event) => lab.copy(lab.linkTo(state), event.target));
    const next = () => { location.href = lab.find('#next').href; };
    lab.keys({ ...page.keys(), r: page.again, n: next, ...lab.digits((k) => page.pick(data.causes[k]?.key)) });
    if (state.live) page.changed(), page.resume();
    else if (empty && page.mine() && !lab.still) { state.step = page.first; page.changed(); page.play.start(); } else page.changed();
    document.body.dataset.ready = 'yes';
  };

  lab.begin('case', start);
})();
