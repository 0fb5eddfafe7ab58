// The terms of a sum, each with a button that removes it.
const list = element.querySelector('ul'), note = element.querySelector('p');
function render() {
  const v = props.value || {rows: [], note: ''};
  list.replaceChildren(...v.rows.map((words) => {
    const li = document.createElement('li'), b = document.createElement('button');
    b.type = 'button'; b.textContent = '×'; b.title = 'Remove: ' + words; b.setAttribute('aria-label', b.title);
    b.addEventListener('click', () => trigger('drop', {words}));
    li.append(words, b);
    return li;
  }));
  note.textContent = v.rows.length ? '' : v.note;
}
watch('value', render); render();
