// The list of edits; a row's buttons say what to do with which edit.
const list = element.querySelector('ol'), none = element.querySelector('p');
const ICONS = {up: 'M6 14l6-6 6 6', down: 'M6 10l6 6 6-6', remove: 'M6 6l12 12M18 6L6 18'};
function button(action, index, label, disabled) {
  const b = document.createElement('button');
  b.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[action]}"/></svg>`;
  b.type = 'button'; b.dataset.key = action + index; b.disabled = disabled; b.setAttribute('aria-label', label); b.title = label;
  b.addEventListener('click', () => trigger('act', {action, index}));
  return b;
}
let shown = '';
function render() {
  const rows = (props.value || {rows: []}).rows, now = JSON.stringify(rows.map(row => ({...row, size: ''})));
  if (now === shown) {                                  // a tick of the slider changes nothing but numbers
    rows.forEach((row, i) => { list.children[i].querySelector('.take span').textContent = row.size; });
    return;
  }
  shown = now;
  const key = document.activeElement?.dataset?.key;
  none.hidden = rows.length > 0;
  list.replaceChildren(...rows.map((row, i) => {
    const li = document.createElement('li'), on = document.createElement('input'), take = document.createElement('button');
    const title = document.createElement('b'), size = document.createElement('span'), name = [row.title, row.size].filter(Boolean).join(', ');
    li.className = (row.active ? 'active ' : '') + (row.on ? '' : 'off');
    on.type = 'checkbox'; on.checked = row.on; on.dataset.key = 'switch' + i; on.setAttribute('aria-label', 'Use edit ' + (i + 1) + ': ' + row.title);
    on.addEventListener('change', () => trigger('act', {action: 'switch', index: i}));
    title.textContent = row.title; size.textContent = row.size;
    take.type = 'button'; take.className = 'take'; take.dataset.key = 'take' + i; take.append(title, size);
    take.setAttribute('aria-pressed', row.active ? 'true' : 'false');
    take.addEventListener('click', () => trigger('act', {action: 'take', index: i}));
    li.append(on, take, button('up', i, 'Move up: ' + name, i === 0), button('down', i, 'Move down: ' + name, i === rows.length - 1), button('remove', i, 'Remove: ' + name, false));
    return li;
  }));
  if (key) list.querySelector('[data-key="' + key + '"]')?.focus();
}
watch('value', render); render();
