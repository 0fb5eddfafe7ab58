// A group of picture buttons: the looks, the seeds visited.
const box = element.querySelector('.tiles');
function render() {
  const v = props.value || {items: [], note: ''};
  const focus = [...box.children].indexOf(document.activeElement);
  box.replaceChildren(...v.items.map((item, i) => {
    const b = document.createElement('button'), im = document.createElement('img'), name = document.createElement('span');
    b.type = 'button'; b.setAttribute('aria-pressed', item.on ? 'true' : 'false'); b.title = item.title || item.label;
    im.src = item.image; im.alt = ''; im.draggable = false; name.textContent = item.label;
    b.append(im, name);
    if (item.before) {                                  // how it was, while the pointer or the focus is there
      for (const [on, off] of [['pointerenter', 'pointerleave'], ['focus', 'blur']]) {
        b.addEventListener(on, () => { im.src = item.before; }); b.addEventListener(off, () => { im.src = item.image; });
      }
    }
    b.addEventListener('click', () => {
      trigger('choose', {index: i, of: v.of, seed: item.seed});
      if (element.closest('#examples, #gallery')) window.scrollTo({top: 0, behavior: 'smooth'});
    });
    return b;
  }));
  if (v.note) { const p = document.createElement('p'); p.textContent = v.note; box.append(p); }
  if (focus >= 0 && box.children[focus]) box.children[focus].focus({preventScroll: true});
}
watch('value', render); render();
