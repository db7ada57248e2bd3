// A SAML identity provider (npm samlp, the one inside Auth0) on a free loopback port.
//
// Prints {"base": ...} when it listens, and answers 503 until one line of JSON on standard input says for whom it works:
//   {"key": PEM, "certificate": PEM, "service_provider": {"entity_id": ..., "acs": ...}, "people": {login: {email, name}},
//    "sign": "assertion" | "response" | "both", "encrypt_for": PEM of a certificate or null, "cipher": URI or null}
// Then it prints {"ready": true}. Each further line changes some of these, and is answered in the same way; for its metadata
// the first two are enough. It takes any password. Metadata is at /metadata, sign-in at /sso, by Redirect and by POST. It stops when standard input closes.
import { X509Certificate } from 'node:crypto';
import http from 'node:http';
import readline from 'node:readline';
import samlp from 'samlp';

let settings;
const server = http.createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500, { 'content-type': 'text/plain' }).end(String(error));
  });
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const base = `http://127.0.0.1:${server.address().port}`;

async function answer(request, response) {
  if (!settings) return response.writeHead(503, { connection: 'close' }).end('not yet');
  const url = new URL(request.url, base);
  // What samlp expects of Express.
  request.query = Object.fromEntries(url.searchParams);
  request.body = Object.fromEntries(new URLSearchParams(await text(request)));
  request.protocol = 'http';
  request.originalUrl = url.pathname;
  response.set = (name, value) => response.setHeader(name, value);
  response.send = (body) => response.end(String(body));
  const next = (error) => response.writeHead(500, { 'content-type': 'text/plain' }).end(String(error));
  if (url.pathname === '/metadata') return samlp.metadata(metadata())(request, response);
  if (url.pathname === '/sso') return html(response, loginPage({ ...request.query, ...request.body }));
  if (url.pathname === '/in') {
    const person = settings.people[request.body.login];
    if (!person) return html(response, loginPage(request.body));
    request.user = { id: request.body.login, displayName: person.name, name: {}, emails: [{ value: person.email }] };
    return samlp.auth(signOn())(request, response, next);
  }
  return response.writeHead(404).end();
}

function metadata() {
  return { issuer: `${base}/metadata`, cert: settings.certificate, redirectEndpointPath: '/sso', postEndpointPath: '/sso' };
}

function signOn() {
  const { acs, entity_id: audience } = settings.service_provider;
  const encryption = settings.encrypt_for && {
    encryptionCert: settings.encrypt_for,
    encryptionPublicKey: new X509Certificate(settings.encrypt_for).publicKey.export({ type: 'spki', format: 'pem' }),
    ...(settings.cipher && { encryptionAlgorithm: settings.cipher }),
  };
  return {
    issuer: `${base}/metadata`,
    cert: settings.certificate,
    key: settings.key,
    audience,
    recipient: acs,
    destination: acs,
    getPostURL: (_audience, _request, _http, callback) => callback(null, acs),
    signAssertion: settings.sign !== 'response',
    signResponse: settings.sign !== 'assertion',
    ...encryption,
  };
}

const escaped = (value) => String(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function loginPage(carried) {
  const hidden = ['SAMLRequest', 'RelayState', 'Signature', 'SigAlg'].filter((name) => carried[name] !== undefined);
  const fields = hidden.map((name) => `<input type="hidden" name="${name}" value="${escaped(carried[name])}">`).join('');
  return `<!doctype html><title>samlp</title><h1>samlp</h1><form method="post" action="/in">${fields}
    <label>Login <input name="login"></label><button>Sign in</button></form>`;
}

function html(response, page) {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
}

async function text(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  settings = { ...settings, ...JSON.parse(line) };
  console.log(JSON.stringify({ ready: true }));
});
lines.on('close', () => process.exit(0));
console.log(JSON.stringify({ base }));
