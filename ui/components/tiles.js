// A group of picture buttons. Tab stops once; the arrows go from one to the next.
const box = element.querySelector('.tiles');
const stop = here => box.querySelectorAll('button').forEach(b => { b.tabIndex = b === here ? 0 : -1; });
function render() {
  const v = props.value || {items: [], note: ''};
  const focus = [...box.children].indexOf(document.activeElement);
  box.classList.toggle('waiting', !props.value);
  if (v.about) box.dataset.about = v.about;
  box.classList.toggle('passing', !!v.about && !!window.shown && !window.shown.includes(v.about));
  box.replaceChildren(...v.items.map((item, i) => {
    const b = document.createElement('button'), im = document.createElement('img'), name = document.createElement('span');
    b.type = 'button'; b.setAttribute('aria-pressed', item.on ? 'true' : 'false'); b.title = item.off || item.title || item.label;
    if (item.off) { b.setAttribute('aria-disabled', 'true'); b.dataset.off = item.off; }
    im.src = item.image; im.alt = ''; im.draggable = false; name.textContent = item.label;
    b.append(im, name);
    if (item.before) {                                  // how it was, while the pointer or the focus is there
      for (const [on, off] of [['pointerenter', 'pointerleave'], ['focus', 'blur']]) {
        b.addEventListener(on, () => { im.src = item.before; }); b.addEventListener(off, () => { im.src = item.image; });
      }
    }
    b.addEventListener('click', () => {
      if ((item.off && !item.on) || box.classList.contains('passing')) return;
      if (item.press) { document.querySelector(item.press).click(); return; }
      trigger('choose', {index: i, of: v.of, seed: item.seed});
      if (element.closest('#examples, #gallery')) window.scrollTo({top: 0, behavior: 'smooth'});
    });
    b.addEventListener('focus', () => { stop(b); });
    return b;
  }));
  if (v.note) { const p = document.createElement('p'); p.textContent = v.note; box.append(p); }
  const on = box.querySelector('[aria-pressed=true]');
  stop((focus >= 0 && box.children[focus]) || on || box.children[0]);
  if (focus >= 0 && box.children[focus]) box.children[focus].focus({preventScroll: true});
  else if (on && on.offsetLeft + on.offsetWidth > box.scrollLeft + box.clientWidth) box.scrollLeft = on.offsetLeft;  // a phone's strip
}
box.addEventListener('keydown', (e) => {
  const all = [...box.querySelectorAll('button')], at = all.indexOf(document.activeElement);
  const to = {ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: all.length - 1}[e.key];
  if (to === undefined) return;
  e.preventDefault();
  if (all[to]) all[to].focus();
});
watch('value', render); render();
