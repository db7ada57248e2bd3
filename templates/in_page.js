// In the portal's own pages: a call that is answered "sign in first" waits until the visitor has signed in again, in a
// small window, and is made once more, by the same person alone. The page stays as it is.
//
// It knows our answer by its `WWW-Authenticate` field, keeps nothing, and speaks to nobody but the portal itself.
(() => {
  'use strict';
  const told = document.currentScript.dataset;
  const { fetch: plainFetch, XMLHttpRequest: PlainRequest } = window;
  const CHALLENGE = /^Vestibule\b/;
  const READS = /^(GET|HEAD|OPTIONS)$/i;
  const QUIET = 60_000; // after "not now", in milliseconds

  let asking = null; // the answer that the open window will give
  let quietUntil = 0;

  const isHere = (url) => new URL(url, location.href).origin === location.origin;

  // Whether the same person has signed in again. Of many calls that fail at once, one asks.
  function signedInAgain(method) {
    if (!asking && READS.test(method) && Date.now() < quietUntil) return Promise.resolve(false);
    asking ??= ask().finally(() => {
      asking = null;
    });
    return asking;
  }

  function ask() {
    return new Promise((answer) => {
      const channel = new BroadcastChannel('vestibule');
      const window_ = element('dialog', {
        border: '0', borderRadius: '12px', padding: '24px', maxWidth: 'min(27rem, calc(100vw - 32px))', boxSizing: 'border-box', color: '#1b2430', background: '#fff',
        boxShadow: '0 8px 40px rgb(20 30 50 / 35%)', font: '16px/1.5 system-ui, sans-serif',
      });
      window_.setAttribute('aria-labelledby', 'vestibule-title');
      const title = element('h2', { margin: '0 0 8px', font: '600 20px/1.3 system-ui, sans-serif' }, told.title);
      title.id = 'vestibule-title';
      const lead = element('p', { margin: '0 0 16px' }, told.lead);
      const row = element('div', { display: 'flex', gap: '8px', flexWrap: 'wrap' });
      const main = button(told.button, '#1d5a8c', '#fff');
      const later = button(told.later, '#fff', '#1b2430');
      row.append(main, later);
      window_.append(title, lead, row);

      const end = (again) => {
        clearInterval(looking);
        removeEventListener('focus', look);
        channel.close();
        window_.close();
        window_.remove();
        if (!again) quietUntil = Date.now() + QUIET;
        answer(again);
      };
      const met = (person) => {
        if (!told.person || person === told.person) return end(true);
        // Somebody else: what this page holds is not theirs to send, and to look on would keep their session from its end.
        clearInterval(looking);
        removeEventListener('focus', look);
        lead.textContent = told.another;
        main.textContent = told.reload;
        main.onclick = () => location.reload();
        return undefined;
      };
      const look = async () => {
        try {
          const answered = await plainFetch('/.vestibule/session', { cache: 'no-store' });
          const { signed_in: signedIn, person } = await answered.json();
          if (signedIn) met(person);
        } catch {
          // The page's policy, or the network: the other window tells it, too.
        }
      };
      channel.onmessage = ({ data }) => met(data.person);
      main.onclick = () => {
        const features = 'popup,width=520,height=720';
        if (!open('/.vestibule/sign-in?in-page', 'vestibule-sign-in', features)) open('/.vestibule/sign-in?in-page');
      };
      later.onclick = () => end(false);
      window_.oncancel = (event) => {
        event.preventDefault();
        end(false);
      };
      const looking = setInterval(look, 3000);
      addEventListener('focus', look);
      (document.body ?? document.documentElement).append(window_);
      window_.showModal();
    });
  }

  function element(name, style, text) {
    const made = document.createElement(name);
    Object.assign(made.style, style);
    if (text) made.textContent = text;
    return made;
  }

  function button(text, background, color) {
    const made = element('button', {
      padding: '8px 16px', borderRadius: '8px', border: '1px solid #1d5a8c', background, color, font: 'inherit', cursor: 'pointer',
    }, text);
    made.type = 'button';
    return made;
  }

  window.fetch = async function fetch(input, init) {
    let first;
    let again;
    try {
      first = new Request(input, init);
      again = isHere(first.url) ? first.clone() : null;
    } catch {
      return plainFetch.call(window, input, init);
    }
    const answer = await plainFetch.call(window, first);
    const ours = again && answer.status === 401 && CHALLENGE.test(answer.headers.get('www-authenticate') ?? '');
    if (!ours || !(await signedInAgain(again.method))) return answer;
    return plainFetch.call(window, again);
  };

  // The same request object is sent twice; of the first time, the page hears nothing.
  window.XMLHttpRequest = class XMLHttpRequest extends PlainRequest {
    #call = null;
    #fields = [];
    #body;
    #stage = 'new'; // new, first, held, again

    constructor(...rest) {
      super(...rest);
      // Before any listener of the page.
      for (const kind of ['readystatechange', 'progress', 'load', 'loadend']) {
        super.addEventListener(kind, (event) => this.#meet(event));
      }
    }

    open(...call) {
      this.#call = call;
      this.#fields = [];
      this.#stage = 'new';
      super.open(...call);
    }

    setRequestHeader(name, value) {
      super.setRequestHeader(name, value);
      this.#fields.push([name, value]);
    }

    send(body) {
      const waits = this.#call?.[2] === undefined || this.#call[2] === true || Boolean(this.#call[2]);
      this.#body = body;
      this.#stage = waits ? 'first' : 'new';
      super.send(body);
    }

    abort() {
      const held = this.#stage === 'held';
      this.#stage = 'new';
      super.abort();
      if (held) this.#tell('abort', 'loadend');
    }

    #meet(event) {
      if (this.#stage === 'first' && this.readyState >= 2 && this.status === 401 && isHere(this.responseURL)
        && CHALLENGE.test(this.getResponseHeader('www-authenticate') ?? '')) {
        this.#stage = 'held';
      }
      if (this.#stage !== 'held') return;
      event.stopImmediatePropagation();
      if (event.type === 'loadend') this.#ask();
    }

    async #ask() {
      const again = await signedInAgain(this.#call[0]);
      if (this.#stage !== 'held') return; // given up meanwhile
      if (again) {
        super.open(...this.#call); // still held: the page does not hear of it
        for (const [name, value] of this.#fields) super.setRequestHeader(name, value);
        this.#stage = 'again';
        super.send(this.#body);
      } else {
        this.#stage = 'again';
        this.#tell('readystatechange', 'load', 'loadend');
      }
    }

    #tell(...kinds) {
      for (const kind of kinds) this.dispatchEvent(kind === 'readystatechange' ? new Event(kind) : new ProgressEvent(kind));
    }
  };
})();
