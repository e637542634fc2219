// One switch for what stands between the sentences of a lesson; the choice is kept for all lessons.
{
  const place = document.querySelector('.reading');
  if (place) {
    const key = 'genda-code', kept = () => { try { return localStorage.getItem(key); } catch { return null; } };
    const choices = {folded: 'tests and imports folded', open: 'everything open', left: 'without tests and imports', prose: 'without exported code too'};
    const select = document.createElement('select'), label = document.createElement('label');
    for (const [value, text] of Object.entries(choices)) select.add(new Option(text, value));
    const set = value => {
      document.documentElement.dataset.code = value;
      for (const d of document.querySelectorAll('.cell.tag_test details, .cell.tag_imports details')) d.open = value === 'open';
    };
    select.value = kept() in choices ? kept() : 'folded';
    select.onchange = () => {
      set(select.value);
      try { localStorage.setItem(key, select.value); } catch { /* not kept, then */ }
    };
    label.append('Code: ', select); place.append(label);
    set(select.value);
  }
}
