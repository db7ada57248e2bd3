// A certified OpenID provider (npm oidc-provider) on a free loopback port.
//
// Prints {"issuer": ...} when it listens, and answers 503 until one line of JSON on standard input says for whom it works:
//   {"client": {...}, "people": {login: {email, name}}, "claims_in_userinfo": false}
// where "client" is client metadata (OpenID Connect Dynamic Client Registration 1.0, section 2). Then it prints
// {"ready": true}. After a second line, {"token_endpoint": "down"}, it breaks off every call to exchange a code, and prints
// {"down": true}. Its development pages take any password. It stops when standard input closes.
import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import readline from 'node:readline';
import Provider from 'oidc-provider';

const server = http.createServer();
const notYet = (_request, response) => response.writeHead(503, { connection: 'close' }).end('not yet');
server.on('request', notYet);
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://localhost:${server.address().port}`;

function key(type, options, alg) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: alg };
}

function provider(settings) {
  return new Provider(issuer, {
    clients: [settings.client],
    jwks: {
      keys: [
        key('rsa', { modulusLength: 2048 }, 'RS256'),
        key('rsa', { modulusLength: 2048 }, 'PS256'),
        key('ec', { namedCurve: 'P-256' }, 'ES256'),
        key('ed25519', {}, 'EdDSA'),
      ],
    },
    pkce: { required: () => true },
    cookies: { keys: ['for tests only'] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    // Whether e-mail address and name are told by UserInfo alone, or by the ID token.
    conformIdTokenClaims: settings.claims_in_userinfo ?? false,
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    findAccount: (_context, login) => {
      const person = settings.people[login];
      return person && { accountId: login, claims: () => ({ sub: login, email_verified: true, ...person }) };
    },
  });
}

console.warn = () => {}; // "not for production"
console.info = () => {};
const lines = readline.createInterface({ input: process.stdin });
lines.once('line', (line) => {
  const answer = provider(JSON.parse(line)).callback();
  server.off('request', notYet);
  server.on('request', answer);
  lines.once('line', () => {
    server.off('request', answer);
    server.on('request', (request, response) => {
      if (request.url.startsWith('/token')) request.socket.destroy();
      else answer(request, response);
    });
    console.log(JSON.stringify({ down: true }));
  });
  console.log(JSON.stringify({ ready: true }));
});
lines.on('close', () => process.exit(0));
console.log(JSON.stringify({ issuer }));
