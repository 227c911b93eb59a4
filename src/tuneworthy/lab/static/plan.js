// Plan a study: five answers become a task.yaml, in this browser. The lines of each answer come from the server's data.
'use strict';

(() => {
  const start = (data) => {
    const form = lab.find('#questions'), field = (name) => form.elements[name];
    const named = (question) => lab.find(`[data-of="${question}-${field(question).value}"]`)?.value.trim() ?? '';
    const text = (value) => JSON.stringify(value); // a JSON string is a YAML string
    const lines = (of, value) => (of ? [of.replace('{}', () => value)] : []);
    let asked = ''; // the instruction of the type, until the visitor writes one

    // Without a model only what needs none can be compared; one arm alone can't be, so then the plan chooses.
    const arms = () => {
      const known = [...(field('today').value === 'none' ? [] : ['present']), 'majority', ...(field('type').value === 'label' ? ['tfidf'] : [])];
      return known.length > 1 ? `[${known.join(', ')}]` : '';
    };
    const model = () => (field('model').value === 'none' ? (arms() ? lines(data.models.none, arms()) : []) : lines(data.models[field('model').value], text(named('model'))));
    const name = () => field('file').value.trim().split(/[\\/]/).pop().replace(/\.[^.]*$/, '').replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '') || 'task';
    const yaml = () => [
      `name: ${text(name())}`,
      `instruction: ${text(field('instruction').value.trim())}`,
      `data:\n  file: ${text(field('file').value.trim())}`,
      `output:\n  type: ${field('type').value}`,
      `success:\n  margin: ${field('margin').value / 100}${field('target').value && field('target').checkValidity() ? `\n  target: ${field('target').value / 100}` : ''}`,
      ...lines(data.today[field('today').value], text(named('today'))),
      ...model(),
    ].join('\n') + '\n';

    // What the visitor has still to fill in before the file can run.
    const todo = () => [
      ...['today', 'model'].filter((question) => /\b(NAME|HOST|ORG)\b/.test(named(question)))
        .map((question) => `To fill in: ${named(question).match(/\b(NAME|HOST|ORG)\b/g).join(' and ')} in question ${question === 'today' ? 3 : 5}.`),
      ...(field('today').value === 'prompt' ? ['To write: your prompt as prompt.md, beside task.yaml.'] : []),
      ...(field('today').value === 'answers' ? [`To put beside task.yaml: ${named('today') || 'the file of today’s answers'}.`] : []),
    ];

    const say = () => {
      const rows = Number(field('rows').value), margin = Number(field('margin').value);
      const points = data.shows.find(([n]) => n === rows)[1], enough = data.shows.find(([, least]) => least <= margin);
      lab.say(lab.find('#shows'), points <= margin ? `About ${rows.toLocaleString('en')} rows can show a difference of ${points} points between two systems, so this margin can be judged.`
        : `About ${rows.toLocaleString('en')} rows can show differences from about ${points} points on. A smaller one may stay open${enough ? `; for ${margin} points about ${enough[0].toLocaleString('en')} rows are needed` : ''}.`);
      const alone = field('model').value === 'none' && !arms(), target = field('target'), file = field('file').value.trim();
      lab.say(lab.find('#target-note'), target.validity.valid ? '' : 'The target is left out: it is a number from 1 to 100.');
      const read = data.suffixes.some((each) => file.toLowerCase().endsWith(each));
      lab.say(lab.find('#file-note'), !file ? 'Name the file: without it nothing can be measured.' : read ? ''
        : `This page knows ${data.suffixes.join(', ')}. In a terminal, tuneworthy init ${file} reads more forms and writes the task.`);
      lab.find('#keep').disabled = lab.find('#copy').disabled = !read;
      lab.find('#todo').replaceChildren(...todo().map((one) => lab.make('p', { class: 'bad small' }, one)));
      lab.say(lab.find('#model-note'), alone ? 'Without a model only labels and recorded answers can be compared: the study will use the small model that comes with tuneworthy.' : field('model').value === 'endpoint' ? 'tuneworthy plan says the most it can cost, before anything is sent; the dollars of budget.usd are never passed.' : field('model').value === 'none' && field('type').value !== 'label' ? 'A classifier needs labels: here what runs today is compared with the most common answer alone.' : '');
    };
    const show = () => {
      for (const input of lab.all('.named')) input.hidden = field(input.dataset.of.split('-')[0]).value !== input.dataset.of.split('-')[1];
      const usual = data.instructions[field('type').value];
      if (field('instruction').value === asked) field('instruction').value = usual;
      asked = usual;
      lab.say(lab.find('#yaml'), yaml()); say();
    };
    form.addEventListener('input', show); form.addEventListener('submit', (event) => event.preventDefault());
    lab.find('#copy').addEventListener('click', (event) => lab.copy(yaml(), event.target));
    lab.find('#keep').addEventListener('click', () => lab.keep('task.yaml', new Blob([yaml()], { type: 'application/yaml' })));
    show();
    document.body.dataset.ready = 'yes';
  };

  lab.begin('plan', start);
})();
