// Keeps a page that says so (<main data-refresh="seconds">) up to date without a reload.
// Not a person's doing, so it keeps no session alive.
const POLL = { 'X-Sentinode-Refresh': '1' };
const PATIENCE_MS = 15000;
// One round may fail while a process is restarted; a page that is old must say so.
const FAILURES_TOLD = 2;
let failures = 0;
let current = new Date();

function arrange() {
  const seconds = Number(document.querySelector('main').dataset.refresh);
  if (seconds) setTimeout(refresh, seconds * 1000);
}

async function refresh() {
  if (!document.hidden) {
    try {
      const response = await fetch(location.href, { headers: POLL, signal: AbortSignal.timeout(PATIENCE_MS) });
      // The session has ended: what stands here is for nobody's eyes any more.
      if (response.status === 401) location.reload();
      if (!response.ok) throw new Error(response.statusText);
      const page = new DOMParser().parseFromString(await response.text(), 'text/html');
      show(page.querySelector('main'));
      failures = 0;
      current = new Date();
    } catch {
      // The server may be restarting; the next round asks again.
      failures += 1;
      if (failures >= FAILURES_TOLD) tellAge();
    }
  }
  arrange();
}

function show(fresh) {
  const main = document.querySelector('main');
  const selection = getSelection();
  // Somebody is about to copy what stands here; the next round shows what is new.
  if (!selection.isCollapsed && main.contains(selection.anchorNode)) return;
  // Replacing an unchanged page would only steal the focus.
  if (fresh.outerHTML === main.outerHTML) return;
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  const scrolled = [...main.querySelectorAll('.scroll')].map((each) => each.scrollLeft);
  main.replaceWith(document.adoptNode(fresh));
  fresh.querySelectorAll('.scroll').forEach((each, i) => { each.scrollLeft = scrolled[i] || 0; });
  if (focused) sameAs(focused, fresh)?.focus({ preventScroll: true });
}

// The link or button that a person had reached by the keyboard, on the new page.
function sameAs(element, fresh) {
  const target = element.getAttribute('href');
  return [...fresh.querySelectorAll(element.tagName)].find((each) => (
    each.getAttribute('href') === target && (target || each.textContent === element.textContent)
  ));
}

function tellAge() {
  const main = document.querySelector('main');
  if (main.querySelector('.age')) return;
  const time = current.toISOString().slice(11, 19);
  const told = Object.assign(document.createElement('p'), { className: 'alert age' });
  told.setAttribute('role', 'alert');
  told.textContent = `This is what stood here at ${time} UTC: the node does not answer since.`;
  main.prepend(told);
}

arrange();

// Browsers keep the page they leave, and Back shows it again without asking: also after a logout.
addEventListener('pagehide', () => { document.documentElement.style.visibility = 'hidden'; });
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
