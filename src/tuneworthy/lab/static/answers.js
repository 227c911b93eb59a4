// An answer as it is at one look. What follows the right end is rust; a cut answer says so.
'use strict';

(() => {
  // Where a JSON value that starts the text is complete; -1 if it never is.
  const closes = (text) => {
    let depth = 0, quoted = false;
    for (let k = 0; k < text.length; k += 1) {
      const char = text[k];
      if (quoted) { if (char === '\\') k += 1; else if (char === '"') quoted = false; } else if (char === '"') quoted = true;
      else if (char === '{' || char === '[') depth += 1;
      else if (char === '}' || char === ']') { depth -= 1; if (depth === 0) return k + 1; }
    }
    return -1;
  };

  // Where an answer should have ended: behind its JSON value, or behind the right answer's text.
  lab.rightEnd = (text, gold) => {
    if (/^\s*[{[]/.test(gold)) return /^\s*[{[]/.test(text) ? closes(text) : -1;
    return gold && text.startsWith(gold) ? gold.length : -1;
  };

  lab.answer = (host, note, { answer, gold, typed = Infinity, brief = false }) => {
    if (!answer) {
      host.replaceChildren(lab.make('span', { class: 'soft' }, 'no answer yet'));
      lab.say(note, ''); return;
    }
    const { text, ended, score } = answer, at = lab.rightEnd(text, gold ?? '');
    const end = at < 0 ? text.length : at, whole = typed >= text.length;
    host.replaceChildren(text.slice(0, Math.min(typed, end)));
    if (typed > end && end < text.length) host.append(lab.make('span', { class: 'over' }, text.slice(end, typed)));
    if (whole) host.append(ended ? lab.make('span', { class: 'stop', role: 'img', 'aria-label': 'end of turn' }, ' ■') : lab.make('span', { class: 'limit' }, '… cut'));
    lab.say(note, whole ? [ended ? (brief ? '' : 'ended by itself') : 'cut at the limit', `score ${lab.short(score)}`].filter(Boolean).join(' · ') : 'writing…');
    note.className = whole && !ended ? 'bad' : '';
  };
})();
