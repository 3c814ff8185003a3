// Keeps a page that says so (<main data-refresh="seconds">) up to date without a reload.
// Not a person's doing, so it keeps no session alive.
const POLL = { 'X-Sentinode-Refresh': '1' };

function arrange() {
  const seconds = Number(document.querySelector('main').dataset.refresh);
  if (seconds) setTimeout(refresh, seconds * 1000);
}

async function refresh() {
  const main = document.querySelector('main');
  try {
    const response = document.hidden ? null : await fetch(location.href, { headers: POLL });
    // The session has ended: what stands here is for nobody's eyes any more.
    if (response && response.status === 401) location.reload();
    if (response && response.ok) {
      const page = new DOMParser().parseFromString(await response.text(), 'text/html');
      const fresh = page.querySelector('main');
      // Replacing an unchanged page would only steal the selection and the focus.
      if (fresh.outerHTML !== main.outerHTML) main.replaceWith(document.adoptNode(fresh));
    }
  } catch {
    // The server may be restarting; the next round asks again.
  }
  arrange();
}

arrange();

// Browsers keep the page they leave, and Back shows it again without asking: also after a logout.
addEventListener('pagehide', () => { document.documentElement.style.visibility = 'hidden'; });
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
