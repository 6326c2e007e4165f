import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";

import { claimsOf, problemOf, sign } from "../../../../router/dashboard/static/js/tokens/jwt.js";

const GRANT = { level: "collections", entries: [{ collection: "c", access: "prw", tenant: [] }], expires: 99, subject: "", id: "", exists: null };

test("a token is signed as anybody can check", async () => {
  const token = await sign({ sub: "ü", exp: 7 }, "kéy");
  const [head, body, signature] = token.split(".");
  assert.deepEqual(JSON.parse(Buffer.from(head, "base64url")), { alg: "HS256", typ: "JWT" });
  assert.deepEqual(JSON.parse(Buffer.from(body, "base64url")), { sub: "ü", exp: 7 });
  assert.equal(signature, createHmac("sha256", "kéy").update(`${head}.${body}`).digest("base64url"));
});

test("claims say what was chosen and nothing more", () => {
  assert.deepEqual(claimsOf(GRANT), { access: [{ collection: "c", access: "prw" }], exp: 99 });
  assert.deepEqual(claimsOf({ ...GRANT, level: "read", expires: null }), { access: "r" });
  assert.deepEqual(claimsOf({ ...GRANT, level: "manage", subject: "ann", id: "k1" }), { access: "m", exp: 99, subject: "ann", jti: "k1" });
  const entries = [{ collection: "c", access: "r", tenant: [{ key: "org", value: "7" }] }];
  assert.deepEqual(claimsOf({ ...GRANT, entries }).access[0].tenant, [{ key: "org", value: 7 }]);
  const exists = { collection: "users", key: "name", value: '"7"' };
  assert.deepEqual(claimsOf({ ...GRANT, exists }).value_exists, { collection: "users", matches: [{ key: "name", value: "7" }] });
});

test("what no node would take is said", () => {
  assert.equal(problemOf(GRANT), null);
  assert.equal(problemOf({ ...GRANT, level: "read", entries: [] }), null);
  const [entry] = GRANT.entries;
  for (const entries of [[], [{ ...entry, collection: "" }], [entry, entry], [{ ...entry, tenant: [{ key: "a", value: "" }] }]]) {
    assert.ok(problemOf({ ...GRANT, entries }));
  }
});
