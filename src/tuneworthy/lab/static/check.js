// Check my own run: ask for a folder of the launch list, and show what the detectors say of it.
'use strict';

(() => {
  const { make } = lab;
  const ROLE = { data: 'training rows', test: 'new rows' };
  const buttons = () => lab.all('[data-folder]');
  const casePage = (one) => (lab.served ? `/case/${one.case}` : `case-${one.case}.html`);
  const caseLink = (one, text) => make('a', { href: casePage(one) }, text);

  const rowsOf = (one) => {
    const more = one.row_count - one.rows.length;
    return `${one.rows.join(', ')}${more > 0 ? ` and ${more.toLocaleString('en')} more` : ''}`;
  };

  const found = (one) => make('article', { class: 'fault' },
    make('header', {}, make('h3', {}, one.name), make('p', {}, 'The lab’s case of it: ', caseLink(one, one.title), `. ${one.words}`)),
    make('dl', { class: 'terms' }, ...lab.terms([
      ['measured', make('b', {}, one.because)], ...(one.limit ? [['limit', one.limit]] : []),
      ...(one.rows.length ? [[one.row_count === 1 ? 'row' : `${one.row_count.toLocaleString('en')} rows`, make('span', { class: 'mono' }, rowsOf(one))]] : []),
      ['repair', one.fix], ['when it is harmless', one.harmless]])),
    make('p', {}, make('a', { class: 'button', href: casePage(one) }, 'Break it and repair it in the lab')));

  const clean = (one) => make('tr', {}, make('th', { scope: 'row' }, caseLink(one, one.name)), make('td', {}, one.says));

  const missing = ({ why, cases }) => make('li', {}, make('b', {}, why), ' ',
    make('span', { class: 'soft' }, ...cases.flatMap((one, at) => [at ? ' · ' : '', caseLink(one, one.name)])));

  const sources = (told) => {
    const list = [['trainer', told.trainer]];
    const log = told.logs.find((one) => one.used);
    if (log) list.push(['log', `${log.file} (${log.form}): ${lab.counted(log.steps, 'logged step')}${log.because ? `; ${log.because}` : ''}`]);
    for (const one of told.logs) if (!one.used && one.because) list.push(['log', `${one.file}: ${one.because}`]);
    const change = told.adapter;
    if (change) list.push(['adapter', [`${change.file}: ${change.kind}`, change.rank && `rank ${change.rank}`, change.parameters && lab.counted(change.parameters, 'parameter')].filter(Boolean).join(', ')]);
    for (const [key, name] of Object.entries(ROLE)) {
      const rows = told[key];
      if (rows) list.push([name, `${rows.file}: ${lab.counted(rows.rows, 'row')} (${rows.form})${rows.encoded ? `, ${rows.encoded.toLocaleString('en')} read as tokens` : ''}${rows.bad_rows ? `, ${lab.counted(rows.bad_rows, 'bad row')} left out` : ''}`]);
    }
    const options = Object.entries(told.settings).map(([name, value]) => `${name} ${value}`);
    if (options.length) list.push(['options', options.join(', ')]);
    for (const [file, why] of Object.entries(told.not_read)) list.push(['not read', `${file}: ${why}`]);
    for (const text of told.assumed) list.push(['assumed, as no file says it', text]);
    return make('dl', { class: 'terms' }, ...lab.terms(list));
  };

  const part = (title, ...inside) => make('section', { class: 'part' }, make('h3', {}, title), ...inside);
  const counted = (groups) => groups.reduce((sum, { cases }) => sum + cases.length, 0);
  const table = (title, list) => (list.length ? [part(`${title}: ${list.length}`, make('table', { class: 'plain stack clean' }, make('tbody', {}, ...list.map(clean))))] : []);
  const listed = (title, groups, sum = counted(groups)) => (groups.length ? [part(`${title}: ${sum}`, make('ul', { class: 'missing' }, ...groups.map(missing)))] : []);
  const summary = (told) => {
    const head = told.found.length ? `${lab.counted(told.found.length, 'failure')} found` : told.clean.length + told.explained.length ? 'No failure found' : 'Nothing could be measured';
    const rest = [[told.explained.length, 'explained'], [told.clean.length, 'clean'], [counted(told.unmeasured), 'not measured'], [counted(told.beyond), 'that no folder shows']];
    return `${told.name}: ${[head, ...rest.filter(([count]) => count).map(([count, words]) => `${count} ${words}`)].join(', ')}`;
  };

  const show = (told) => {
    const body = [make('div', { class: 'faults' }, ...told.found.map(found)),
      ...table('Beyond a limit, and explained by something else', told.explained), ...table('Clean', told.clean),
      ...listed('Not measured, and why', told.unmeasured), ...listed('Not shown by any folder', told.beyond)];
    body.push(part('What was read', sources(told)));
    body.push(part('The same in a terminal', make('code', { class: 'command' }, told.command)));
    lab.find('#report-body').replaceChildren(...body);
    lab.say(lab.find('#report-title'), summary(told));
  };

  const say = (button, text) => lab.say(lab.find('.state', button), text);
  const refused = (button, error) => {
    say(button, 'could not be checked');
    lab.trouble(error);
    lab.say(lab.find('#report-title'), 'Nothing was read');
    lab.find('#report-body').replaceChildren(make('p', { class: 'soft' }, 'The folder is as it was.'));
  };

  let asked = 0;
  const check = async (button) => {
    const turn = asked += 1, report = lab.find('#report');
    lab.press('folder', button.dataset.folder);
    lab.address(`folder=${button.dataset.folder}`);
    lab.trouble(null);
    lab.set(report, { 'aria-busy': 'true' });
    say(button, 'being read …');
    lab.say(lab.find('#report-title'), 'Reading logs, rows and weights …');
    try {
      const told = await lab.post('/api/check', { folder: button.dataset.folder });
      say(button, told.found.length ? `${told.found.length} found` : told.clean.length + told.explained.length ? 'no failure found' : 'nothing measured');
      if (turn === asked) show(told);
    } catch (error) {
      if (turn === asked) refused(button, error);
    }
    if (turn === asked) lab.set(report, { 'aria-busy': 'false' });
  };

  lab.begin('checked', show); // the example of an exported lab
  addEventListener('DOMContentLoaded', () => {
    lab.choose('folder', (_, button) => check(button));
    lab.keys(lab.walk(buttons));
    const wanted = new URLSearchParams(location.hash.slice(1)).get('folder');
    const button = buttons().find((one) => one.dataset.folder === wanted);
    if (button) check(button);
  });
})();
