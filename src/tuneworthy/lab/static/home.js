// The home page: the recorded run at its top, the filter of the cards, the keys.
'use strict';

(() => {
  const hero = ({ plant, twin }) => {
    const runs = { run: lab.record(plant), twin: lab.record(twin) };
    const host = lab.find('#hero-loss'), words = { run: 'broken run', twin: 'clean run' };
    const chart = lab.chart(host, { key: 'loss', title: 'Training loss', unit: 'nats a token', height: 84, words });
    for (const [name, run] of Object.entries(runs)) chart.add(name, run);
    chart.tabulate();
    const last = runs.run.total, gold = runs.run.questions[0].gold;
    let step = last, typed = Infinity;
    const show = () => {
      chart.draw(step); lab.say(lab.find('#hero-step'), String(step));
      for (const [name, run] of [['broken', runs.run], ['clean', runs.twin]]) {
        lab.answer(lab.find(`#hero-${name}`), lab.find(`#hero-${name}-note`), { answer: run.look(step)?.answers[0], gold, typed });
      }
    };
    const longest = () => Math.max(...Object.values(runs).map((run) => run.look(step)?.answers[0].text.length ?? 0));
    const play = lab.player(lab.find('#hero-play'), () => {
      // While it trains the answers stand whole; the last ones are typed, and stay for a while.
      if (step < last) { step += 1; typed = step === last ? 0 : Infinity; } else if (typed < longest() + 160) typed += 4; else { step = 0; typed = Infinity; }
      show();
    });
    show();
    if (!lab.still) play.start(120); // from the end: the answers are typed first
  };
  lab.begin('hero', hero);

  const cards = () => lab.all('.card').filter((card) => !card.hidden);
  const filter = (kind) => {
    lab.press('filter', kind);
    for (const card of lab.all('.card')) card.hidden = kind !== 'all' && card.dataset.kind !== kind;
    lab.say(lab.find('#count'), String(cards().length));
    lab.find('#no-card').hidden = cards().length > 0;
  };

  addEventListener('DOMContentLoaded', () => {
    lab.choose('filter', filter);
    const solved = lab.memory.read().solved ?? {};
    for (const card of lab.all('.card')) {
      if (!(card.dataset.slug in solved)) continue;
      card.classList.add('done');
      lab.say(lab.find('.state', card), `solved, ${solved[card.dataset.slug]} points`);
    }
    const blind = lab.find('#blind');
    blind?.addEventListener('click', async () => {
      if (!lab.served) { location.href = 'blind.html'; return; }
      try { location.href = `/blind/${(await lab.post('/api/blind', {})).key}`; } catch (error) { lab.trouble(error); }
    });
    lab.keys({ ...lab.walk(cards), ...(blind ? { b: () => blind.click() } : {}) });
  });
})();
