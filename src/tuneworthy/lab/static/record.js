// A run as its events tell it. `apply` is the one reader: for live, recorded and exported runs.
'use strict';

lab.Run = class {
  constructor() {
    this.total = 0;
    this.rows = []; this.questions = []; this.looks = []; this.config = {};
    this.series = { loss: [], norm: [], rate: [], clipped: [] };
    this.ended = null;
  }

  apply(event) {
    switch (event.kind) {
      case 'begin':
        Object.assign(this, { id: event.id, total: event.steps, end: event.end, seed: event.seed });
        Object.assign(this, { rows: event.rows, questions: event.questions ?? [], config: event.config });
        break;
      case 'steps':
        for (const [key, list] of Object.entries(this.series)) {
          (event[key] ?? []).forEach((value, k) => { list[event.from - 1 + k] = value; });
        }
        this.left = event.left_s;
        break;
      case 'look':
        this.looks.push(event);
        break;
      case 'end':
        this.ended = event;
        if (event.facts && this.series.loss.length) event.facts.loss_peak ??= Math.max(...this.series.loss); // older records lack it
        break;
      default: // an event of a later version
    }
    return this;
  }

  // The steps that this run has reached: all of them once it has ended.
  get reached() {
    const looked = this.looks.length ? this.looks[this.looks.length - 1].at : 0;
    return Math.max(this.series.loss.length, looked);
  }

  // The points of a figure, as [step, value]; null values are left out.
  curve(key) {
    const own = this.series[key];
    const points = own ? own.map((value, k) => [k + 1, value])
      : this.looks.map((look) => [look.at, key === 'held' ? look.held : look.facts[key]]);
    return points.filter(([, value]) => value !== null && value !== undefined);
  }

  // The last look at this step or before it.
  look(step) {
    return this.looks.filter((look) => look.at <= step).pop() ?? null;
  }

  // The loss of one token: before training, and at the last look.
  losses(row, token, step) {
    const tokens = this.rows[row]?.tokens ?? [];
    const now = this.look(step)?.losses?.[row]?.[token - 1];
    return { before: tokens[token]?.[2] ?? null, now: now ?? null };
  }

  // Where the answer of a row begins: behind the last header of a turn.
  answerAt(row) {
    const tokens = this.rows[row]?.tokens ?? [];
    const header = tokens.map(([text]) => text).lastIndexOf('<|im_start|>');
    const newline = tokens.findIndex(([text], k) => k > header && text === '\n');
    const trained = tokens.findIndex(([, state]) => state === 't');
    return header >= 0 && newline > header ? newline + 1 : Math.max(0, trained);
  }
};

(() => {
  const known = new Map();

  // Called by data/ID.js, and with what the server sends: both hold the same events.
  lab.record = (events) => {
    const run = events.reduce((whole, event) => whole.apply(event), new lab.Run());
    known.set(run.id, run);
    return run;
  };

  // Run data/NAME.js of an exported site, which calls the function that reads its data.
  lab.file = (name) => new Promise((done, failed) => {
    const script = lab.make('script', { src: `data/${name}.js` });
    script.addEventListener('load', done);
    script.addEventListener('error', () => failed(new Error(`data/${name}.js is not there`)));
    document.head.append(script);
  });

  lab.load = async (id) => {
    if (!known.has(id)) await (lab.served ? lab.get(`/api/records/${id}`).then(lab.record) : lab.file(id));
    if (!known.has(id)) throw new Error('the file holds another run');
    return known.get(id);
  };
})();
