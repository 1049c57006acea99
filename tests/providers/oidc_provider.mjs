// `node oidc_provider.mjs CONFIGURATION`: oidc-provider with its own pages, for these tests alone.
//
// CONFIGURATION is JSON: `library` (the folder it is installed in), `port`, `audience`, `clients`,
// and `accounts` (claims by subject). SIGHUP makes a new signing key; the former stays published.

import { createServer } from "node:http";
import { pathToFileURL } from "node:url";
import { generateKeyPairSync, randomUUID } from "node:crypto";

const { library, port, audience, clients, accounts } = JSON.parse(process.argv[2]);
const { Provider } = await import(pathToFileURL(`${library}/lib/index.js`));
const keys = [];
const stored = new Map();

// What the provider remembers outlives a change of its keys.
class Memory {
  constructor(kind) {
    this.of = (id) => `${kind} ${id}`;
    this.all = () => [...stored].filter(([key]) => key.startsWith(this.of("")));
  }
  async upsert(id, payload) {
    stored.set(this.of(id), payload);
  }
  async find(id) {
    return stored.get(this.of(id));
  }
  async findByUid(uid) {
    return this.all().find(([, payload]) => payload.uid === uid)?.[1];
  }
  async findByUserCode(code) {
    return this.all().find(([, payload]) => payload.userCode === code)?.[1];
  }
  async consume(id) {
    stored.get(this.of(id)).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    stored.delete(this.of(id));
  }
  async revokeByGrantId(grantId) {
    for (const [key, payload] of this.all()) if (payload.grantId === grantId) stored.delete(key);
  }
}

function addKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  keys.unshift({ ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "ES256" });
}

// RS256 is what a client gets for its ID tokens that asks for nothing else.
function addRsaKey() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  keys.push({ ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "RS256" });
}

const resourceServer = {
  scope: "openid profile groups offline_access",
  audience,
  accessTokenFormat: "jwt",
  accessTokenTTL: 3600,
  jwt: { sign: { alg: "ES256" } },
};

function application() {
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    adapter: Memory,
    clients,
    jwks: { keys },
    cookies: { keys: ["of-these-tests"] },
    claims: { openid: ["sub"], profile: ["name"], groups: ["groups"] },
    features: {
      devInteractions: { enabled: true },
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => resourceServer,
        useGrantedResource: () => true,
      },
    },
    // The person's groups go into the access tokens that the gateway reads.
    extraTokenClaims: (ctx, token) => accounts[token.accountId],
    findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...accounts[sub] }) }),
    rotateRefreshToken: true,
    // Its clients are on loopback here, which its own dispatcher keeps it from calling.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  });
  return provider.callback();
}

addKey();
addRsaKey();
let answer = application();
process.on("SIGHUP", () => {
  addKey();
  answer = application();
});
createServer((request, response) => answer(request, response)).listen(port, "127.0.0.1");
