// Requests to the server of this lab, and the stream of a live run. Not used from a file.
'use strict';

(() => {
  const token = () => lab.find('meta[name="csrf-token"]')?.content ?? '';

  const read = async (reply) => {
    const body = await reply.json().catch(() => ({}));
    if (reply.ok) return body;
    const error = new Error(body.what ?? `the server answered ${reply.status}`);
    throw Object.assign(error, { parts: body, status: reply.status });
  };

  lab.get = async (path) => read(await fetch(path, { headers: { accept: 'application/json' } }));
  // A page of the lab as a document of its own, in which no script runs.
  lab.getPage = async (path) => {
    const reply = await fetch(path, { headers: { accept: 'text/html' } });
    if (!reply.ok) throw new Error(`the server answered ${reply.status}`);
    return new DOMParser().parseFromString(await reply.text(), 'text/html');
  };
  lab.post = async (path, body) => read(await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-csrf-token': token() },
    body: JSON.stringify(body),
  }));

  // Ask for a run of a case: `run` if it was recorded, else the `id` of a live one.
  lab.askRun = async (slug, config, seed = 0) => {
    const sent = await lab.post('/api/runs', { case: slug, config, seed });
    return Array.isArray(sent) ? { run: lab.record(sent) } : { id: sent.id };
  };

  const queued = ({ ahead, wait_s: wait }) => {
    if (!ahead) return 'Starting.';
    const who = ahead === 1 ? 'One run ahead' : `${ahead} runs ahead`;
    return wait ? `${who}, about ${Math.round(wait)} s.` : `${who}.`;
  };
  lab.order = (id, action) => lab.post(`/api/runs/${id}/${action}`, {});

  // Follow a live run; `say` gets the words on its queue, its log and its stream. Browsers allow six
  // streams a host, so a hidden tab closes its own; when it is seen again the stream starts over and
  // the events that are known already are left out. `stop` ends the run too.
  lab.follow = (id, say, onEvent) => {
    let source = null, last = -1, over = false;
    const close = () => { source?.close(); source = null; };
    const open = () => {
      if (source || over || document.hidden) return;
      source = new EventSource(`/api/runs/${id}/events`);
      source.addEventListener('message', (message) => {
        const number = Number(message.lastEventId || last + 1);
        if (number <= last) return;
        last = number;
        const event = JSON.parse(message.data);
        if (event.kind === 'end') { over = true; close(); }
        if (event.kind === 'queue') say(queued(event));
        else if (event.kind === 'log') say(event.line ?? '');
        onEvent(event);
      });
      source.addEventListener('error', () => {
        const gone = source?.readyState === EventSource.CLOSED;
        say(gone ? 'The lab does not answer. Is it still running?' : 'Connecting again…');
      });
    };
    document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
    open();
    return { id, stop() { over = true; close(); lab.order(id, 'stop').catch(() => {}); } };
  };
})();
