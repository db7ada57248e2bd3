// A certified OpenID provider (npm oidc-provider) on a free loopback port.
// Usage: node provider.mjs '{"client_id": ..., "client_secret": ..., "redirect_uris": [...], "people": {login: {email, name}}}'
// Prints one line of JSON when it listens; stops when standard input closes.
import http from 'node:http';
import Provider from 'oidc-provider';

const settings = JSON.parse(process.argv[2]);
const server = http.createServer();
await new Promise((ready) => server.listen(settings.port ?? 0, '127.0.0.1', ready));
const issuer = `http://localhost:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: settings.client_id,
      client_secret: settings.client_secret,
      redirect_uris: settings.redirect_uris,
      post_logout_redirect_uris: settings.post_logout_redirect_uris ?? [],
      token_endpoint_auth_method: settings.token_endpoint_auth_method ?? 'client_secret_basic',
      id_token_signed_response_alg: settings.algorithm ?? 'RS256',
    },
  ],
  pkce: { required: () => true },
  cookies: { keys: ['for tests only'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  // The e-mail address comes from UserInfo unless this is off: both ways are tested.
  conformIdTokenClaims: settings.claims_in_userinfo ?? false,
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  findAccount: (_context, id) => {
    const person = settings.people[id];
    return person && { accountId: id, claims: () => ({ sub: id, email_verified: true, ...person }) };
  },
});

const quiet = console.warn;
console.warn = () => {};
server.on('request', provider.callback());
console.warn = quiet;
console.log(JSON.stringify({ issuer }));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
