// Filters the table of claims by report, outcome and word; without JavaScript the whole table stands there.
{
  const box = document.querySelector('.claims'), rows = box ? [...box.querySelectorAll('tbody tr')] : [];
  if (box) {
    const form = document.createElement('form'), count = document.createElement('output');
    const field = (text, input) => { const label = document.createElement('label'); label.append(text, ' ', input); form.append(label); return input; };
    const select = options => { const s = document.createElement('select'); for (const [v, t] of options) s.add(new Option(t, v)); return s; };
    const text = row => row.textContent.toLowerCase(), report = row => row.cells[0].textContent.trim().match(/^R\d/)?.[0] ?? 'lessons';
    const outcome = row => row.cells[2].textContent.trim().match(/^(confirmed|refuted|undecided|not run)/)?.[0];
    const reports = ['R1', 'R2', 'R3', 'R4', 'R5'].map(r => [r, `report ${r[1]}`]);
    const of = field('from', select([['', 'everywhere'], ...reports, ['lessons', 'the lessons']]));
    const is = field('outcome', select([['', 'any'], ...['confirmed', 'refuted', 'undecided', 'not run'].map(o => [o, o])]));
    const word = field('word', Object.assign(document.createElement('input'), {type: 'search', placeholder: 'steps, guidance, FD ...'}));
    const show = () => {
      const words = word.value.toLowerCase().split(/\s+/);
      let n = 0;
      for (const row of rows) {
        row.hidden = !((!of.value || report(row) === of.value) && (!is.value || outcome(row) === is.value) && words.every(w => text(row).includes(w)));
        n += !row.hidden;
      }
      count.textContent = `${n} of ${rows.length} claims`;
    };
    form.append(count); form.oninput = show; form.onsubmit = e => e.preventDefault();
    box.prepend(form); show();
  }
}
