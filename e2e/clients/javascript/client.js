// Uses a cluster as programs in JavaScript do: the library etcd3 with TLS and a user.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const { Etcd3, EtcdLockFailedError, EtcdPermissionDeniedError } = require("etcd3");

const PREFIX = "app/javascript/";

const connect = () =>
  new Etcd3({
    hosts: process.env.ETCD_ENDPOINTS.split(","),
    credentials: { rootCertificate: fs.readFileSync(process.env.ETCD_CACERT) },
    auth: { username: process.env.ETCD_USER, password: process.env.ETCD_PASSWORD },
  });

const steps = {
  async keys(client) {
    for (const name of ["a", "b", "c"]) await client.put(`${PREFIX}keys/${name}`).value(name);
    assert.deepEqual(await client.getAll().prefix(`${PREFIX}keys/`).sort("Key", "Descend").limit(2).keys(), [
      `${PREFIX}keys/c`,
      `${PREFIX}keys/b`,
    ]);
    assert.equal((await client.delete().prefix(`${PREFIX}keys/`)).deleted, "3");
  },

  async transactions(client) {
    const key = `${PREFIX}txn`;
    const create = (value) =>
      client.if(key, "Create", "==", 0).then(client.put(key).value(value)).else(client.get(key)).commit();
    assert.equal((await create("first")).succeeded, true);
    const second = await create("second");
    assert.equal(second.succeeded, false);
    assert.equal(second.responses[0].response_range.kvs[0].value.toString(), "first");
  },

  async watches(client) {
    const watcher = await client.watch().prefix(`${PREFIX}watch/`).create();
    const told = [];
    const all = new Promise((resolve, reject) => {
      watcher.on("error", reject);
      watcher.on("put", (pair) => told.push(pair.key.toString()) === 50 && resolve());
    });
    const written = [];
    for (let number = 0; number < 50; number++) {
      written.push(`${PREFIX}watch/${number}`);
      await client.put(written[number]).value("x");
    }
    await all;
    await watcher.cancel();
    assert.deepEqual(told, written);
  },

  async leases(client) {
    const lease = client.lease(10);
    await lease.put(`${PREFIX}lease`).value("held");
    await lease.keepaliveOnce();
    assert.equal(await client.get(`${PREFIX}lease`).string(), "held");
    await lease.revoke();
    assert.equal(await client.get(`${PREFIX}lease`).string(), null);
  },

  async locks(client) {
    let counter = 0;
    const count = () =>
      client
        .lock(`${PREFIX}lock`)
        .ttl(10)
        .do(async () => {
          const seen = counter;
          await new Promise((resolve) => setTimeout(resolve, 1));
          counter = seen + 1;
        });
    const tries = async () => {
      for (;;) {
        try {
          return await count();
        } catch (error) {
          // This library's lock doesn't wait for another's end.
          if (!(error instanceof EtcdLockFailedError)) throw error;
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      }
    };
    await Promise.all([tries(), tries(), tries(), tries()]);
    assert.equal(counter, 4);
  },

  async election(client) {
    const election = client.namespace(PREFIX).election("leader", 10);
    const first = election.campaign("first");
    await new Promise((resolve, reject) => first.on("elected", resolve).on("error", reject));
    assert.equal(await election.leader(), "first");
    await first.resign();
  },

  async permissions(client) {
    await assert.rejects(client.put("another/key").value("x"), EtcdPermissionDeniedError);
  },

  async namespace(client) {
    await client.namespace(`${PREFIX}inside/`).put("key").value("value");
    assert.equal(await client.get(`${PREFIX}inside/key`).string(), "value");
  },
};

async function main() {
  const client = connect();
  await client.delete().prefix(PREFIX);
  for (const [name, step] of Object.entries(steps)) {
    await step(client);
    console.log("ok", name);
  }
  client.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
