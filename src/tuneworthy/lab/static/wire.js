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
  lab.post = async (path, body) => read(await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-csrf-token': token() },
    body: JSON.stringify(body),
  }));

  // Follow a live run. Browsers allow six streams a host, so a hidden tab closes its own; when it
  // is seen again the stream starts over and the events that are known already are left out.
  lab.follow = (id, { onEvent, onLost }) => {
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
        onEvent(event);
      });
      source.addEventListener('error', () => onLost?.(source?.readyState === EventSource.CLOSED));
    };
    document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
    open();
    return { close() { over = true; close(); } };
  };
})();
