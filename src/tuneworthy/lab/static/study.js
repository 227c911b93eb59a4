// The list of studies by keys, and a running study's page, asked for again while it is seen.
'use strict';

(() => {
  const EVERY = 2000;
  const PARTS = ['#sentence', '#ladder-now', '#arms-now', '#log-now'];
  if (lab.find('#keys') && !lab.find('#voting')) lab.keys(lab.walk(() => lab.all('[data-row] a')));
  if (!lab.find('#live[data-state="running"]')) return;

  const again = async () => {
    if (!document.hidden) {
      try {
        const page = await lab.getPage(location.href);
        const running = lab.find('#live[data-state="running"]', page);
        if (!running || PARTS.some((id) => !lab.find(id) !== !lab.find(id, page))) { location.reload(); return; }
        for (const part of PARTS.map((id) => lab.find(id)).filter(Boolean)) {
          const fresh = lab.find(`#${part.id}`, page);
          if (!part.isEqualNode(fresh)) part.replaceChildren(...fresh.childNodes);
        }
      } catch { /* the lab is closed for now: what was told stays on the page */ }
    }
    setTimeout(again, EVERY);
  };
  setTimeout(again, EVERY);
})();
