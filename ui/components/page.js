// What gradio leaves to the page: sliders whose answers come late, and the focus when what has it goes.
() => {
  // What a visitor entered last with each slider, and when. A late answer may write an older value over it, so events
  // are sent with this.
  const last = {}, FIELDS = 'input[type=range], input[type=number]';
  const slider = e => e.target.matches?.(FIELDS) && e.target.closest('.block[id]');
  for (const kind of ['focusin', 'pointerdown', 'input']) document.addEventListener(kind, e => {
    if (slider(e)) last[slider(e).id] = [e.target.value === '' ? null : Number(e.target.value), performance.now()];
  }, true);
  window.entered = (id, visit, value) => [visit, last[id] || value];

  // Gradio tells of a slider let go only where the pointer ends on it; of keys, and of a pointer elsewhere, this does.
  let rest, told = 0;
  document.addEventListener('pointerup', e => { if (slider(e)) { told = performance.now(); clearTimeout(rest); } }, true);
  document.addEventListener('change', e => {
    if (e.target.type !== 'range' || performance.now() - told < 100) return;
    clearTimeout(rest);
    rest = setTimeout(() => e.target.dispatchEvent(new PointerEvent('pointerup', {bubbles: true})), 400);
  }, true);

  // The words of the header and of the picture's tools in the visitor's language.
  const words = WORDS, language = navigator.language.slice(0, 2);
  for (const root of document.querySelectorAll('#header, #picture .tools')) {
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode, said = words[text.data.trim()]?.[language];
      if (said) text.data = text.data.replace(text.data.trim(), said);
    }
  }

  // A button that is pressed and then cannot be any more, or is gone: the next one has the focus.
  let held = [];
  document.addEventListener('focusin', e => { held = []; for (let at = e.target; at; at = at.parentElement) held.push(at); });
  new MutationObserver(() => {
    if (document.activeElement !== document.body || !held.length || (held[0].isConnected && !held[0].disabled)) return;
    const here = held.find(at => at.isConnected);       // itself, or what it was in
    const free = [...document.querySelectorAll('button:not(:disabled)')].filter(b => b.tabIndex >= 0 && b.offsetParent);
    const next = free.find(b => here.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING) || free.at(-1);
    held = [];
    if (next) next.focus({preventScroll: true});
  }).observe(document.body, {subtree: true, childList: true, attributeFilter: ['disabled']});

  // "cite": BibTeX of both papers, copied.
  const bibtex = `@inproceedings{oldfield2023panda, title={PandA: Unsupervised Learning of Parts and Appearances in the Feature Maps of GANs}, author={James Oldfield and Christos Tzelepis and Yannis Panagakis and Mihalis A. Nicolaou and Ioannis Patras}, booktitle={International Conference on Learning Representations}, year={2023}}
@article{oldfield2024bilinear, title={Bilinear Models of Parts and Appearances in Generative Adversarial Networks}, author={James Oldfield and Christos Tzelepis and Yannis Panagakis and Mihalis A. Nicolaou and Ioannis Patras}, journal={IEEE Transactions on Pattern Analysis and Machine Intelligence}, volume={46}, number={12}, pages={8568--8579}, year={2024}, doi={10.1109/TPAMI.2024.3415506}}`;
  // What was copied is said on the button that did it; where a page may not copy, the text is shown.
  window.copy = (text, name) => (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(() => {
    const button = document.querySelector(name);
    button.dataset.words ||= button.textContent; button.textContent = 'Copied';
    setTimeout(() => { button.textContent = button.dataset.words; }, 2000);
  }).catch(() => document.body.classList.add('by-hand'));
  document.addEventListener('click', e => { if (e.target.matches?.('.cite')) window.copy(bibtex, '.cite'); });
}
