// The configuration as YAML with its knobs, and the run that one's own setting gives.
'use strict';

(() => {
  const OTHER = '\u0000';
  const same = (one, two) => JSON.stringify(one) === JSON.stringify(two);
  const typed = (text) => { // a value of one's own, read as YAML reads a plain scalar
    if (text === 'true' || text === 'false') return text === 'true';
    if (text === 'null' || text === '') return null;
    return Number.isFinite(Number(text)) ? Number(text) : text;
  };

  lab.knobs = (page) => {
    const { data, state } = page;
    const lines = data.yaml.filter(({ values }) => values);
    const value = ({ key, values }) => {
      const text = state.knobs[key];
      if (text === undefined) return data.planted[key];
      const known = values.find((each) => each.text === text);
      return known ? known.value : typed(text);
    };
    const chosen = () => Object.fromEntries(lines.map((line) => [line.key, value(line)]));
    const changed = () => lines.some((line) => !same(value(line), data.planted[line.key]));
    const recorded = () => data.records.settings.find(({ values }) => lines.every((line) => same(values[line.key], value(line))));

    const selectOf = (line) => lab.find(`select[data-knob="${line.key}"]`);
    const ownOf = (line) => lab.find(`[data-own="${line.key}"]`);
    const write = (line) => { // a field in place of the list, for a value of one's own
      const own = ownOf(line);
      own.value = state.knobs[line.key] ?? line.text; own.hidden = false; selectOf(line).hidden = true; own.select(); own.focus();
    };
    const show = (line) => {
      const select = selectOf(line), text = state.knobs[line.key] ?? line.text;
      if (![...select.options].some((option) => option.value === text)) select.add(new Option(text, text), 0);
      select.value = text;
      select.closest('.knob').classList.toggle('changed', !same(value(line), data.planted[line.key]));
    };
    for (const line of lines) {
      const select = selectOf(line);
      const turn = (text) => {
        if (text === line.text) delete state.knobs[line.key]; else state.knobs[line.key] = text;
        state.ran = false; page.checks = []; page.offered = false; show(line); page.changed();
      };
      select.addEventListener('change', () => (select.value === OTHER ? write(line) : turn(select.value)));
      if (lab.served) {
        const own = ownOf(line), done = () => { own.hidden = true; select.hidden = false; };
        select.add(new Option('other value…', OTHER));
        own.addEventListener('keydown', (event) => {
          if (event.key === 'Escape') { done(); show(line); select.focus(); }
          if (event.key === 'Enter') { own.blur(); select.focus(); }
        });
        own.addEventListener('blur', () => {
          if (own.hidden) return;
          done(); turn(own.value.trim() || line.text);
        });
      }
      show(line);
    }

    // Play a run that is known: fast, since it happened already.
    const replay = (run, checks) => {
      page.use(run);
      const finish = () => {
        state.ran = true; page.checks = checks; page.busy = false;
        if (!checks.every(({ passed }) => passed)) state.failed = (state.failed ?? 0) + 1;
        page.changed();
      };
      page.busy = true; state.step = page.first; page.changed();
      if (lab.find('#instrument').getBoundingClientRect().top < -80 && innerWidth > 860) lab.find('#instrument').scrollIntoView({ block: 'start' }); // its curves are drawn now
      if (lab.still) { state.step = run.total; finish(); return; }
      page.play.stop();
      lab.player(null, () => {
        state.step = Math.min(run.total, state.step + 1); page.draw();
        if (state.step < run.total) return true;
        finish(); return false;
      }, () => (data.trains ? lab.pace(run.total) / 3 : 250)).start();
    };

    const ask = () => lab.askRun(data.slug, chosen());
    const ended = (run) => {
      state.ran = run.ended.state !== 'stopped'; page.checks = run.ended.checks ?? [];
      if (state.ran && !page.passed()) state.failed = (state.failed ?? 0) + 1;
    };
    // A live run is compared with the planted run and its twin on this machine: they ran before it.
    const here = () => page.compare(true).then(() => page.changed()).catch(lab.trouble);
    const live = async () => {
      const { run, id } = await ask();
      if (run) { await here(); replay(run, run.ended?.checks ?? []); } else page.follow(id, ended, here);
    };
    page.resume = () => page.follow(state.live, ended, here);

    page.again = async () => {
      if (page.busy || !changed()) return;
      const known = recorded();
      try {
        if (known) { await page.compare(false); replay(await lab.load(known.id), known.checks); } else if (lab.served && page.offered) await live();
        else { page.offered = true; page.use(null); page.changed(); } // the curves of an earlier try are no answer to this one
      } catch (error) { page.busy = false; lab.trouble(error); }
    };
    page.restore = async () => { // a reload of a page on which the fix was run already
      const known = recorded();
      if (!state.ran) return;
      state.ran = false;
      if (known) { page.use(await lab.load(known.id)); page.checks = known.checks; state.ran = true; } else if (lab.served && changed()) {
        const { run } = await ask();
        if (run) { await page.compare(true); page.use(run); ended(run); state.failed = Math.max(0, state.failed - 1); }
      }
    };
    page.passed = () => state.ran && page.checks.length > 0 && page.checks.every(({ passed }) => passed);
    lab.find('#rerun').addEventListener('click', page.again);
    lab.find('#undo').addEventListener('click', () => {
      state.knobs = {}; state.ran = false; page.checks = []; page.offered = false; page.use(null); lines.forEach(show); page.compare(false).catch(lab.trouble); page.changed();
    });
    page.hint('#point', () => { for (const key of data.hint.lines) selectOf({ key }).closest('.knob').classList.add('pointed'); });

    // About as long as the planted run took, more or less steps counted in.
    const steps = (of) => (of('epochs') ?? 1) * Math.ceil((of('rows') ?? 1) / (of('batch') ?? 1));
    const minutes = () => {
      if (!data.seconds) return '';
      const now = { ...data.planted, ...chosen() }, more = data.trains ? steps((key) => now[key]) / steps((key) => data.planted[key]) : 1;
      const before = lab.served && !data.here.known ? 2 : 0; // the planted run and its twin
      const about = Math.max(1, Math.round((data.seconds * (before + Math.max(1, more))) / 60));
      return `, in about ${lab.counted(about, 'minute')} (the recorded run took ${Math.round(data.seconds)} s, on a busy machine)`;
    };
    const note = (won) => {
      if (!changed()) return `Change what you think is wrong. A re-run that fails costs ${data.points.less} points.`;
      if (page.busy) return 'Running…';
      const says = (!page.live && recorded()?.says) || '', where = page.live ? 'Compared with both runs on this machine.' : '';
      if (won) return `The checks hold. ${says || where}`;
      const missed = page.checks.filter(({ passed }) => !passed).map(({ what }) => lab.tidy(what));
      if (state.ran) return says || `Not fixed yet: ${missed.join('; ') || 'nothing was checked'}. ${where}`;
      if (!page.offered) return 'Press, and see what this setting does.';
      return lab.served ? `This combination is not recorded. It can run live on this machine${data.here.known ? '' : ', after the planted run and its clean twin, once'}${minutes()}. You may leave the page; the run goes on.` : `This combination is not recorded. ${Object.keys(state.knobs).length > 1 ? 'Single changes mostly are: “As it was” takes all back. ' : ''}This command starts the lab, which runs it live${minutes()}.`;
    };
    return ({ won }) => {
      const first = (page.live ? page.runs.run?.ended?.checks : data.conditions) ?? [];
      const checks = page.checks.map(({ what, passed, value: said }, k) => lab.make('li', {},
        lab.make('span', { class: passed ? 'ok' : 'no', role: 'img', 'aria-label': passed ? 'passed' : 'failed' }, passed ? '✓' : '✗'),
        lab.make('span', {}, lab.tidy(what)), lab.make('span', { class: 'value' }, first[k] ? `${lab.tidy(first[k].value)} → ` : '', lab.make('b', { class: passed ? 'ok' : 'no' }, lab.tidy(said)))));
      lab.find('#checks').replaceChildren(...checks);
      lab.all('#conditions li').forEach((line, k) => lab.say(line, lab.tidy(page.checks[k]?.what ?? data.conditions[k].what))); // a twin on this machine sets other limits
      const unknown = page.offered && !lab.served;
      lab.find('#offline').hidden = !unknown;
      if (unknown) lab.say(lab.find('#there'), `/case/${data.slug}#${new URLSearchParams(state.knobs)}`);
      lab.find('#rerun').hidden = unknown;
      lab.say(lab.find('#rerun'), page.offered ? 'Run it live' : 'Run it again');
      lab.find('#rerun').disabled = !changed() || page.busy || (state.ran && won);
      lab.find('#undo').hidden = !changed() || page.busy;
      lab.find('#point').hidden = won;
      lab.say(lab.find('#note'), note(won));
      lab.steps.got('fix', won ? 'passes the test' : state.ran ? 'not yet' : '', !won);
    };
  };
})();
